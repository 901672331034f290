"""Ours and the networks whose labels it learned from, against manual labels.

.venv-bench/bin/python Testing/Benchmarks/sources.py
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import inputs
from inputs import MissingInputError, Options
from measuring import ScriptFailedError, markdown_table, measure
from segmenting import emptied, segment_folder, write_labels, write_scan

if TYPE_CHECKING:
    from FlareSegmentLib.evaluation_report import CaseEvaluation, Evaluation

OURS = "ours"
SCALES = {"flare25_a (scale 1)": "1", "flare25_b (1.12)": "1.12", "flare25_c (0.9)": "0.9"}
MEAN = "flare25_mean (all three)"
PSEUDO_FOLDERS = ("flare25_a", "flare25_b", "flare25_c", "flare25_mean", "obelisk")
TUMOR = 14

Seconds = dict[str, dict[str, float]]
"""Seconds by source and case."""


def section(chosen: Options) -> str:
    """Measure and give the part of the report."""
    inputs.model(chosen)
    folder = inputs.validation_folder(chosen)
    network = inputs.teacher(chosen)
    work = emptied(chosen.work / "sources")
    cases = inputs.validation_cases(chosen)
    seconds: Seconds = {OURS: _segment_ours(chosen, folder, work, cases)}
    seconds |= _segment_with_teacher(network, folder, work, cases)
    from FlareSegmentLib.evaluation import evaluate_folders

    results = {name: evaluate_folders(_output(work, name), folder) for name in seconds}
    return "\n\n".join(
        [
            "The pseudo-labels of our training are those of one network at three working scales "
            "and their mean (`../shared/data/pseudo`); run here on the validation scans, without "
            "its start-up. DSC and NSD in percent by FLARE's rules, mean of the organs the "
            "reference has; seconds from opened scan to label map, one run.",
            markdown_table(("scan", "", "DSC", "NSD", "s"), _rows(cases, results, seconds)),
            _verdict(results, seconds),
            *_on_training_scans(chosen, work),
        ]
    )


def _output(work: Path, source: str) -> Path:
    scale = SCALES.get(source)
    return work / "each" / scale if scale else work / source.split()[0]


def _segment_ours(chosen: Options, folder: Path, work: Path, cases: list[str]) -> dict[str, float]:
    output = _output(work, OURS)
    output.mkdir()
    seconds = {}
    for case in cases:
        target = output / f"{case}_seg.nii.gz"
        words = (inputs.model(chosen), inputs.scan_of(folder, case), target)
        seconds[case] = measure("ours.py", *words, "--device", chosen.device).case_seconds
    return seconds


def _segment_with_teacher(network: Path, folder: Path, work: Path, cases: list[str]) -> Seconds:
    seconds: Seconds = {name: {} for name in (*SCALES, MEAN)}
    mean = _output(work, MEAN)
    mean.mkdir()
    words = ["--scales", *SCALES.values(), "--each", str(work / "each")]
    for case in cases:
        target = mean / f"{case}_seg.nii.gz"
        run = measure("teacher.py", network, inputs.scan_of(folder, case), target, *words)
        for name, scale in SCALES.items():
            seconds[name][case] = float(run.result["scale_seconds"][scale])
        seconds[MEAN][case] = run.case_seconds
    return seconds


def _rows(
    cases: list[str], results: Mapping[str, Evaluation], seconds: Seconds
) -> list[tuple[str, ...]]:
    rows = []
    for case in cases:
        for name, result in results.items():
            evaluated = next(each for each in result.cases if each.case == case)
            dsc, nsd = _means(evaluated)
            rows.append(
                (case, name, f"{100 * dsc:.1f}", f"{100 * nsd:.1f}", f"{seconds[name][case]:.1f}")
            )
    return rows


def _means(case: CaseEvaluation) -> tuple[float, float]:
    scores = [s for s in case.scores if s.reference_voxels and s.id != TUMOR]
    return sum(s.dsc for s in scores) / len(scores), sum(s.nsd for s in scores) / len(scores)


def _verdict(results: Mapping[str, Evaluation], seconds: Seconds) -> str:
    """Compare scan by scan with the best of the sources."""
    words = []
    for ours in results[OURS].cases:
        others = {
            name: _means(next(each for each in result.cases if each.case == ours.case))[0]
            for name, result in results.items()
            if name != OURS
        }
        best = max(others, key=lambda name: others[name])
        gap = 100 * (_means(ours)[0] - others[best])
        faster = seconds[best][ours.case] / seconds[OURS][ours.case]
        words.append(f"{ours.case} {gap:+.1f} points of DSC, {faster:.0f} times faster ({best})")
    return "Ours against the best source of each scan: " + "; ".join(words) + "."


def _on_training_scans(chosen: Options, work: Path) -> list[str]:
    """Compare the label files with the manual labels of training scans, organ by organ."""
    from FlareSegmentLib.evaluation import evaluate_folders, read_annotated
    from FlareSegmentLib.labels import target_by_id
    from FlareSegmentLib.reading import read_label_map, read_volume

    data = chosen.shared / "data"
    listed = data / "manual" / "annotated.json"
    if not listed.is_file() or not (data / "ct").is_dir():
        return []
    annotated = {
        case: ids
        for case, ids in read_annotated(listed).items()
        if not chosen.cases or case in chosen.cases
    }
    if not annotated:
        return []
    scans, labels = emptied(work / "scans"), emptied(work / "labels")
    for case in annotated:
        write_scan(scans, case, read_volume(data / "ct" / f"{case}.nii.gz"))
        write_labels(labels, case, *read_label_map(data / "manual" / f"{case}.nii.gz"))
    segment_folder(chosen, scans, work / "training")
    folders = {OURS: work / "training"}
    folders |= {name: data / "pseudo" / name for name in PSEUDO_FOLDERS}
    found: dict[str, dict[tuple[str, int], float]] = {}
    for name, folder in folders.items():
        result = evaluate_folders(folder, labels, annotated)
        found[name] = {(c.case, s.id): s.dsc for c in result.cases for s in c.scores}
    rows = []
    for case, ids in annotated.items():
        for organ in ids:
            cells = [_cell(found[name].get((case, organ))) for name in folders]
            rows.append((case, target_by_id(organ).name.lower(), *cells))
    emptied(work)
    return [
        "The label files themselves against the manual labels of training scans, DSC in percent. "
        "Ours was trained on these scans and these manual labels, so its figures only show that "
        "it learned them:",
        markdown_table(("scan", "organ", *folders), rows),
    ]


def _cell(value: float | None) -> str:
    """Percent; a source that lacks the scan has none (obelisk has six scans)."""
    return "-" if value is None else f"{100 * value:.1f}"


if __name__ == "__main__":
    try:
        print(section(inputs.options(inputs.parser(__doc__).parse_args())))
    except (MissingInputError, ScriptFailedError) as problem:
        sys.exit(str(problem))
