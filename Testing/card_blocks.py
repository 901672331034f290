"""The generated parts of a model's card: Markdown from measured figures, and where they go.

A block of a page stands between ``<!-- NAME: written by Testing/model_card.py -->`` and
``<!-- end of NAME -->``; everything else is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "FlareSegment"))

if TYPE_CHECKING:
    from FlareSegmentLib.evaluation_report import CaseEvaluation, Evaluation
    from FlareSegmentLib.metrics import Score

TUMOR = 14
BENCHMARK_BLOCKS = {
    "sources": "sources",
    "tumor": "tumor",
    "robustness": "robustness",
    "negatives": "negatives",
    "speed": "accuracy",
}
"""Blocks that repeat a part of Testing/Benchmarks/RESULTS.json, and the part's name."""


def start_of(name: str) -> str:
    """Give the line before a block."""
    return f"<!-- {name}: written by Testing/model_card.py -->"


def end_of(name: str) -> str:
    """Give the line after a block."""
    return f"<!-- end of {name} -->"


def replaced(card: str, blocks: Mapping[str, str], page: str = "The card") -> str:
    """Give the card, or another `page`, with new content in its blocks.

    Raises
    ------
    ValueError
        When it lacks a block, or has markers that do not belong together.
    """
    for name, text in blocks.items():
        start, end = start_of(name), end_of(name)
        if card.count(start) != 1 or card.count(end) != 1 or card.index(start) > card.index(end):
            raise ValueError(
                f"{page} has no block '{name}'. It needs the line {start} and, after it, {end}, "
                "each once."
            )
        head, rest = card.split(start)
        _, tail = rest.split(end)
        card = f"{head}{start}\n{text.strip()}\n{end}{tail}"
    return card


def titled(card: str, name: str, version: str) -> str:
    """Give the card with the model's name and version as its title."""
    return re.sub(r"\A# .*", f"# {name} {version}".strip(), card)


def score_facts(evaluation: Evaluation) -> dict[str, Any]:
    """Give what `model.json` says of each case: DSC and NSD per target, means, lesions."""
    return {case.case: _case_facts(case) for case in evaluation.cases}


def _case_facts(case: CaseEvaluation) -> dict[str, Any]:
    from FlareSegmentLib.labels import target_by_id

    organs = _organs_in_view(case)
    facts: dict[str, Any] = {
        "organs_dsc": _rounded_mean([s.dsc for s in organs]),
        "organs_nsd": _rounded_mean([s.nsd for s in organs]),
        "organs_in_view": len(organs),
        "targets": {
            target_by_id(s.id).key: {"dsc": round(s.dsc, 3), "nsd": round(s.nsd, 3)}
            for s in case.scores
        },
        "absent": [target_by_id(s.id).key for s in case.scores if not s.reference_voxels],
    }
    if case.lesions is not None:
        facts["lesions_of_1_ml"] = case.lesions.lesions
        facts["lesions_found"] = case.lesions.found
        facts["lesions_false"] = case.lesions.false_positive
    return facts


def _organs_in_view(case: CaseEvaluation) -> list[Score]:
    return [s for s in case.scores if s.reference_voxels and s.id != TUMOR]


def _rounded_mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 3) if values else 0.0


def score_table(evaluation: Evaluation) -> str:
    """Give DSC / NSD per target and case with mean, range and number of cases, in percent."""
    from FlareSegmentLib.labels import targets

    cases = evaluation.cases
    lines = [
        "| | " + " | ".join(case.case for case in cases) + " | mean | lowest to highest | scans |",
        "| --- |" + " ---: |" * (len(cases) + 3),
    ]
    for target in targets():
        by_case = [_score_of(case, target.id) for case in cases]
        there = [s for s in by_case if s is not None and s.reference_voxels]
        cells = [_cell(score) for score in by_case]
        lines.append(f"| {target.name.lower()} | " + " | ".join([*cells, *_spread(there)]) + " |")
    means = [_mean_cell(_organs_in_view(case)) for case in cases]
    all_organs = [s for case in cases for s in _organs_in_view(case)]
    lines.append(
        "| **organs in view** | "
        + " | ".join([*means, _mean_cell(all_organs), "", f"{len(cases)}"])
        + " |"
    )
    return "\n".join(lines)


def _score_of(case: CaseEvaluation, organ: int) -> Score | None:
    return next((s for s in case.scores if s.id == organ), None)


def _cell(score: Score | None) -> str:
    if score is None:
        return "-"
    if not score.reference_voxels:
        return "absent, found" if score.voxels else "absent, not found"
    return f"{100 * score.dsc:.1f} / {100 * score.nsd:.1f}"


def _spread(scores: Sequence[Score]) -> list[str]:
    if not scores:
        return ["-", "-", "0"]
    both = [100 * s.dsc for s in scores], [100 * s.nsd for s in scores]
    mean = " / ".join(f"{sum(values) / len(values):.1f}" for values in both)
    ranges = " / ".join(f"{min(values):.0f} to {max(values):.0f}" for values in both)
    return [mean, ranges, str(len(scores))]


def _mean_cell(scores: Sequence[Score]) -> str:
    return f"**{_spread(scores)[0]}**" if scores else "-"


def failure_list(evaluation: Evaluation, count: int = 3) -> str:
    """Name the targets that are worst in each case."""
    from FlareSegmentLib.labels import target_by_id

    lines = []
    for case in evaluation.cases:
        worst = sorted((s for s in case.scores if s.dsc < 1), key=lambda s: s.dsc)[:count]
        words = [
            f"{target_by_id(s.id).name.lower()} "
            + (f"{100 * s.dsc:.0f}" if s.reference_voxels else "found where there is none")
            for s in worst
        ]
        lines.append(f"* {case.case}: {', '.join(words)}.")
    return "Lowest DSC on each validation scan:\n\n" + "\n".join(lines)


def data_table(training_data: Sequence[Mapping[str, str]]) -> str:
    """Give the training data with licenses."""
    lines = ["| data | license |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| {d['name']} | {d['license']} |" for d in training_data)])


def benchmark_block(parts: Mapping[str, Mapping[str, str]], name: str, weights: str) -> str:
    """Repeat a part of the benchmark, if it was measured with these weights.

    Parameters
    ----------
    parts
        Content of RESULTS.json.
    name
        The block.
    weights
        Name, version and hash as the benchmark writes them.
    """
    part = BENCHMARK_BLOCKS[name]
    command = f'make bench BENCH_ARGS="--only {part}"'
    if part not in parts or parts[part]["model"] != weights:
        return f"Not measured with these weights yet: `{command}`, then this tool again."
    text = parts[part]["text"]
    if name == "speed":
        # Scans side by side; the table per target is in the block of scores.
        text = "\n\n".join(text.split("\n\n")[:2])
    return f"{text}\n\n`{command}`; {parts[part]['machine']}."
