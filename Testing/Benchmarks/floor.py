"""The least time the network can take: one forward pass over a region, without overlap.

Windows of the bundle's size at the engine's precision; the time per voxel of the fastest window
(after one to warm up) times the voxels of the region at working resolution. Also: into how many
overlapping windows the engine divides the region.

    python Testing/Benchmarks/floor.py Resources/Models/flare-base 103 180 250
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import replace
from pathlib import Path

from measuring import ROOT  # noqa: F401  (sets the import path)


def main() -> None:
    """Measure and print the seconds as JSON."""
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("model", type=Path)
    command.add_argument("size", type=int, nargs=3, help="region k j i in voxels of the bundle")
    command.add_argument("--device", default="cpu")
    command.add_argument("--precision", default="auto")
    command.add_argument("--repeats", type=int, default=3)
    arguments = command.parse_args()

    import torch

    from FlareSegmentLib.bundle import ModelBundle
    from FlareSegmentLib.segmenter import InferenceSettings, Segmenter

    bundle = ModelBundle.load(arguments.model)
    settings = replace(InferenceSettings.of(bundle.info.inference), precision=arguments.precision)
    segmenter = Segmenter(bundle, arguments.device, settings)
    predictor = segmenter.predictor
    plan = predictor.plan(arguments.size, predictor.patch, settings.step)
    window = torch.randn(plan.size)
    best = math.inf
    with torch.inference_mode():
        predictor.forward(window)
        for _ in range(arguments.repeats):
            start = time.perf_counter()
            predictor.forward(window)
            best = min(best, time.perf_counter() - start)
    seconds = best * math.prod(arguments.size) / window.numel()
    report = {"case_seconds": seconds, "window": list(plan.size), "window_seconds": best}
    print(json.dumps(report | {"windows": len(plan.boxes)}))


if __name__ == "__main__":
    main()
