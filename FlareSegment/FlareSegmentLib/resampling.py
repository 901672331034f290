"""One resampling convention for training and inference.

Trilinear, voxel-edge aligned (torch's `align_corners=False`): the input's and the output's grid
cover exactly the same box, so a grid is fully described by its number of voxels. Above a
two-fold reduction a triangle filter as wide as the reduction comes first, so that nothing
between two output voxels is skipped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

SLICES_AT_ONCE = 24
"""Input slices converted to float at a time; bounds memory, not the result."""


def grid_size(
    size: Sequence[int], spacing: Sequence[float], new_spacing: Sequence[float]
) -> tuple[int, int, int]:
    """Voxels (k, j, i) that cover the same box at about `new_spacing` mm, at least one each."""
    k, j, i = (max(1, round(n * s / t)) for n, s, t in zip(size, spacing, new_spacing, strict=True))
    return (k, j, i)


def axis_weights(size: int, new_size: int) -> np.ndarray:
    """Matrix (new_size, size) that resamples one axis; its rows sum to one.

    Row r holds a triangle around the centre of output voxel r, one input voxel wide on each
    side, or as wide as the reduction where that is above two.
    """
    ratio = size / new_size
    support = ratio if ratio > 2 else 1.0
    centre = (np.arange(new_size) + 0.5) * ratio - 0.5
    if support == 1.0:
        # Linear interpolation clamps at the borders instead of renormalising.
        centre = centre.clip(0, size - 1)
    distance = np.abs(np.arange(size)[None, :] - centre[:, None]) / support
    weights = np.clip(1 - distance, 0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _resample_in_plane(slices: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample (n, j, i) float slices in plane, each axis by its own rule."""
    for axis, new_size in ((-1, size[1]), (-2, size[0])):
        old_size = slices.shape[axis]
        if old_size == new_size:
            continue
        target = (slices.shape[-2], new_size) if axis == -1 else (new_size, slices.shape[-1])
        slices = functional.interpolate(
            slices[:, None],
            size=target,
            mode="bilinear",
            align_corners=False,
            antialias=old_size / new_size > 2,
        )[:, 0]
    return slices


def resample_slices(slices: Tensor, new_size: int) -> Tensor:
    """Resample the first axis of (k, j, i) float slices to `new_size`."""
    size = slices.shape[0]
    if size == new_size:
        return slices
    if size / new_size > 2:
        weights = torch.from_numpy(axis_weights(size, new_size)).to(slices)
        return torch.einsum("nk,kji->nji", weights, slices)
    lower, upper, fraction = linear_taps(size, new_size)
    result = torch.empty((new_size, *slices.shape[1:]), dtype=slices.dtype, device=slices.device)
    for k in range(new_size):
        torch.lerp(slices[lower[k]], slices[upper[k]], float(fraction[k]), out=result[k])
    return result


def linear_taps(size: int, new_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lower index, upper index and fraction of the upper one for each of `new_size` voxels."""
    centre = ((np.arange(new_size) + 0.5) * (size / new_size) - 0.5).clip(0, size - 1)
    lower = np.minimum(centre.astype(np.int64), size - 1)
    upper = np.minimum(lower + 1, size - 1)
    return lower, upper, (centre - lower).astype(np.float32)


def resample_volume(
    array: np.ndarray, new_size: Sequence[int], device: torch.device | str = "cpu"
) -> Tensor:
    """Resample a (k, j, i) array of any numeric type to `new_size`, as float32 on `device`.

    Slices are converted to float a few at a time, so that the only large float array is the
    one that has the output's in-plane size.
    """
    in_plane = (int(new_size[1]), int(new_size[2]))
    reduced = torch.empty((array.shape[0], *in_plane), dtype=torch.float32, device=device)
    for start in range(0, array.shape[0], SLICES_AT_ONCE):
        part = np.ascontiguousarray(array[start : start + SLICES_AT_ONCE])
        if part.dtype not in (np.int16, np.float32, np.uint8):
            part = part.astype(np.float32)
        slices = torch.from_numpy(part).to(device).float()
        reduced[start : start + SLICES_AT_ONCE] = _resample_in_plane(slices, in_plane)
    return resample_slices(reduced, int(new_size[0]))


def resample_labels(labels: np.ndarray, new_size: Sequence[int]) -> np.ndarray:
    """Resample a (k, j, i) uint8 label map: each label's mask trilinearly, then the largest.

    Rounder than nearest neighbour and without its half-voxel shifts. Used on training labels.
    """
    best = torch.full(tuple(new_size), 0.5, dtype=torch.float32)
    result = torch.zeros(tuple(new_size), dtype=torch.uint8)
    taken = torch.zeros(tuple(new_size), dtype=torch.float32)
    for label in np.unique(labels):
        if label == 0:
            continue
        share = resample_volume((labels == label).astype(np.uint8), new_size)
        taken += share
        better = share > torch.where(result == 0, torch.zeros_like(best), best)
        result[better] = int(label)
        best = torch.where(better, share, best)
    result[1 - taken > best] = 0
    return result.numpy()
