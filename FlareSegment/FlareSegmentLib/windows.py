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

    def rows(self) -> list[list[int]]:
        """Give the numbers of the boxes that lie side by side, row after row along k."""
        starts = sorted({box[0].start for box in self.boxes})
        return [[n for n, box in enumerate(self.boxes) if box[0].start == k] for k in starts]

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


FEWEST_FILTERED_ROWS = 5
"""Rows of windows from which on P3 filters: "more than four"."""

FEWEST_VOXELS = 100
"""Voxels of organs below which P3 takes a probed window for empty."""


def row_probes(plan: WindowPlan) -> tuple[int, ...]:
    """Places in a row of windows that P3 looks at first; empty where it looks at all.

    Of two by two windows the first and the last, of three by three the middle one (P3's code).
    When they hold fewer than `FEWEST_VOXELS` of organs, the rest of the row is taken for
    background. It misses organs that lie off the middle: a localiser is the better way.
    """
    rows = plan.rows()
    j, i = (len({box[axis].start for box in plan.boxes}) for axis in (1, 2))
    if len(rows) < FEWEST_FILTERED_ROWS:
        return ()
    return {(2, 2): (0, 3), (3, 3): (4,)}.get((j, i), ())


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


def evened_window(
    grid: Sequence[int], patch: Sequence[int], multiple: Sequence[int], step: float
) -> Size:
    """Window for a network that takes any size: as few as `patch` allows, none larger than needed.

    Parameters
    ----------
    grid, patch, multiple, step
        As for `plan_windows`; neighbours overlap by (1 - step) of `patch`.
    """
    size = []
    for length, largest, unit in zip(grid, patch, multiple, strict=True):
        largest = min(length, max(unit, largest // unit * unit))
        overlap = math.ceil((1 - step) * largest)
        count = 1 if largest >= length else math.ceil((length - overlap) / (largest - overlap))
        size.append(min(largest, math.ceil((length + (count - 1) * overlap) / count / unit) * unit))
    return (size[0], size[1], size[2])


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
