"""Volume and mean HU of every organ of a label map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import InputError
from .labels import target_by_key, targets

_SLAB_VOXELS = 2**22
"""Voxels looked at at once: the float copies of their HU take 32 MiB."""


def organ_statistics(
    label_array: np.ndarray,
    ct_array: np.ndarray,
    affine: np.ndarray,
    target_keys: Sequence[str],
) -> list[dict[str, Any]]:
    """Measure the targets of a label map on its scan.

    Parameters
    ----------
    label_array
        Labels ``(k, j, i)``, uint8, FLARE ids.
    ct_array
        HU on the same grid; may be a view in any memory order.
    affine
        ``(4, 4)``, ``(i, j, k, 1)`` to RAS mm, of both.
    target_keys
        Which targets to list, e.g. ``("liver", "tumor")``.

    Returns
    -------
    list of dict
        Per target ``key``, ``name``, ``volume_ml``, ``mean_hu``, ``sd_hu`` (of the voxels, not of
        the mean) and ``voxels``. A target without voxels has 0 ml and None for the HU.

    Raises
    ------
    InputError
        When the two arrays differ in shape, or a key is no target.
    """
    if label_array.shape != ct_array.shape:
        raise InputError(
            f"The label map has {label_array.shape} voxels and the scan {ct_array.shape}. "
            "Both must have the same grid."
        )
    wanted = [target_by_key(key) for key in target_keys]
    voxels, sums, squares = _moments(label_array, ct_array)
    voxel_ml = float(abs(np.linalg.det(np.asarray(affine)[:3, :3]))) / 1000.0
    rows = []
    for target in wanted:
        n = int(voxels[target.id])
        mean = sums[target.id] / n if n else None
        # HU are small whole numbers, so that the sums are exact and the difference is safe.
        variance = None if mean is None else max(squares[target.id] / n - mean**2, 0.0)
        rows.append(
            {
                "key": target.key,
                "name": target.name,
                "volume_ml": n * voxel_ml,
                "mean_hu": None if mean is None else float(mean),
                "sd_hu": None if variance is None else float(np.sqrt(variance)),
                "voxels": n,
            }
        )
    return rows


def _moments(
    label_array: np.ndarray, ct_array: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number of voxels, sum and sum of squares of HU per label."""
    length = max(target.id for target in targets()) + 1
    voxels, sums, squares = np.zeros(length, np.int64), np.zeros(length), np.zeros(length)
    slices = max(1, _SLAB_VOXELS // max(1, label_array[:1].size))
    for start in range(0, len(label_array), slices):
        slab = label_array[start : start + slices]
        inside = (slab > 0) & (slab < length)  # most of a scan is background: leave it out early
        labels = slab[inside]
        hu = ct_array[start : start + slices][inside].astype(np.float64)
        voxels += np.bincount(labels, minlength=length)
        sums += np.bincount(labels, weights=hu, minlength=length)
        squares += np.bincount(labels, weights=hu * hu, minlength=length)
    return voxels, sums, squares
