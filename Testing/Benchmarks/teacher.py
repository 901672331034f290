"""Segment one scan with the FLARE 2025 laptop network through onnxruntime, as its README says.

Reading, resampling, windows and the argmax at full resolution are those of FlareSegmentLib, so
that the peer has the same fast surroundings as ours and the networks are compared. There is no
localiser: the whole scan is covered, as its authors do.

    python Testing/Benchmarks/teacher.py ../shared/teachers/flare25_light.onnx SCAN OUTPUT
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from measuring import ROOT  # noqa: F401  (sets the import path)

SPACING = (1.9736, 1.5380, 1.5380)
WINDOW = (96, 160, 160)
CLIP, MEAN, SCALE = (-970.0, 279.0), 79.5, 141.0
CHANNELS = 14
STEP = 0.6


def main() -> None:
    """Segment and print times as JSON."""
    start = time.perf_counter()
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("network", type=Path)
    command.add_argument("scan", type=Path)
    command.add_argument("output", type=Path)
    command.add_argument("--step", type=float, default=STEP)
    arguments = command.parse_args()

    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(arguments.network), providers=["CPUExecutionProvider"]
    )
    loaded = time.perf_counter()
    seconds, windows = segment(session, arguments.scan, arguments.output, arguments.step)
    print(
        json.dumps(
            {
                "ready_seconds": loaded - start,
                "case_seconds": time.perf_counter() - loaded,
                "seconds": seconds,
                "windows": windows,
            }
        )
    )


def segment(session: object, scan: Path, output: Path, step: float) -> tuple[dict[str, float], int]:
    """Segment one file; give the seconds per stage and the number of windows."""
    import numpy as np
    import torch

    from FlareSegmentLib.geometry import canonical_volume
    from FlareSegmentLib.labels import targets
    from FlareSegmentLib.reading import read_volume
    from FlareSegmentLib.resampling import grid_size, resample_volume
    from FlareSegmentLib.upsampling import upsample_argmax
    from FlareSegmentLib.windows import plan_windows
    from FlareSegmentLib.writing import write_label_map

    times = [time.perf_counter()]
    volume = read_volume(scan)
    canonical, order = canonical_volume(volume)
    times.append(time.perf_counter())

    size = grid_size(canonical.array.shape, canonical.spacing, SPACING)
    image = resample_volume(canonical.array, size).clamp_(*CLIP).sub_(MEAN).div_(SCALE).numpy()
    # Scans smaller than a window are padded with 0 after normalization: with air it fails.
    padding = [(0, max(0, w - n)) for w, n in zip(WINDOW, size, strict=True)]
    image = np.pad(image, padding)
    times.append(time.perf_counter())

    plan = plan_windows(image.shape, WINDOW, (1, 1, 1), step)
    weights = np.einsum("k,j,i->kji", *(plan.axis_weights(axis) for axis in range(3)))
    total = np.zeros((CHANNELS, *image.shape), dtype=np.float32)
    weight = np.zeros(image.shape, dtype=np.float32)
    for box in plan.boxes:
        logits = _logits(session, np.ascontiguousarray(image[box])[None, None])
        total[(slice(None), *box)] += logits * weights
        weight[box] += weights
    total /= weight
    times.append(time.perf_counter())

    k, j, i = size
    labels = upsample_argmax(torch.from_numpy(total)[:, :k, :j, :i], canonical.array.shape)
    times.append(time.perf_counter())
    # A FLARE id is the number of the channel.
    write_label_map(output, np.ascontiguousarray(order.undo(labels)), volume.affine, targets())
    times.append(time.perf_counter())
    stages = ("read", "resample", "network", "upsample", "write")
    spent = {stage: b - a for stage, a, b in zip(stages, times[:-1], times[1:], strict=True)}
    return spent, len(plan.boxes)


def _logits(session, window):  # type: ignore[no-untyped-def]
    """Run the network once: ``(1, 1, k, j, i)`` to ``(14, k, j, i)``."""
    (name,) = [node.name for node in session.get_inputs()]
    return session.run(None, {name: window})[0][0]


if __name__ == "__main__":
    main()
