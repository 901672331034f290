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
    command.add_argument(
        "--scales", type=float, nargs="+", default=[1.0], help="mean over working spacings x these"
    )
    command.add_argument(
        "--each", type=Path, metavar="FOLDER", help="also write FOLDER/<scale>/<name of OUTPUT>"
    )
    arguments = command.parse_args()

    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(arguments.network), providers=["CPUExecutionProvider"]
    )
    loaded = time.perf_counter()
    if arguments.scales == [1.0]:
        seconds, windows = segment(session, arguments.scan, arguments.output, arguments.step)
        report: dict[str, object] = {"seconds": seconds, "windows": windows}
    else:
        report = {"scale_seconds": segment_at_scales(session, arguments)}
    done = time.perf_counter()
    print(json.dumps({"ready_seconds": loaded - start, "case_seconds": done - loaded} | report))


def segment(session: object, scan: Path, output: Path, step: float) -> tuple[dict[str, float], int]:
    """Segment one file; give the seconds per stage and the number of windows."""
    import numpy as np

    from FlareSegmentLib.geometry import canonical_volume
    from FlareSegmentLib.labels import targets
    from FlareSegmentLib.reading import read_volume
    from FlareSegmentLib.upsampling import upsample_argmax
    from FlareSegmentLib.writing import write_label_map

    times = [time.perf_counter()]
    volume = read_volume(scan)
    canonical, order = canonical_volume(volume)
    times.append(time.perf_counter())
    image, size = working_image(canonical, SPACING)
    times.append(time.perf_counter())
    logits, windows = predicted(session, image, size, step)
    times.append(time.perf_counter())
    labels = upsample_argmax(logits, canonical.array.shape)
    times.append(time.perf_counter())
    # A FLARE id is the number of the channel.
    write_label_map(output, np.ascontiguousarray(order.undo(labels)), volume.affine, targets())
    times.append(time.perf_counter())
    stages = ("read", "resample", "network", "upsample", "write")
    spent = {stage: b - a for stage, a, b in zip(stages, times[:-1], times[1:], strict=True)}
    return spent, windows


def segment_at_scales(session: object, arguments: argparse.Namespace) -> dict[str, float]:
    """Segment at several working spacings and write the mean; give the seconds per scale.

    Probabilities of all scales are brought to the grid of the first, averaged and upsampled.
    """
    import numpy as np
    import torch.nn.functional as functional

    from FlareSegmentLib.geometry import canonical_volume
    from FlareSegmentLib.labels import targets
    from FlareSegmentLib.reading import read_volume
    from FlareSegmentLib.upsampling import upsample_argmax
    from FlareSegmentLib.writing import write_label_map

    volume = read_volume(arguments.scan)
    canonical, order = canonical_volume(volume)

    def write(channels, output: Path) -> None:  # type: ignore[no-untyped-def]
        labels = upsample_argmax(channels, canonical.array.shape)
        output.parent.mkdir(parents=True, exist_ok=True)
        write_label_map(output, np.ascontiguousarray(order.undo(labels)), volume.affine, targets())

    total, spent = None, {}
    for scale in arguments.scales:
        start = time.perf_counter()
        spacing = (SPACING[0] * scale, SPACING[1] * scale, SPACING[2] * scale)
        logits, _ = predicted(session, *working_image(canonical, spacing), arguments.step)
        probabilities = logits.softmax(dim=0)
        if arguments.each is not None:
            write(probabilities, arguments.each / f"{scale:g}" / arguments.output.name)
        spent[f"{scale:g}"] = time.perf_counter() - start
        if total is None:
            total = probabilities
        else:
            total += functional.interpolate(
                probabilities[None], total.shape[1:], mode="trilinear", align_corners=False
            )[0]
    write(total / len(arguments.scales), arguments.output)
    return spent


def working_image(canonical, spacing):  # type: ignore[no-untyped-def]
    """Give the normalized scan at the network's spacing, padded to a window, and its true size."""
    import numpy as np

    from FlareSegmentLib.resampling import grid_size, resample_volume

    size = grid_size(canonical.array.shape, canonical.spacing, spacing)
    image = resample_volume(canonical.array, size).clamp_(*CLIP).sub_(MEAN).div_(SCALE).numpy()
    # Scans smaller than a window are padded with 0 after normalization: with air it fails.
    return np.pad(image, [(0, max(0, w - n)) for w, n in zip(WINDOW, size, strict=True)]), size


def predicted(session, image, size, step):  # type: ignore[no-untyped-def]
    """Give logits (14, k, j, i) over `size`, and how many windows they took."""
    import numpy as np
    import torch

    from FlareSegmentLib.windows import plan_windows

    plan = plan_windows(image.shape, WINDOW, (1, 1, 1), step)
    weights = np.einsum("k,j,i->kji", *(plan.axis_weights(axis) for axis in range(3)))
    total = np.zeros((CHANNELS, *image.shape), dtype=np.float32)
    weight = np.zeros(image.shape, dtype=np.float32)
    for box in plan.boxes:
        logits = _logits(session, np.ascontiguousarray(image[box])[None, None])
        total[(slice(None), *box)] += logits * weights
        weight[box] += weights
    total /= weight
    k, j, i = size
    return torch.from_numpy(total)[:, :k, :j, :i], len(plan.boxes)


def _logits(session, window):  # type: ignore[no-untyped-def]
    """Run the network once: ``(1, 1, k, j, i)`` to ``(14, k, j, i)``."""
    (name,) = [node.name for node in session.get_inputs()]
    return session.run(None, {name: window})[0][0]


if __name__ == "__main__":
    main()
