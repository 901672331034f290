"""Structures as an application drew them, brought together on the grid of their scan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import target_by_id

from .surface_fill import filled

_SLAB_VOXELS = 2**21
"""Of the scan, looked up at once: their coordinates take 48 MB."""


@dataclass(frozen=True)
class StagedLayer:
    """A structure as it was drawn: the voxels of an image that have one value, or a surface.

    Attributes
    ----------
    file
        The image (k, j, i), any integers, ``.npy``; "" for a structure without a voxel. Of a
        surface its corners (n, 3), RAS mm.
    extent
        First and last but one voxel of the image along k, j, i.
    value
        The structure's value in it.
    target
        Target id.
    affine
        Voxel i, j, k, counted as in `extent`, to RAS mm, where the image is on another grid than
        the scan's; empty where `extent` counts the scan's voxels.
    polygons
        Of a surface: ``.npy``, see `surface_fill`; "" for an image.
    """

    file: str
    extent: tuple[tuple[int, int], ...]
    value: int
    target: int
    affine: tuple[tuple[float, ...], ...] = ()
    polygons: str = ""


def merged(
    folder: Path, shape: tuple[int, ...], affine: np.ndarray, layers: Sequence[StagedLayer]
) -> np.ndarray:
    """Give one label map (k, j, i) uint8; tumor, which lies in organs, comes last.

    Parameters
    ----------
    shape, affine
        Of the scan: voxels along k, j, i, and voxel i, j, k to RAS mm.

    Raises
    ------
    InputError
        When a surface has holes.
    """
    labels = np.zeros(shape, np.uint8)
    for layer in sorted(layers, key=lambda layer: layer.target):
        if layer.file:
            image = np.load(folder / layer.file, mmap_mode="r")
            if layer.polygons:
                labels[_filled(folder, layer, image, affine, shape)] = layer.target
            elif layer.affine:
                _draw_resampled(labels, affine, layer, image)
            else:
                _draw(labels, layer, image)
    return labels


def _filled(
    folder: Path,
    layer: StagedLayer,
    corners: np.ndarray,
    affine: np.ndarray,
    shape: tuple[int, ...],
) -> np.ndarray:
    try:
        return filled(corners, np.load(folder / layer.polygons), affine, shape)
    except InputError as error:
        raise InputError(f"{target_by_id(layer.target).name}: {error}") from error


def _draw(labels: np.ndarray, layer: StagedLayer, image: np.ndarray) -> None:
    # An image may reach beyond the scan: Slicer pads what is drawn at the border.
    inside = [
        (max(first, 0), min(end, size))
        for (first, end), size in zip(layer.extent, labels.shape, strict=True)
    ]
    part = tuple(
        slice(first - begin, max(first, end) - begin)
        for (first, end), (begin, _) in zip(inside, layer.extent, strict=True)
    )
    box = tuple(slice(first, max(first, end)) for first, end in inside)
    labels[box][image[part] == layer.value] = layer.target


def _draw_resampled(
    labels: np.ndarray, affine: np.ndarray, layer: StagedLayer, image: np.ndarray
) -> None:
    """Give every voxel of the scan what the nearest voxel of the image says."""
    to_image = np.linalg.inv(np.array(layer.affine)) @ affine
    for box in _slabs(labels.shape, to_image, layer.extent):
        k, j, i = (np.arange(part.start, part.stop, dtype=float) for part in box)
        places = []
        for row, (first, _end) in zip(to_image[:3], layer.extent[::-1], strict=True):
            along = row[0] * i + row[1] * j[:, None] + row[2] * k[:, None, None] + row[3]
            places.append(np.floor(along + 0.5).astype(np.int64) - first)
        in_image = np.ones(labels[box].shape, bool)
        for place, size in zip(places, image.shape[::-1], strict=True):
            in_image &= (place >= 0) & (place < size)
        at = tuple(place[in_image] for place in places[::-1])
        in_image[in_image] = image[at] == layer.value
        labels[box][in_image] = layer.target


def _slabs(
    shape: tuple[int, ...], to_image: np.ndarray, extent: Sequence[tuple[int, int]]
) -> Iterator[tuple[slice, ...]]:
    """Boxes of the scan that together hold every voxel whose nearest is in the image."""
    ends = [(first - 0.5, end - 0.5) for first, end in extent[::-1]]
    corners = np.array([(*corner, 1.0) for corner in product(*ends)])
    reached = (np.linalg.inv(to_image) @ corners.T)[2::-1]
    low = np.maximum(np.floor(reached.min(axis=1)).astype(int), 0)
    high = np.minimum(np.ceil(reached.max(axis=1)).astype(int) + 1, shape)
    if (high <= low).any():
        return
    rows = max(1, _SLAB_VOXELS // int((high[1] - low[1]) * (high[2] - low[2])))
    for k in range(low[0], high[0], rows):
        yield (
            slice(k, min(k + rows, high[0])),
            slice(low[1], high[1]),
            slice(low[2], high[2]),
        )
