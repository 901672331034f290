"""The same scans with other slices, axes, brightness and noise: how much the DSC changes.

.venv-bench/bin/python Testing/Benchmarks/robustness.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import inputs
from inputs import MissingInputError, Options
from measuring import ScriptFailedError, markdown_table
from segmenting import emptied, segment_folder, write_labels, write_scan
from transformations import Labeled, transformations

UNCHANGED = "as it is"
LIMIT_POINTS = 3.0
"""Fall of a scan's mean DSC, in points of a percent, that is still accepted."""

TUMOR_ID = 14

Scores = dict[str, dict[int, float]]
"""DSC in percent per case and target id, of the organs the reference has."""


def section(chosen: Options) -> str:
    """Measure and give the part of the report."""
    inputs.model(chosen)
    folder = inputs.validation_folder(chosen)
    cases = inputs.validation_cases(chosen)
    scores = {}
    for name, change in {UNCHANGED: lambda case: case, **transformations()}.items():
        work = emptied(chosen.work / "robustness")
        (work / "scans").mkdir()
        (work / "labels").mkdir()
        for case in cases:
            labeled = change(_labeled(folder, case))
            write_scan(work / "scans", case, labeled.scan)
            write_labels(work / "labels", case, labeled.labels, labeled.scan.affine)
        segment_folder(chosen, work / "scans", work / "segmentations")
        scores[name] = _scores(work, folder)
        emptied(work)  # up to half a gigabyte
    return _report(cases, scores)


def _labeled(folder: Path, case: str) -> Labeled:
    from FlareSegmentLib.geometry import canonical_volume
    from FlareSegmentLib.reading import read_label_map, read_volume

    volume, order = canonical_volume(read_volume(inputs.scan_of(folder, case)))
    labels, _ = read_label_map(folder / f"{case}_label.nii.gz")
    return Labeled(volume, order.apply(labels))


def _scores(work: Path, folder: Path) -> Scores:
    from FlareSegmentLib.evaluation import ANNOTATED_FILE, evaluate_folders, read_annotated

    annotated = read_annotated(folder / ANNOTATED_FILE)
    result = evaluate_folders(work / "segmentations", work / "labels", annotated)
    return {
        case.case: {
            s.id: 100 * s.dsc for s in case.scores if s.reference_voxels and s.id != TUMOR_ID
        }
        for case in result.cases
    }


def _report(cases: list[str], scores: dict[str, Scores]) -> str:
    base = scores[UNCHANGED]
    changed = [name for name in scores if name != UNCHANGED]
    changes = {
        name: {case: _change(base[case], scores[name].get(case, {})) for case in cases}
        for name in changed
    }
    rows = [
        (case, f"{_mean(base[case]):.1f}", *(f"{changes[name][case]:+.1f}" for name in changed))
        for case in cases
    ]
    worst, name, case = min(
        (change, name, case)
        for name, by_case in changes.items()
        for case, change in by_case.items()
    )
    verdict = "within" if worst >= -LIMIT_POINTS else "beyond"
    return "\n\n".join(
        [
            "Each validation scan changed as named, segmented by `flare-segment` and compared with "
            "its labels changed in the same way; DSC by FLARE's rules in percent, mean of the "
            "organs the reference has, and the change against the scan as it is, in points. "
            "Thicker slices are means, thinner ones interpolated. Largest fall: "
            f"{-worst:.1f} points ({case}, {name}), {verdict} the {LIMIT_POINTS:.0f} points aimed "
            "for.",
            markdown_table(("scan", UNCHANGED, *changed), rows),
            "The organ that falls most:",
            markdown_table(("scan", *changed), _worst_organs(cases, scores, changed)),
        ]
    )


def _worst_organs(
    cases: list[str], scores: dict[str, Scores], changed: list[str]
) -> list[tuple[str, ...]]:
    from FlareSegmentLib.labels import target_by_id

    rows = []
    for case in cases:
        cells = []
        for name in changed:
            base, now = scores[UNCHANGED][case], scores[name].get(case, {})
            change, organ = min((now.get(organ, 0.0) - base[organ], organ) for organ in base)
            falls = change <= -0.05
            cells.append(f"{target_by_id(organ).name.lower()} {change:+.1f}" if falls else "-")
        rows.append((case, *cells))
    return rows


def _change(base: dict[int, float], now: dict[int, float]) -> float:
    """Change of the mean over the organs of `base`; one that is not there any more counts 0."""
    return _mean({organ: now.get(organ, 0.0) for organ in base}) - _mean(base)


def _mean(values: dict[int, float]) -> float:
    return sum(values.values()) / len(values) if values else float("nan")


if __name__ == "__main__":
    try:
        print(section(inputs.options(inputs.parser(__doc__).parse_args())))
    except (MissingInputError, ScriptFailedError) as problem:
        sys.exit(str(problem))
