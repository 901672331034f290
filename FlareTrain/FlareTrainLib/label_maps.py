"""Label maps as they lie beside a scan: on its grid, their values turned into target ids."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.reading import read_label_map
from FlareSegmentLib.volume import Volume

from .label_values import IGNORE

SAME_PLACE_MM = 0.1
"""Scan and label map lie on one grid when no corner differs by more."""


def read_labels_on(volume: Volume, path: Path, values: Mapping[int, int]) -> np.ndarray:
    """Read a label map that must lie on the grid of `volume`, as target ids (k, j, i) uint8.

    Raises
    ------
    InputError
        When it lies on another grid, or holds a value that is no target.
    """
    labels, affine = read_label_map(path)
    difference = grid_difference(volume.array.shape, volume.affine, labels.shape, affine)
    if difference:
        raise InputError(
            f"{volume.name}: the label map {path.name} does not lie on the grid of its scan: "
            f"{difference}. Make the label map on this scan, or resample it to the scan's grid."
        )
    return target_ids(labels, values, path)


def target_ids(
    labels: np.ndarray,
    values: Mapping[int, int],
    path: Path,
    remedy: str = "Correct the label map, or say in dataset.json what the value means.",
) -> np.ndarray:
    """Turn stored label values into target ids, uint8; 255 stays "unknown".

    Parameters
    ----------
    remedy
        What to do about a value without meaning.

    Raises
    ------
    InputError
        For a value without meaning, e.g. 15.
    """
    found = np.unique(labels)
    unknown = [int(v) for v in found if v not in (0, IGNORE) and int(v) not in values]
    if unknown:
        known = f"{min(values)} to {max(values)}" if values else "none"
        raise InputError(
            f"{path.parent.name}/{path.name} holds the label value {unknown[0]}, which is no "
            f"target (known values: {known}, 0 for background, {IGNORE} for unknown). {remedy}"
        )
    if all(int(v) in (0, IGNORE) or values[int(v)] == v for v in found):
        return labels.astype(np.uint8)
    result = np.zeros(labels.shape, np.uint8)
    result[labels == IGNORE] = IGNORE
    for value in found:
        if value not in (0, IGNORE):
            result[labels == value] = values[int(value)]
    return result


def grid_difference(
    shape: tuple[int, ...], affine: np.ndarray, other_shape: tuple[int, ...], other: np.ndarray
) -> str:
    """Say how two grids differ; "" when they are the same within 0.1 mm at every corner."""
    if tuple(shape) != tuple(other_shape):
        sizes = [" x ".join(str(n) for n in s[::-1]) for s in (shape, other_shape)]
        return f"the scan has {sizes[0]} voxels, the label map {sizes[1]}"
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape[::-1]])).reshape(3, -1)
    corners = np.vstack([corners, np.ones(corners.shape[1])])
    apart = float(np.linalg.norm(((affine - other) @ corners)[:3], axis=0).max())
    return f"their corners are up to {apart:.1f} mm apart" if apart > SAME_PLACE_MM else ""
