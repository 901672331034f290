"""The figures of the repository's README, and the model's row in the study, from what was measured.

Both are written by Testing/model_card.py. Nothing here measures: scores come from `model.json`,
times from Testing/Benchmarks/RESULTS.json.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from results_page import Measured, is_measured, is_missing, tables

BLOCK = "measured"
PARTS = {
    "accuracy": "the teacher, and the seconds beside it",
    "tumor": "scans in which something is called tumor",
    "scaling": "time and memory by size",
    "peers": "nnU-Net",
}
"""Parts of the benchmark that the README repeats, and what of each."""

SHOWN_SLICES = ("300", "1000")
TRIALS = "## Trials of the bundled model"
CASES = ("ircad_01", "ircad_17", "totalseg_example", "amos_0001_slab")
"""Columns of the table of trials."""


def readme_block(content: Mapping[str, Any], measured: Measured, weights: str) -> str:
    """Give the README's figures.

    Parameters
    ----------
    content
        Of `model.json`, with its scores.
    measured
        Content of RESULTS.json.
    weights
        Of the model, as `results_page.weights_of` gives them.
    """
    scores = content["facts"]["scores"]
    there = [n for n in PARTS if n in measured and not is_missing(measured[n])]
    blocks = [
        "DSC by FLARE's rules, mean of the organs in view, in percent; seconds from file to file "
        "on a CPU, start of the process included. The teacher is the network whose pseudo-labels "
        "it learned from.",
        _scores(scores, measured if "accuracy" in there else {}),
        _tumors(scores, measured if "tumor" in there else {}),
    ]
    if "scaling" in there:
        blocks.append(_sizes(measured))
    if "peers" in there:
        blocks.append(_peers(measured))
    if there:
        blocks.append(f"Measured on: {measured[there[0]]['machine']}.")
    if old := [name for name in there if not is_measured(measured, name, weights)]:
        versions = ", ".join(sorted({measured[name]["model"] for name in old}))
        what = ", ".join(PARTS[name] for name in old)
        blocks.append(f"Measured with other weights than those here, {versions}: {what}.")
    return "\n\n".join(block for block in blocks if block)


def _scores(scores: Mapping[str, Any], measured: Measured) -> str:
    """A row per validation scan, beside the network whose pseudo-labels were learned from."""
    rows = tables(measured["accuracy"]["text"])[0] if measured else []
    by_case: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_case.setdefault(row["scan"], []).append(row)
    lines = [
        "| validation scan | organs | DSC | DSC of its teacher | s | s of its teacher |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for case in sorted(scores, key=lambda name: -scores[name]["organs_dsc"]):
        ours, teacher = [*by_case.get(case, []), {}, {}][:2]
        cells = (
            case,
            str(scores[case]["organs_in_view"]),
            f"{100 * scores[case]['organs_dsc']:.1f}",
            teacher.get("DSC", "-"),
            ours.get("s", "-"),
            teacher.get("s", "-"),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _tumors(scores: Mapping[str, Any], measured: Measured) -> str:
    annotated = [case for case in scores.values() if "lesions_of_1_ml" in case]
    if not annotated:
        return ""
    found = sum(case["lesions_found"] for case in annotated)
    lesions = sum(case["lesions_of_1_ml"] for case in annotated)
    said = (
        f"Tumors: of {lesions} liver lesions of 1 ml or more in {len(annotated)} of these scans it "
        f"finds {found}"
    )
    text = measured["tumor"]["text"] if "tumor" in measured else ""
    pattern = r"no tumor is known \(not annotated\): (\d+); something is called tumor in (\d+)"
    if (match := re.search(pattern, text)) is None:
        return f"{said}."
    scans, called = match.groups()
    return f"{said}; it calls something tumor in {called} of {scans} scans in which none is known."


def _sizes(measured: Measured) -> str:
    rows = [
        f"| {row['volume']} | {row['process s']} | {row['GiB']} |"
        for row in tables(measured["scaling"]["text"])[0]
        if row["volume"].split()[-1] in SHOWN_SLICES
    ]
    head = ["| scan | s | peak memory, GiB |", "| --- | ---: | ---: |"]
    return "\n".join([*head, *rows]) if rows else ""


def _peers(measured: Measured) -> str:
    """Say how long nnU-Net's own predictor takes with the same weights."""
    text = measured["peers"]["text"]
    seconds = {row[""]: row["s"] for row in tables(text)[0]}
    size = re.match(r"Volume of ([\dx ]+) voxels", text)
    return (
        f"nnU-Net's own predictor with the same weights, on {size[1] if size else 'one volume'} "
        f"voxels: {seconds['nnU-Net']} s, {seconds['nnU-Net, its torch resampling']} s with its "
        f"torch resampling; ours in the same run: {seconds['ours']} s."
    )


def with_trial(page: str, version: str, scores: Mapping[str, Any]) -> str:
    """Give STUDY.md with the scores of this version in the table of trials.

    The row whose first cell ends with the version gets them, or a new last row.

    Raises
    ------
    ValueError
        When the page has no such table.
    """
    head, found, rest = page.partition(TRIALS)
    table = re.search(r"(?m)^\|.*\n(?:\|.*\n)+", rest)
    if not found or table is None:
        raise ValueError(
            f"STUDY.md has no table under '{TRIALS}': the model's scores belong there."
        )
    figures = [
        f"{100 * scores[case]['organs_dsc']:.1f}" if case in scores else "-" for case in CASES
    ]
    tumor = [
        f"{100 * scores[case]['targets']['tumor']['dsc']:.1f}"
        for case in CASES
        if "tumor" in scores.get(case, {}).get("targets", {})
    ]
    tail = " | ".join([*figures, ", ".join(tumor)]) + " |"
    lines = table[0].splitlines()
    for number, line in enumerate(lines):
        first = line.split("|")[1].strip()
        if re.search(rf"(^|\s){re.escape(version)}$", first):
            lines[number] = f"| {first} | {tail}"
            break
    else:
        lines.append(f"| {version} | {tail}")
    return head + found + rest.replace(table[0], "\n".join(lines) + "\n", 1)
