"""One forward pass of the house network, and of the U-Net with features at full resolution.

Both have the same widths, so about the same parameters; random weights, float32, one window.

    .venv-bench/bin/python Testing/Benchmarks/networks.py
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import inputs
from inputs import Options
from measuring import GIB, ScriptFailedError, markdown_table, measure, median_run, runs_said

STEMS = {"2 x 2 x 2 sub-voxels": (2, 2, 2), "1 x 2 x 2": (1, 2, 2), "full resolution": (1, 1, 1)}
WINDOW = (64, 128, 128)


def section(chosen: Options) -> str:
    """Measure and give the part of the report."""
    rows = []
    for name, stem in STEMS.items():
        words = ["--stem", *map(str, stem)]
        run = median_run([measure("networks.py", *words) for _ in range(chosen.runs)])
        seconds, parameters = run.result["window_seconds"], run.result["parameters"]
        rows.append(
            (name, f"{parameters / 1e6:.2f}", f"{seconds:.2f}", f"{run.peak_bytes / GIB:.2f}")
        )
    size = " x ".join(map(str, WINDOW))
    return (
        f"`SubvoxelUNet` by the grid of its finest features; one window of {size} voxels in "
        f"float32, fastest of 3, {runs_said(chosen.runs)}, each a process.\n\n"
        + markdown_table(("finest features", "million parameters", "s", "GiB"), rows)
    )


def _forward(stem: tuple[int, int, int]) -> dict[str, float]:
    import torch

    from FlareSegmentLib.network import SubvoxelUNet, UNetSettings

    network = SubvoxelUNet(UNetSettings(stem_stride=stem)).eval()
    network = network.to(memory_format=torch.channels_last_3d)
    window = torch.randn(1, 1, *WINDOW)
    times = []
    with torch.inference_mode():
        network(window)
        for _ in range(3):
            start = time.perf_counter()
            network(window)
            times.append(time.perf_counter() - start)
    parameters = sum(p.numel() for p in network.parameters())
    return {"parameters": parameters, "window_seconds": min(times)}


if __name__ == "__main__":
    if "--stem" in sys.argv:
        command = argparse.ArgumentParser()
        command.add_argument("--stem", type=int, nargs=3)
        k, j, i = command.parse_args().stem
        print(json.dumps(_forward((k, j, i))))
    else:
        try:
            print(section(inputs.options(inputs.parser(__doc__).parse_args())))
        except ScriptFailedError as problem:
            sys.exit(str(problem))
