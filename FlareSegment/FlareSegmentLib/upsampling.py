"""From logits on the network's grid to labels on the scan's grid, without full-size logits.

Trilinear interpolation is separable: each coarse slice of a class is enlarged in plane once
(two small matrix products), two neighbouring ones are blended per output slice, and a running
maximum keeps the best class. The result equals the argmax of fully interpolated logits.

A class is only computed where it can win. Inside a cell of eight coarse voxels that all have the
same winner, that winner wins everywhere (interpolation is a convex combination). In other cells
a class must reach the background at some corner. The box around those voxels, one coarse voxel
larger, contains every output voxel the class can get.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from .progress import Monitor
from .resampling import axis_weights, linear_taps, resample_volume
from .threads import in_threads

REDUCTION_LIMIT = 2.0
"""Above this reduction an axis is filtered before the argmax; see `resampling`."""

PLANES_KEPT = 2


SLAB = 12
"""Output slices at a time. In a thin slab the box around a class is small."""


@dataclass(frozen=True)
class ClassBox:
    """Where one class can win in a slab: coarse ranges (j, i) and the output ranges they touch."""

    channel: int
    coarse: tuple[slice, slice]
    fine: tuple[slice, slice]


def largest_channel(logits: Tensor) -> np.ndarray:
    """Channel of the largest logit, the first of equals: (channels, k, j, i) to uint8 (k, j, i).

    `Tensor.max` is the faster of the two over a leading axis on CPU; `Tensor.argmax` is not
    vectorized there.
    """
    return logits.max(0).indices.to(torch.uint8).cpu().numpy()


def boundary_cells(winner: np.ndarray) -> np.ndarray:
    """Voxels that belong to a cell whose eight corners do not all have the same winner.

    Parameters
    ----------
    winner
        (k, j, i) uint8 channel of the largest logit.
    """
    mixed = np.zeros(winner.shape, bool)
    for axis in range(3):
        lower = [slice(None)] * 3
        upper = [slice(None)] * 3
        lower[axis], upper[axis] = slice(None, -1), slice(1, None)
        differs = winner[tuple(lower)] != winner[tuple(upper)]
        mixed[tuple(lower)] |= differs
        mixed[tuple(upper)] |= differs
    # Corners of a mixed cell are at most one voxel, in every direction, from a mixed edge.
    return ndimage.maximum_filter(mixed, size=3)


def class_boxes(logits: Tensor, fine_size: tuple[int, int]) -> list[ClassBox]:
    """Boxes outside which a class cannot be the largest; channel 0 (background) is everywhere.

    Parameters
    ----------
    logits
        (channels, k, j, i) of a slab, any float type.
    fine_size
        Output voxels (j, i) of the same slab.

    Returns
    -------
    In the order of channels; boxes without an output voxel are left out.
    """
    winner = largest_channel(logits)
    present = np.bincount(winner.ravel(), minlength=logits.shape[0])
    if present[0] == winner.size:
        return []
    mixed = torch.from_numpy(boundary_cells(winner)).to(logits.device)
    boxes = []
    for channel in range(1, logits.shape[0]):
        possible = ((logits[channel] >= logits[0]) & mixed).any(0)
        if present[channel]:
            possible |= torch.from_numpy((winner == channel).any(0)).to(logits.device)
        lines = (possible.any(1), possible.any(0))
        if not lines[0].any():
            continue
        coarse, fine = [], []
        for line, size, new_size in zip(lines, logits.shape[2:], fine_size, strict=True):
            hits = line.nonzero()
            wide = slice(max(int(hits[0]) - 1, 0), min(int(hits[-1]) + 2, size))
            coarse.append(wide)
            fine.append(_touched(wide, size, new_size))
        if all(part.start < part.stop for part in fine):
            boxes.append(ClassBox(channel, (coarse[0], coarse[1]), (fine[0], fine[1])))
    return boxes


def _touched(coarse: slice, size: int, fine_size: int) -> slice:
    """Output voxels whose interpolation stays within the coarse range."""
    lower, upper, fraction = linear_taps(size, fine_size)
    first, last = np.where(fraction < 1, lower, upper), np.where(fraction > 0, upper, lower)
    inside = np.flatnonzero((first >= coarse.start) & (last < coarse.stop))
    return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)


def upsample_argmax(
    logits: Tensor, fine_size: tuple[int, int, int], monitor: Monitor | None = None
) -> np.ndarray:
    """Channel of the largest trilinearly interpolated logit for every output voxel.

    Parameters
    ----------
    logits
        (channels, k, j, i) on any device; channel 0 is background (zeros for a sigmoid head).
    fine_size
        Output voxels (k, j, i) covering the same box, voxel-edge aligned.
    monitor
        Told the fraction done; asked for cancel at every output slice.

    Returns
    -------
    (k, j, i) uint8 channel numbers. Peak memory is the result plus a few output slices per class.
    """
    monitor = monitor or Monitor()
    logits = reduce_axes(logits, fine_size)
    result = np.zeros(fine_size, np.uint8)
    taps = linear_taps(logits.shape[1], fine_size[0])

    def work(slab: slice) -> None:
        _upsample_slab(logits, taps, slab, result)

    slabs = [
        slice(start, min(start + SLAB, fine_size[0])) for start in range(0, fine_size[0], SLAB)
    ]
    in_threads(work, slabs, lambda fraction: monitor.step("upsample", fraction))
    return result


def _upsample_slab(
    logits: Tensor,
    taps: tuple[np.ndarray, np.ndarray, np.ndarray],
    slab: slice,
    result: np.ndarray,
) -> None:
    """Write the output slices `slab` of `result`; `taps` as `linear_taps` gives them for k."""
    lower, upper, fraction = (values[slab] for values in taps)
    first = int(lower[0])
    logits = logits[:, first : int(upper[-1]) + 1]
    plane = result.shape[1:]
    boxes = class_boxes(logits, plane)
    if not boxes:
        return
    j, i = (
        slice(min(b.fine[a].start for b in boxes), max(b.fine[a].stop for b in boxes))
        for a in range(2)
    )
    everywhere = ClassBox(0, (slice(0, logits.shape[2]), slice(0, logits.shape[3])), (j, i))
    background, *classes = (_Planes(logits, box, plane) for box in (everywhere, *boxes))
    for n in range(len(lower)):
        tap = (int(lower[n]) - first, int(upper[n]) - first, float(fraction[n]))
        best = background.blend(*tap)
        labels = torch.zeros(best.shape, dtype=torch.uint8, device=best.device)
        for one in classes:
            value, fine = one.blend(*tap), one.box.fine
            part = (
                slice(fine[0].start - j.start, fine[0].stop - j.start),
                slice(fine[1].start - i.start, fine[1].stop - i.start),
            )
            labels[part].masked_fill_(value > best[part], one.box.channel)
            torch.maximum(best[part], value, out=best[part])
        result[slab.start + n, j, i] = labels.cpu().numpy()


class _Planes:
    """In-plane enlarged coarse slices of one class; the last two are kept."""

    def __init__(self, logits: Tensor, box: ClassBox, fine_size: tuple[int, ...]) -> None:
        self.box = box
        self._logits = logits[box.channel]
        device = logits.device
        weights_j = axis_weights(logits.shape[2], fine_size[0])[box.fine[0], box.coarse[0]]
        weights_i = axis_weights(logits.shape[3], fine_size[1])[box.fine[1], box.coarse[1]]
        self._weights_j = torch.from_numpy(np.ascontiguousarray(weights_j)).to(device)
        self._weights_i = torch.from_numpy(np.ascontiguousarray(weights_i.T)).to(device)
        self._kept: dict[int, Tensor] = {}

    def _plane(self, k: int) -> Tensor:
        if k not in self._kept:
            while len(self._kept) >= PLANES_KEPT:
                del self._kept[min(self._kept)]
            coarse = self._logits[k, self.box.coarse[0], self.box.coarse[1]].float()
            self._kept[k] = self._weights_j @ (coarse @ self._weights_i)
        return self._kept[k]

    def blend(self, lower: int, upper: int, fraction: float) -> Tensor:
        """Logits of one output slice within the class's box; a new tensor."""
        return torch.lerp(self._plane(lower), self._plane(upper), fraction)


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
