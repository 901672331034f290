"""Segment one scan with FlareSegment's engine, from file to file.

python Testing/Benchmarks/ours.py Resources/Models/flare-base SCAN OUTPUT
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

from measuring import ROOT  # noqa: F401  (sets the import path)


def main() -> None:
    """Segment and print times and the engine's report as JSON."""
    start = time.perf_counter()
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("model", type=Path)
    command.add_argument("scan", type=Path)
    command.add_argument("output", type=Path)
    command.add_argument("--device", default="cpu")
    command.add_argument("--precision", default="auto")
    command.add_argument(
        "--bare", action="store_true", help="the whole scan, without localiser and clean-up"
    )
    command.add_argument("--spin", action="store_true", help="waiting threads spin, not sleep")
    arguments = command.parse_args()

    from FlareSegmentLib.waiting_threads import let_threads_sleep

    if not arguments.spin:
        let_threads_sleep()  # before PyTorch is imported

    from FlareSegmentLib.bundle import ModelBundle
    from FlareSegmentLib.labels import targets
    from FlareSegmentLib.localiser import LocaliserSettings
    from FlareSegmentLib.reading import read_volume
    from FlareSegmentLib.segmenter import InferenceSettings, Segmenter
    from FlareSegmentLib.writing import write_label_map

    bundle = ModelBundle.load(arguments.model)
    settings = replace(InferenceSettings.of(bundle.info.inference), precision=arguments.precision)
    if arguments.bare:
        settings = replace(settings, localiser=LocaliserSettings(enabled=False), cleanup=None)
    segmenter = Segmenter(bundle, arguments.device, settings)
    ready = time.perf_counter()
    volume = read_volume(arguments.scan)
    read = time.perf_counter()
    result = segmenter.segment(volume)
    segmented = time.perf_counter()
    write_label_map(arguments.output, result.array, result.affine, targets())
    done = time.perf_counter()
    seconds = {"read": read - ready, **result.report["seconds"], "write": done - segmented}
    seconds.pop("total", None)
    print(
        json.dumps(
            {
                "ready_seconds": ready - start,
                "case_seconds": done - ready,
                "seconds": seconds,
                "windows": result.report["windows"],
                "windows_skipped": result.report["windows_skipped"],
                "precision": result.report["precision"],
                "region": result.report["region_of_interest"],
                "spacing_mm": result.report["spacing_mm"],
                "size": result.report["size"],
            }
        )
    )


if __name__ == "__main__":
    main()
