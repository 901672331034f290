"""Windows: how a network of limited size covers a region."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Box = tuple[slice, slice, slice]
Size = tuple[int, int, int]


@dataclass(frozen=True)
class WindowPlan:
    """Windows of one size that cover a grid, and the weights with which they are blended.

    Attributes
    ----------
    grid
        Covered grid (k, j, i) voxels.
    size
        Size of every window (k, j, i) voxels; never larger than the grid.
    boxes
        Position of each window.
    """

    grid: Size
    size: Size
    boxes: tuple[Box, ...]

    def axis_weights(self, axis: int) -> np.ndarray:
        """Blending weights along one axis, float32; constant where windows do not overlap.

        A Gaussian of an eighth of the window, as in nnU-Net: voxels near a window's border see
        half of their surroundings only.
        """
        length = self.size[axis]
        if length >= self.grid[axis]:
            return np.ones(length, np.float32)
        position = (np.arange(length) + 0.5) / length - 0.5
        weights = np.exp(-0.5 * (position / 0.125) ** 2)
        return np.maximum(weights, 1e-3).astype(np.float32)


def round_up(size: Sequence[int], multiple: Sequence[int]) -> Size:
    """Smallest size not below `size` that is a multiple of `multiple`, per axis."""
    k, j, i = (math.ceil(n / m) * m for n, m in zip(size, multiple, strict=True))
    return (k, j, i)


def _starts(length: int, window: int, step: float) -> list[int]:
    """Evenly spread starts, neighbours at most `step` of a window apart."""
    if window >= length:
        return [0]
    count = math.ceil((length - window) / max(1.0, step * window)) + 1
    return [round(n * (length - window) / (count - 1)) for n in range(count)]


def plan_windows(
    grid: Sequence[int], patch: Sequence[int], multiple: Sequence[int], step: float
) -> WindowPlan:
    """Cover `grid` with windows of at most `patch` voxels.

    Parameters
    ----------
    grid
        Region (k, j, i) voxels, a multiple of `multiple`.
    patch
        Largest window; taken down to a multiple, at least one multiple.
    multiple
        What the network's input must be divisible by.
    step
        Distance of neighbouring windows as a share of the window, 0 < step <= 1.
    """
    size = tuple(min(g, max(m, p // m * m)) for g, p, m in zip(grid, patch, multiple, strict=True))
    starts = [_starts(g, s, step) for g, s in zip(grid, size, strict=True)]
    boxes = tuple(
        (slice(k, k + size[0]), slice(j, j + size[1]), slice(i, i + size[2]))
        for k, j, i in itertools.product(*starts)
    )
    k, j, i = grid
    return WindowPlan((k, j, i), (size[0], size[1], size[2]), boxes)
