"""Forms of tumors: lobes that grew together, with an uneven surface."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def tumor_distance(
    centre: np.ndarray,
    radius: float,
    shape: Sequence[int],
    rng: np.random.Generator,
    spacing: Sequence[float],
    device: torch.device,
) -> tuple[tuple[slice, ...], Tensor]:
    """Signed distance in mm, negative inside, to a random tumor, and the box it fills.

    Parameters
    ----------
    centre
        (k, j, i) voxels.
    radius
        Mean radius in mm.
    shape, spacing
        Of the crop: (k, j, i) voxels, and mm.

    Returns
    -------
    box, distance
        Slices into the crop, and the approximate distance on them.
    """
    reach = [int(np.ceil((1.6 * radius + 3) / s)) + 1 for s in spacing]
    box = tuple(
        slice(max(int(c) - r, 0), min(int(c) + r + 1, n))
        for c, r, n in zip(centre, reach, shape, strict=True)
    )
    axes = [
        torch.arange(part.start, part.stop, device=device, dtype=torch.float32).sub_(float(c)) * s
        for part, c, s in zip(box, centre, spacing, strict=True)
    ]
    lobes = 1 if radius < 6 else int(rng.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))
    size = radius * {1: 1.0, 2: 0.85, 3: 0.75}[lobes]
    distance = _ellipsoid(axes, np.zeros(3), size, rng)
    for _ in range(lobes - 1):
        away = rng.normal(0, 1, 3)
        away *= 0.7 * size / np.linalg.norm(away)
        lobe = _ellipsoid(axes, away, size * float(rng.uniform(0.5, 0.95)), rng)
        distance = _grown_together(distance, lobe, 0.2 * radius)
    for nodes, height in ((5, 0.14), (9, 0.06)):
        distance = distance + _bumps(distance.shape, nodes, height * radius, rng, device)
    return box, distance


def _ellipsoid(
    axes: Sequence[Tensor], middle: np.ndarray, radius: float, rng: np.random.Generator
) -> Tensor:
    """Approximate distance to an ellipsoid that lies anyhow."""
    turn, _ = np.linalg.qr(rng.normal(0, 1, (3, 3)))
    stretch = np.exp(rng.normal(0, 0.22, 3))
    metric = (turn / stretch) @ (turn / stretch).T
    k, j, i = (
        axis.sub(float(m)).reshape([-1 if n == a else 1 for a in range(3)])
        for n, (axis, m) in enumerate(zip(axes, middle, strict=True))
    )
    square = metric[0, 0] * k * k + metric[1, 1] * j * j + 2 * metric[0, 1] * k * j
    square = square + metric[2, 2] * i * i + 2 * (metric[0, 2] * k + metric[1, 2] * j) * i
    return square.clamp_(min=0).sqrt_() - radius


def _grown_together(one: Tensor, other: Tensor, fillet: float) -> Tensor:
    """Distance to the union of two bodies, the groove between them filled over `fillet` mm."""
    gap = (one - other).abs()
    return torch.minimum(one, other) - (fillet - gap).clamp(min=0) ** 2 / (4 * fillet)


def _bumps(
    shape: Sequence[int], nodes: int, height: float, rng: np.random.Generator, device: torch.device
) -> Tensor:
    coarse = torch.from_numpy(rng.normal(0, height, (nodes,) * 3).astype(np.float32))
    return functional.interpolate(
        coarse[None, None].to(device), size=tuple(shape), mode="trilinear", align_corners=True
    )[0, 0]
