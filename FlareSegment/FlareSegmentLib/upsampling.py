"""From logits on the network's grid to labels on the scan's grid, without full-size logits.

Inside a cell of eight coarse voxels that all have the same winner, that winner wins everywhere:
trilinear interpolation is a convex combination. So only blocks of cells with different winners are
interpolated, and in them only the background and the classes that reach it at some corner. The
interpolation is separable: two small matrix products in plane, one along k. The result equals the
argmax of fully interpolated logits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .progress import Monitor
from .resampling import axis_weights, linear_taps, resample_volume
from .threads import in_threads

REDUCTION_LIMIT = 2.0
"""Above this reduction an axis is filtered before the argmax; see `resampling`."""

BLOCK = (8, 16, 16)
"""Cells (k, j, i) of a block. Small enough that most are of one class, and for a core's cache."""


def largest_channel(logits: Tensor) -> np.ndarray:
    """Channel of the largest logit, the first of equals: (channels, k, j, i) to uint8 (k, j, i)."""
    result = np.empty(logits.shape[1:], np.uint8)

    def fill(slab: slice) -> None:
        # `Tensor.max` is the faster of the two over a leading axis; `argmax` is not vectorized.
        result[slab] = logits[:, slab].max(0).indices.to(torch.uint8).cpu().numpy()

    starts = range(0, len(result), BLOCK[0])
    in_threads(fill, [slice(start, start + BLOCK[0]) for start in starts])
    return result


def upsample_argmax(
    logits: Tensor,
    fine_size: tuple[int, int, int],
    monitor: Monitor | None = None,
    winner: np.ndarray | None = None,
) -> np.ndarray:
    """Channel of the largest trilinearly interpolated logit for every output voxel.

    Parameters
    ----------
    logits
        (channels, k, j, i) on any device; channel 0 is background (zeros for a sigmoid head).
    fine_size
        Output voxels (k, j, i) covering the same box, voxel-edge aligned.
    monitor
        Told the fraction done; asked for cancel between blocks of slices.
    winner
        What `largest_channel` gives for `reduce_axes` of the logits, where it is known already.

    Returns
    -------
    (k, j, i) uint8 channel numbers. Peak memory is the result and some MB per thread.
    """
    monitor = monitor or Monitor()
    logits = reduce_axes(logits, fine_size).cpu()
    if winner is None:
        winner = largest_channel(logits)
    upsampling = _Upsampling(logits, winner, fine_size)
    in_threads(
        upsampling.fill,
        upsampling.axes[0].blocks,
        lambda fraction: monitor.step("upsample", fraction),
    )
    return upsampling.result


@dataclass(frozen=True)
class Block:
    """Cells of one axis: coarse voxels at their corners, output voxels in them."""

    coarse: slice
    fine: slice


class Axis:
    """One axis of an enlargement, cut into blocks that share out the output voxels.

    Parameters
    ----------
    size, new_size
        Coarse and output voxels.
    cells
        Of a block.

    Attributes
    ----------
    nearest
        (new_size,) a coarse voxel at a corner of each output voxel's cell.
    """

    def __init__(self, size: int, new_size: int, cells: int) -> None:
        self.nearest, upper, _ = linear_taps(size, new_size)
        self.weights = torch.from_numpy(axis_weights(size, new_size))
        self.blocks: list[Block] = []
        starts = np.searchsorted(self.nearest, np.arange(0, size, cells))
        for start, stop in zip(starts, [*starts[1:], new_size], strict=True):
            if start < stop:
                coarse = slice(int(self.nearest[start]), int(upper[stop - 1]) + 1)
                self.blocks.append(Block(coarse, slice(int(start), int(stop))))

    def weights_of(self, block: Block) -> Tensor:
        """(output, coarse) voxels of a block: what each takes from each."""
        return self.weights[block.fine, block.coarse]


class _Upsampling:
    """One call of `upsample_argmax`; `fill` may run for several blocks along k at a time."""

    def __init__(self, logits: Tensor, winner: np.ndarray, fine_size: tuple[int, int, int]) -> None:
        self.logits, self.winner = logits, winner
        self.result = np.zeros(fine_size, np.uint8)
        self.axes = [
            Axis(n, m, cells)
            for n, m, cells in zip(logits.shape[1:], fine_size, BLOCK, strict=True)
        ]

    def fill(self, k: Block) -> None:
        """Write the output slices of a block along k."""
        winner = self.winner[k.coarse]
        if not winner.any():
            return
        of_k, of_j, of_i = self.axes
        # Right wherever the corners of a cell agree; the other blocks are written again.
        planes = winner[:, of_j.nearest][:, :, of_i.nearest]
        np.take(planes, of_k.nearest[k.fine] - k.coarse.start, 0, out=self.result[k.fine])
        for j in of_j.blocks:
            for i in of_i.blocks:
                corners = winner[:, j.coarse, i.coarse]
                if corners.min() != corners.max():
                    self._interpolate(k, j, i)

    def _interpolate(self, k: Block, j: Block, i: Block) -> None:
        logits = self.logits[:, k.coarse, j.coarse, i.coarse].flatten(1).float()
        wins = (logits[1:] >= logits[0]).any(1)
        channels = [0, *(wins.nonzero()[:, 0] + 1).tolist()]
        size = tuple(part.coarse.stop - part.coarse.start for part in (k, j, i))
        few = logits[channels].view(len(channels), *size)
        weights = [axis.weights_of(b) for axis, b in zip(self.axes, (k, j, i), strict=True)]
        few = weights[1] @ (few @ weights[2].T)
        fine = (weights[0] @ few.flatten(2)).view(len(channels), -1, *few.shape[2:])
        best, labels = fine[0], torch.zeros(fine.shape[1:], dtype=torch.uint8)
        for channel, value in zip(channels[1:], fine[1:], strict=True):
            labels.masked_fill_(value > best, channel)
            torch.maximum(best, value, out=best)
        self.result[k.fine, j.fine, i.fine] = labels.numpy()


def reduce_axes(logits: Tensor, fine_size: tuple[int, int, int]) -> Tensor:
    """Filter every axis that shrinks more than twofold down to its final size.

    Parameters
    ----------
    logits
        (channels, k, j, i), any float type.
    fine_size
        Output voxels (k, j, i) of the same region.

    Returns
    -------
    (channels, k, j, i); `logits` itself where no axis shrinks so much.
    """
    for axis, (size, new_size) in enumerate(zip(logits.shape[1:], fine_size, strict=True)):
        if size / new_size > REDUCTION_LIMIT:
            weights = torch.from_numpy(axis_weights(size, new_size)).to(logits.device)
            moved = logits.float().movedim(axis + 1, -1) @ weights.T
            logits = moved.movedim(-1, axis + 1)
    return logits


def reference_argmax(logits: Tensor, fine_size: tuple[int, int, int]) -> np.ndarray:
    """The same by brute force: all logits at full size, then argmax. For tests and benchmarks."""
    full = torch.stack([resample_volume(c.float().cpu().numpy(), fine_size) for c in logits])
    return full.argmax(0).to(torch.uint8).numpy()


def upsample_labels(logits: Tensor, fine_size: tuple[int, int, int]) -> np.ndarray:
    """Argmax first, then the nearest label: P1's fast inference, worse at every boundary."""
    labels = largest_channel(logits)
    nearest = [
        np.minimum(((np.arange(m) + 0.5) * (n / m)).astype(np.int64), n - 1)
        for n, m in zip(labels.shape, fine_size, strict=True)
    ]
    return labels[np.ix_(*nearest)]
