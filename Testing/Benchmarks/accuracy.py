"""Ours and the FLARE 2025 laptop network on the real scans: DSC, NSD, time, memory.

.venv-bench/bin/python Testing/Benchmarks/accuracy.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import inputs
from inputs import MissingInputError, Options
from measuring import (
    GIB,
    Measurement,
    ScriptFailedError,
    markdown_table,
    measure,
    median_run,
    runs_said,
)

OURS, TEACHER = "ours", "FLARE 2025 laptop network"


def section(chosen: Options) -> str:
    """Measure and give the part of the report."""
    folder = inputs.validation_folder(chosen)
    from FlareSegmentLib.evaluation import evaluate_folders

    scripts: dict[str, tuple[str, tuple[str | Path, ...], Path]] = {}
    sentences = []
    for name, script, find in (
        (OURS, "ours.py", inputs.model),
        (TEACHER, "teacher.py", inputs.teacher),
    ):
        try:
            output = chosen.work / "accuracy" / Path(script).stem
            scripts[name] = (script, (find(chosen),), output)
            output.mkdir(parents=True, exist_ok=True)
            for earlier in output.glob("*_seg.nii.gz"):
                earlier.unlink()  # of an earlier run with other scans or another model
        except MissingInputError as missing:
            sentences.append(f"{name}: {missing}")
    runs = {
        case: _case_runs(chosen, inputs.scan_of(folder, case), case, scripts)
        for case in inputs.validation_cases(chosen)
    }
    results = {name: evaluate_folders(output, folder) for name, (_, _, output) in scripts.items()}
    return "\n\n".join(
        [
            "Real scans at their own resolution, file to file on CPU, one process each; "
            f"{runs_said(chosen.runs)} in turns. DSC and NSD (percent) by FLARE's rules, corrected "
            "mode; mean of the annotated organs the reference has. These scans choose our models; "
            "none was trained on. The laptop network has no tumor.",
            *sentences,
            _case_table(runs, results),
            _target_table(results),
        ]
    )


def _case_runs(chosen, scan, case, scripts):  # type: ignore[no-untyped-def]
    measured: dict[str, list[Measurement]] = {name: [] for name in scripts}
    for _ in range(chosen.runs):
        for name, (script, first, output) in scripts.items():
            target = output / f"{case}_seg.nii.gz"
            measured[name].append(measure(script, *first, scan, target))
    return {name: median_run(each) for name, each in measured.items()}


def _case_table(runs, results) -> str:  # type: ignore[no-untyped-def]
    rows = []
    for case, by_name in runs.items():
        for name, run in by_name.items():
            evaluated = next(c for c in results[name].cases if c.case == case)
            organs = [s for s in evaluated.scores if s.id != 14 and s.reference_voxels]
            tumor = [s for s in evaluated.scores if s.id == 14]
            rows.append(
                (
                    case,
                    name,
                    _percent([s.dsc for s in organs]),
                    _percent([s.nsd for s in organs]),
                    _percent([s.dsc for s in tumor]) if name == OURS else "-",
                    f"{run.seconds:.1f}",
                    f"{run.case_seconds:.1f}",
                    f"{run.peak_bytes / GIB:.2f}",
                    f"{run.area_mib_seconds / 1024:.1f}",
                )
            )
    head = ("scan", "", "DSC", "NSD", "tumor DSC", "s", "s after start-up", "GiB", "GiB s")
    return markdown_table(head, rows)


def _target_table(results) -> str:  # type: ignore[no-untyped-def]
    """Mean per target over the scans whose reference has it."""
    from FlareSegmentLib.labels import targets

    rows = []
    for target in targets():
        cells = []
        for result in results.values():
            scores = [
                s
                for c in result.cases
                for s in c.scores
                if s.id == target.id and s.reference_voxels
            ]
            cells += [_percent([s.dsc for s in scores]), _percent([s.nsd for s in scores])]
        counts = [
            sum(
                s.id == target.id and s.reference_voxels > 0 for c in result.cases for s in c.scores
            )
            for result in results.values()
        ]
        rows.append((target.name, *cells, str(max(counts, default=0))))
    head = ["target"] + [f"{name}, {what}" for name in results for what in ("DSC", "NSD")]
    return markdown_table([*head, "scans"], rows)


def _percent(values: list[float]) -> str:
    return f"{100 * sum(values) / len(values):.1f}" if values else "-"


if __name__ == "__main__":
    try:
        print(section(inputs.options(inputs.parser(__doc__).parse_args())))
    except (MissingInputError, ScriptFailedError) as problem:
        sys.exit(str(problem))
