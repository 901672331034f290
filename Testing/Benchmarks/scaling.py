"""Our engine on volumes of more and more slices: time per stage, memory, time over the floor.

The floor is one forward pass over the region the localiser cropped, at working resolution,
without overlap (`floor.py`).

    .venv-bench/bin/python Testing/Benchmarks/scaling.py --slices 55 150
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

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

STAGES = ("read", "localise", "resample", "network", "upsample", "write")
AIM = 2.0
"""Times the floor that a case should take at most."""


@dataclass(frozen=True)
class Floor:
    """The least time of the network on one case.

    Attributes
    ----------
    seconds
        Of one forward pass over the region without overlap.
    windows_seconds
        Of the forward passes over the windows that the engine computed.
    overlap
        Voxels in these windows, in times of the region's voxels.
    """

    seconds: float
    windows_seconds: float
    overlap: float


def section(chosen: Options) -> str:
    """Measure and give the part of the report."""
    model = inputs.model(chosen)
    runs = []
    for slices in chosen.slices:
        scan, _ = inputs.resampled_scan(chosen, slices)
        output = chosen.work / "scaling_seg.nii.gz"
        run = median_run(
            [
                measure("ours.py", model, scan, output, "--device", chosen.device)
                for _ in range(chosen.runs)
            ]
        )
        runs.append((run, _floor(chosen, run)))
    head = ("case s", "process s", "floor s", "case/floor", "open/floor", "GiB", "windows")
    return "\n\n".join(
        [
            f"Seconds per stage; {inputs.DEFAULT_CASE} with its slices interpolated, so that the "
            f"anatomy is the same and the grid grows; {runs_said(chosen.runs)}, one process each. "
            "`process` holds start-up and loading of the model too, `rest` the checks and reports "
            "between the stages. `open` is a case without `read` and `write`: from an opened scan "
            "to its label map, as in Slicer.",
            markdown_table(("volume", *STAGES, "rest", *head), [_row(*each) for each in runs]),
            *_over_floor([(run, floor) for run, floor in runs if floor is not None]),
        ]
    )


def _floor(chosen: Options, run: Measurement) -> Floor | None:
    from FlareSegmentLib.bundle import read_info
    from FlareSegmentLib.resampling import grid_size

    region, entry = run.result["region"], read_info(chosen.model).network
    if region is None:
        return None
    size = tuple(entry.fixed_size) or grid_size(
        [stop - start for start, stop in region], run.result["spacing_mm"], entry.spacing
    )
    words = [*map(str, size), "--device", chosen.device, "--precision", run.result["precision"]]
    measured = measure("floor.py", chosen.model, *words)
    one, seconds = measured.result["window_seconds"], measured.case_seconds
    # Counted anew: the engine's own number has the localiser's windows in it.
    passes = (measured.result["windows"] - run.result["windows_skipped"]) * one
    return Floor(seconds, passes, passes / seconds)


def _row(run: Measurement, floor: Floor | None) -> tuple[str, ...]:
    seconds = run.result["seconds"]
    stages = [f"{seconds[stage]:.2f}" if stage in seconds else "-" for stage in STAGES]
    windows = str(run.result["windows"])
    if run.result["windows_skipped"]:
        windows += f" of {run.result['windows'] + run.result['windows_skipped']}"
    return (
        _size(run),
        *stages,
        f"{_rest(run):.2f}",
        f"{run.case_seconds:.2f}",
        f"{run.seconds:.2f}",
        "-" if floor is None else f"{floor.seconds:.2f}",
        "-" if floor is None else f"{run.case_seconds / floor.seconds:.1f}",
        "-" if floor is None else f"{_opened(run) / floor.seconds:.1f}",
        f"{run.peak_bytes / GIB:.2f}",
        windows,
    )


def _size(run: Measurement) -> str:
    return " x ".join(str(n) for n in run.result["size"][::-1])


def _rest(run: Measurement) -> float:
    return run.case_seconds - sum(run.result["seconds"].values())


def _opened(run: Measurement) -> float:
    """Seconds of a case from the opened scan to the label map."""
    seconds = run.result["seconds"]
    return run.case_seconds - seconds["read"] - seconds["write"]


def _over_floor(runs: list[tuple[Measurement, Floor]]) -> list[str]:
    """Say where the time beyond the floor goes, in times of the floor; nothing without a floor."""
    if not runs:
        return []
    ratios = [run.case_seconds / floor.seconds for run, floor in runs]
    opened = [_opened(run) / floor.seconds for run, floor in runs]
    reached = "reached" if max(ratios) <= AIM else "missed"
    overlaps = [floor.overlap for _, floor in runs]
    head = ("volume", "floor", "overlap", "around it", *(s for s in STAGES if s != "network"))
    return [
        f"A case takes {_span(ratios)} times the floor; at most {AIM:.0f} "
        f"was aimed for and is {reached}. From the opened scan it takes {_span(opened)} times the "
        "floor. Where the rest goes, in times of the floor: `overlap` is "
        "what the network computes beyond the region, because sizes are rounded up and regions "
        "larger than a window take several that overlap: windows hold "
        f"{_span(overlaps)} times the voxels of the region. `around it` is "
        "blending and cleaning up; `read` and `write` are mostly gzip, and they, `resample` "
        "and `upsample` grow with the scan while the floor does not.",
        markdown_table((*head, "rest"), [_shares(*each) for each in runs]),
    ]


def _span(values: list[float]) -> str:
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low} to {high}"


def _shares(run: Measurement, floor: Floor) -> tuple[str, ...]:
    seconds = run.result["seconds"]
    parts = [
        floor.seconds,
        floor.windows_seconds - floor.seconds,
        seconds["network"] - floor.windows_seconds,
        *(seconds.get(stage, 0.0) for stage in STAGES if stage != "network"),
        _rest(run),
    ]
    return (_size(run), *(f"{part / floor.seconds:.1f}" for part in parts))


if __name__ == "__main__":
    try:
        print(section(inputs.options(inputs.parser(__doc__).parse_args())))
    except (MissingInputError, ScriptFailedError) as problem:
        sys.exit(str(problem))
