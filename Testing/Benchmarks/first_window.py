"""Segment until the network has seen its first window, and say when things happened.

    python Testing/Benchmarks/first_window.py MODEL SCAN STARTED DEVICE

STARTED is the time (seconds since the epoch) at which the caller started this process.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path

from measuring import ROOT  # noqa: F401  (sets the import path)


def main() -> None:
    """Run and print the marks as JSON."""
    model, scan, started, device = sys.argv[1:]
    marks = {"Python runs": time.time() - float(started)}

    from FlareSegmentLib.bundle import ModelBundle
    from FlareSegmentLib.errors import Cancelled
    from FlareSegmentLib.reading import read_volume
    from FlareSegmentLib.segmenter import Segmenter

    marks["libraries are imported"] = time.time() - float(started)
    segmenter = Segmenter(ModelBundle.load(Path(model)), device)
    marks["the model is loaded"] = time.time() - float(started)
    volume = read_volume(Path(scan))
    marks["the scan is read"] = time.time() - float(started)

    def progress(stage: str, fraction: float) -> None:
        # The localiser's windows report as "network" too, before anything is resampled.
        if stage == "resample" and fraction == 1.0:
            marks["the first window begins"] = time.time() - float(started)
        elif stage == "network" and fraction > 0 and "the first window begins" in marks:
            marks["the first window is done"] = time.time() - float(started)

    with contextlib.suppress(Cancelled):
        segmenter.segment(
            volume, progress=progress, cancel=lambda: "the first window is done" in marks
        )
    print(json.dumps({"marks": marks}))


if __name__ == "__main__":
    main()
