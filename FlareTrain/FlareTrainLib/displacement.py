"""Displacement fields: sampling, following a velocity, local change of volume.

Positions are millimetres (k, j, i) from the corner of a box; `extent` is the box's size in mm.
Nodes of a displacement span the box edge to edge, voxels fill it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

SQUARINGS = 6
"""A velocity is followed in 2 to the power of this many steps."""


def sample(field: Tensor, points: Tensor, extent: Tensor) -> Tensor:
    """Values (c, n) of voxels (c, k, j, i) that fill the box, at points (n, 3) mm.

    Beyond the box the border is continued.
    """
    grid = (points / extent * 2 - 1).flip(-1)[None, None, None]
    return functional.grid_sample(field[None], grid, "bilinear", "border", align_corners=False)[
        0, :, 0, 0
    ]


def sample_nodes(field: Tensor, points: Tensor, extent: Tensor) -> Tensor:
    """Values (c, n) of nodes (c, k, j, i) that span the box edge to edge, at points (n, 3) mm."""
    grid = (points / extent * 2 - 1).flip(-1)[None, None, None]
    return functional.grid_sample(field[None], grid, "bilinear", "border", align_corners=True)[
        0, :, 0, 0
    ]


def exponential(velocity: Tensor, extent: Tensor) -> Tensor:
    """Displacement (3, k, j, i) mm of following a velocity (mm) for a time of one."""
    axes = [torch.linspace(0, float(e), n) for e, n in zip(extent, velocity.shape[1:], strict=True)]
    nodes = torch.stack(torch.meshgrid(*axes, indexing="ij")).reshape(3, -1)
    flow = velocity / 2**SQUARINGS
    for _ in range(SQUARINGS):
        flow = flow + sample_nodes(flow, (nodes + flow.reshape(3, -1)).T, extent).reshape(
            flow.shape
        )
    return flow


def jacobian(displacement: Tensor, extent: Sequence[float]) -> Tensor:
    """Local change of volume (k, j, i) between nodes of a displacement (3, k, j, i) mm."""
    size = displacement.shape[1:]
    rows = []
    for axis in range(3):
        forward = displacement.diff(dim=axis + 1) * ((size[axis] - 1) / float(extent[axis]))
        cut = [slice(None)] + [slice(0, n - 1) for n in size]
        cut[axis + 1] = slice(None)
        rows.append(forward[tuple(cut)])
    (a, b, c), (d, e, f), (g, h, i) = rows
    a, e, i = a + 1, e + 1, i + 1
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def jacobian_range(displacement: Tensor, extent: Sequence[float]) -> tuple[float, float]:
    """Smallest and largest local change of volume, between the nodes too."""
    size = [2 * n - 1 for n in displacement.shape[1:]]
    fine = functional.interpolate(
        displacement[None], size=size, mode="trilinear", align_corners=True
    )[0]
    values = jacobian(fine, extent)
    return float(values.min()), float(values.max())
