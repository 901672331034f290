"""How long the engine goes on after it was asked to stop, at nine moments of a case.

.venv-bench/bin/python Testing/Benchmarks/cancelling.py [--peer-slices 300]
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import inputs
from inputs import MissingInputError, Options
from measuring import ScriptFailedError, markdown_table, measure

MOMENTS = range(1, 10)
"""Tenths of the time that the case takes."""

AIM_SECONDS = 1.0


def section(chosen: Options) -> str:
    """Measure and give the part of the report."""
    model = inputs.model(chosen)
    scan, _ = inputs.resampled_scan(chosen, chosen.peer_slices)
    result = measure("cancelling.py", "--once", model, scan, chosen.device).result
    stops = result["stops"]
    longest = max((stop["seconds"] for stop in stops), default=0.0)
    reached = "reached" if longest <= AIM_SECONDS else "missed"
    size = " x ".join(str(n) for n in result["size"][::-1])
    rows = [(f"{stop['moment']} / 10", stop["stage"], f"{stop['seconds']:.2f}") for stop in stops]
    return (
        f"A scan of {size} voxels, {result['case_seconds']:.1f} s from open scan to label map, is "
        "stopped once at each tenth of that time; a run that ended before it was asked is left "
        f"out. The longest took {longest:.2f} s; at most {AIM_SECONDS:.0f} s was aimed for and is "
        f"{reached}.\n\n" + markdown_table(("asked after", "stage", "s until stopped"), rows)
    )


def _once(model: Path, scan: Path, device: str) -> dict[str, Any]:
    from FlareSegmentLib.bundle import ModelBundle
    from FlareSegmentLib.reading import read_volume
    from FlareSegmentLib.segmenter import Segmenter

    segmenter = Segmenter(ModelBundle.load(model), device)
    volume = read_volume(scan)
    segmenter.segment(volume)  # the first run prepares kernels
    start = time.perf_counter()
    segmenter.segment(volume)
    whole = time.perf_counter() - start
    stops = [_stopped(segmenter, volume, moment, whole * moment / 10) for moment in MOMENTS]
    return {
        "case_seconds": whole,
        "size": list(volume.array.shape),
        "stops": [stop for stop in stops if stop is not None],
    }


def _stopped(segmenter: Any, volume: Any, moment: int, after: float) -> dict[str, Any] | None:
    from FlareSegmentLib.errors import Cancelled

    asked = threading.Event()
    at: list[float] = []
    stage = ["start"]

    def ask() -> None:
        at.append(time.perf_counter())
        asked.set()

    def progress(name: str, fraction: float) -> None:
        if not asked.is_set():
            stage[0] = name

    timer = threading.Timer(after, ask)
    timer.start()
    try:
        segmenter.segment(volume, progress=progress, cancel=asked.is_set)
    except Cancelled:
        return {"moment": moment, "stage": stage[0], "seconds": time.perf_counter() - at[0]}
    finally:
        timer.cancel()
    return None


if __name__ == "__main__":
    if "--once" in sys.argv:
        model_folder, scan_file, device_name = sys.argv[2:5]
        print(json.dumps(_once(Path(model_folder), Path(scan_file), device_name)))
    else:
        try:
            print(section(inputs.options(inputs.parser(__doc__).parse_args())))
        except (MissingInputError, ScriptFailedError) as problem:
            sys.exit(str(problem))
