"""Displacement fields: sampling, following a velocity, local change of volume, deforming scans.

Positions are millimetres (k, j, i) from the corner of a box; `extent` is the box's size in mm.
Nodes of a displacement span the box edge to edge, voxels fill it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from .label_values import IGNORE

SLAB = 16
"""Slices deformed at a time; bounds memory, not the result."""

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


def deform(
    image: np.ndarray, labels: np.ndarray, spacing: Sequence[float], displacement: Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Deform a scan and its labels.

    Parameters
    ----------
    image, labels
        (k, j, i) HU, and uint8 labels with 255 where nothing is known.
    spacing
        (k, j, i) mm.
    displacement
        (3, k, j, i) mm at nodes that span the box edge to edge: the voxel at p comes from
        p + displacement(p).

    Returns
    -------
    image, labels
        int16 by cubic splines, which keep the noise's grain; uint8 by each label's linearly
        sampled mask. What comes from beyond the scan repeats its border, labeled unknown.
    """
    smooth = ndimage.spline_filter(
        image.astype(np.float32), order=3, output=np.float32, mode="mirror"
    )
    present = [int(v) for v in np.unique(labels)]
    masks = torch.stack([torch.from_numpy((labels == v).astype(np.float32)) for v in present])
    values = torch.tensor(present, dtype=torch.uint8)
    nodes = _nodes_at_voxels(displacement, image.shape)
    warped, moved = np.empty(image.shape, np.int16), np.empty(image.shape, np.uint8)
    low, high = int(image.min()), int(image.max())
    size = torch.tensor(image.shape, dtype=torch.float32)
    steps = torch.tensor(spacing, dtype=torch.float32)
    axes = [torch.arange(n, dtype=torch.float32) for n in image.shape]
    for start in range(0, image.shape[0], SLAB):
        part = slice(start, min(start + SLAB, image.shape[0]))
        plain = torch.stack(torch.meshgrid(axes[0][part], axes[1], axes[2], indexing="ij"), -1)
        source = plain + nodes(part).permute(1, 2, 3, 0) / steps
        there = source.clamp(torch.zeros(3), size - 1).permute(3, 0, 1, 2).numpy()
        hu = ndimage.map_coordinates(smooth, there, order=3, prefilter=False, mode="mirror")
        warped[part] = hu.round().clip(low, high)
        grid = ((source + 0.5) / size * 2 - 1).flip(-1)[None]
        shares = functional.grid_sample(
            masks[None], grid, "bilinear", "border", align_corners=False
        )[0]
        found = values[shares.argmax(0)]
        outside = ((source < -0.5) | (source > size - 0.5)).any(-1)
        found[outside] = IGNORE
        moved[part] = found.numpy()
    return warped, moved


def _nodes_at_voxels(displacement: Tensor, shape: Sequence[int]) -> Callable[[slice], Tensor]:
    """Give a function from a slice of k to the displacement (3, k, j, i) mm of its voxels."""
    axes = [(torch.arange(n, dtype=torch.float32) + 0.5) / n * 2 - 1 for n in shape]

    def at(part: slice) -> Tensor:
        k, j, i = torch.meshgrid(axes[0][part], axes[1], axes[2], indexing="ij")
        grid = torch.stack([i, j, k], -1)[None]
        return functional.grid_sample(
            displacement[None], grid, "bilinear", "border", align_corners=True
        )[0]

    return at
