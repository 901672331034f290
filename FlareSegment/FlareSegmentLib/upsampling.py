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

REDUCTION_LIMIT = 2.0
"""Above this reduction an axis is filtered before the argmax; see `resampling`."""

PLANES_KEPT = 2


@dataclass(frozen=True)
class ClassBox:
    """Where one class can win: coarse voxel ranges and the output ranges they touch."""

    channel: int
    coarse: tuple[slice, slice, slice]
    fine: tuple[slice, slice, slice]


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


def class_boxes(logits: Tensor, fine_size: tuple[int, int, int]) -> list[ClassBox]:
    """Boxes outside which a class cannot be the largest; channel 0 (background) is everywhere.

    Parameters
    ----------
    logits
        (channels, k, j, i), any float type.
    fine_size
        Output voxels (k, j, i) of the same region.
    """
    winner = largest_channel(logits)
    mixed = torch.from_numpy(boundary_cells(winner)).to(logits.device)
    present = np.bincount(winner.ravel(), minlength=logits.shape[0])
    boxes = []
    for channel in range(1, logits.shape[0]):
        possible = (logits[channel] >= logits[0]) & mixed
        if present[channel]:
            possible |= torch.from_numpy(winner == channel).to(logits.device)
        hits = _bounding_box(possible)
        if hits is None:
            continue
        size = logits.shape[1:]
        k, j, i = (
            slice(max(s.start - 1, 0), min(s.stop + 1, n)) for s, n in zip(hits, size, strict=True)
        )
        coarse = (k, j, i)
        k, j, i = (_touched(s, n, m) for s, n, m in zip(coarse, size, fine_size, strict=True))
        boxes.append(ClassBox(channel, coarse, (k, j, i)))
    return boxes


def _bounding_box(mask: Tensor) -> tuple[slice, slice, slice] | None:
    planes = mask.any(2)
    ranges = []
    for line in (planes.any(1), planes.any(0), mask.any(0).any(0)):
        hits = line.nonzero()
        if len(hits) == 0:
            return None
        ranges.append(slice(int(hits[0]), int(hits[-1]) + 1))
    return (ranges[0], ranges[1], ranges[2])


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
    boxes = class_boxes(logits, fine_size)
    result = torch.zeros(fine_size, dtype=torch.uint8)
    if not boxes:
        return result.numpy()
    k, j, i = (
        slice(min(b.fine[a].start for b in boxes), max(b.fine[a].stop for b in boxes))
        for a in range(3)
    )
    union = (k, j, i)
    k, j, i = (slice(0, n) for n in logits.shape[1:])
    planes = [_Planes(logits, ClassBox(0, (k, j, i), union), fine_size)]
    planes += [_Planes(logits, box, fine_size) for box in boxes]
    lower, upper, fraction = linear_taps(logits.shape[1], fine_size[0])
    for n in range(union[0].start, union[0].stop):
        monitor.step("upsample", (n - union[0].start) / (union[0].stop - union[0].start))
        taps = (int(lower[n]), int(upper[n]), float(fraction[n]))
        best = planes[0].blend(*taps)
        labels = torch.zeros(best.shape, dtype=torch.uint8, device=best.device)
        for plane in planes[1:]:
            fine = plane.box.fine
            if not fine[0].start <= n < fine[0].stop or 0 in plane.shape:
                continue
            value = plane.blend(*taps)
            part = (
                slice(fine[1].start - union[1].start, fine[1].stop - union[1].start),
                slice(fine[2].start - union[2].start, fine[2].stop - union[2].start),
            )
            labels[part].masked_fill_(value > best[part], plane.box.channel)
            torch.maximum(best[part], value, out=best[part])
        result[n, union[1], union[2]] = labels.cpu()
    return result.numpy()


class _Planes:
    """In-plane enlarged coarse slices of one class; the last two are kept."""

    def __init__(self, logits: Tensor, box: ClassBox, fine_size: tuple[int, int, int]) -> None:
        self.box = box
        self._logits = logits[box.channel]
        device = logits.device
        weights_j = axis_weights(logits.shape[2], fine_size[1])[box.fine[1], box.coarse[1]]
        weights_i = axis_weights(logits.shape[3], fine_size[2])[box.fine[2], box.coarse[2]]
        self._weights_j = torch.from_numpy(np.ascontiguousarray(weights_j)).to(device)
        self._weights_i = torch.from_numpy(np.ascontiguousarray(weights_i.T)).to(device)
        self.shape = (weights_j.shape[0], weights_i.shape[0])
        self._kept: dict[int, Tensor] = {}

    def _plane(self, k: int) -> Tensor:
        if k not in self._kept:
            while len(self._kept) >= PLANES_KEPT:
                del self._kept[min(self._kept)]
            coarse = self._logits[k, self.box.coarse[1], self.box.coarse[2]].float()
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
