"""Our engine on volumes of more and more slices: time per stage, memory, time over the floor.

The floor is one forward pass over the region the localiser cropped, at working resolution,
without overlap (`floor.py`).

    .venv-bench/bin/python Testing/Benchmarks/scaling.py --slices 55 150
"""

from __future__ import annotations

import sys

import inputs
from inputs import MissingInputError, Options
from measuring import GIB, Measurement, ScriptFailedError, markdown_table, measure, median_run

STAGES = ("read", "localise", "resample", "network", "upsample", "write")


def section(chosen: Options) -> str:
    """Measure and give the part of the report."""
    model = inputs.model(chosen)
    rows = []
    for slices in chosen.slices:
        scan, _ = inputs.resampled_scan(chosen, slices)
        output = chosen.work / "scaling_seg.nii.gz"
        run = median_run(
            [
                measure("ours.py", model, scan, output, "--device", chosen.device)
                for _ in range(chosen.runs)
            ]
        )
        rows.append(_row(run, _floor(chosen, run)))
    head = (
        "volume",
        *STAGES,
        "rest",
        "case s",
        "process s",
        "floor s",
        "case/floor",
        "GiB",
        "windows",
    )
    return (
        f"Seconds per stage; {inputs.DEFAULT_CASE} with its slices interpolated, so that the "
        f"anatomy is the same and the grid grows. Median of {chosen.runs} runs, one process each; "
        "`process` holds start-up and loading of the model too, `rest` the checks and reports "
        "between the stages.\n\n" + markdown_table(head, rows)
    )


def _floor(chosen: Options, run: Measurement) -> float | None:
    from FlareSegmentLib.bundle import read_info
    from FlareSegmentLib.resampling import grid_size

    region, entry = run.result["region"], read_info(chosen.model).network
    if region is None:
        return None
    size = tuple(entry.fixed_size) or grid_size(
        [stop - start for start, stop in region], run.result["spacing_mm"], entry.spacing
    )
    words = [*map(str, size), "--device", chosen.device, "--precision", run.result["precision"]]
    return measure("floor.py", chosen.model, *words).case_seconds


def _row(run: Measurement, floor: float | None) -> tuple[str, ...]:
    seconds = run.result["seconds"]
    stages = [f"{seconds[stage]:.2f}" if stage in seconds else "-" for stage in STAGES]
    rest = run.case_seconds - sum(seconds.values())
    windows = str(run.result["windows"])
    if run.result["windows_skipped"]:
        windows += f" of {run.result['windows'] + run.result['windows_skipped']}"
    return (
        " x ".join(str(n) for n in run.result["size"][::-1]),
        *stages,
        f"{rest:.2f}",
        f"{run.case_seconds:.2f}",
        f"{run.seconds:.2f}",
        "-" if floor is None else f"{floor:.2f}",
        "-" if floor is None else f"{run.case_seconds / floor:.2f}",
        f"{run.peak_bytes / GIB:.2f}",
        windows,
    )


if __name__ == "__main__":
    try:
        print(section(inputs.options(inputs.parser(__doc__).parse_args())))
    except (MissingInputError, ScriptFailedError) as problem:
        sys.exit(str(problem))
