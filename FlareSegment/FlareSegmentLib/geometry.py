"""Where voxels lie in the patient: affines, and the one axis order the engine computes in.

Array axes are ``(k, j, i)``; an affine maps ``(i, j, k, 1)`` to RAS millimetres, so array axis
``a`` belongs to affine column ``2 - a``. ITK and DICOM use LPS; the two differ by the sign of the
first two world axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError

if TYPE_CHECKING:
    from .volume import Volume

_CANONICAL_DIRECTIONS = np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])
"""RAS directions of the canonical array axes (k, j, i): Superior, Posterior, Left."""

_TIE = 1e-6
"""Axis assignments whose fit differs by less are equally near (45 degrees)."""

_SQUARE = 1e-4
"""Largest cosine between two axes that still counts as a right angle; ITK takes the same."""

_FLAT = 0.05
"""Least volume spanned by the three unit axis directions; 1 for orthogonal axes, 0.87 for a
gantry tilted by 30 degrees, 0 when an axis lies in the plane of the others."""


@dataclass(frozen=True)
class AxisOrder:
    """The transposes and flips that bring an array to canonical order and back.

    Attributes
    ----------
    permutation
        Canonical array axis ``a`` is the stored array axis ``permutation[a]``.
    flips
        Whether canonical axis ``a`` runs against the stored one.
    """

    permutation: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @property
    def _slices(self) -> tuple[slice, slice, slice]:
        a, b, c = (slice(None, None, -1) if flip else slice(None) for flip in self.flips)
        return a, b, c

    def apply(self, array: np.ndarray) -> np.ndarray:
        """Give a view of a stored 3D array in canonical order."""
        return np.transpose(array, self.permutation)[self._slices]

    def undo(self, array: np.ndarray) -> np.ndarray:
        """Give a view of a canonical 3D array in the stored order."""
        back = np.argsort(self.permutation)
        return np.transpose(array[self._slices], back)


def spacing_of(affine: np.ndarray) -> tuple[float, float, float]:
    """Give the distance between voxel centres along the array axes ``(k, j, i)``, in mm."""
    i, j, k = np.linalg.norm(np.asarray(affine, dtype=np.float64)[:3, :3], axis=0)
    return float(k), float(j), float(i)


def is_sheared(affine: np.ndarray) -> bool:
    """Say whether the voxel axes are not at right angles, as with a tilted gantry."""
    columns = np.asarray(affine, dtype=np.float64)[:3, :3]
    directions = columns / np.linalg.norm(columns, axis=0)
    return not np.allclose(directions.T @ directions, np.eye(3), rtol=0, atol=_SQUARE)


def canonical_axes(affine: np.ndarray) -> AxisOrder:
    """Find the axis order nearest to LPS: k towards the head, j to the back, i to the left.

    Of the 48 orders the one with the largest sum of cosines between axes and canonical directions
    is taken. For orthogonal axes that sum is at least 1.9 for the best order of the right
    handedness and at most 1 for any order of the wrong one, so left and right are never swapped,
    however oblique the scan. Spacing does not enter.

    Parameters
    ----------
    affine
        ``(4, 4)``, ``(i, j, k, 1)`` to RAS mm; may be oblique or sheared.

    Raises
    ------
    InputError
        When the affine has no three independent directions.
    """
    columns = np.asarray(affine, dtype=np.float64)[:3, :3]
    lengths = np.linalg.norm(columns, axis=0)
    if not np.isfinite(columns).all() or (lengths == 0).any():
        raise InputError(
            "The position information of the scan is broken: a voxel axis has no length or no "
            "number. Export the scan again, or correct its header."
        )
    directions = (columns / lengths).T[::-1]  # rows: array axes k, j, i
    if abs(np.linalg.det(directions)) < _FLAT:
        raise InputError(
            "The position information of the scan is broken: its three voxel axes lie in one "
            "plane. Export the scan again, or correct its header."
        )
    cosines = _CANONICAL_DIRECTIONS @ directions.T  # [canonical axis, stored axis]
    orders = [(order, _fit(cosines, order)) for order in permutations(range(3))]
    best = max(fit for _, fit in orders)
    nearest = [order for order, fit in orders if fit > best - _TIE]
    # At exactly 45 degrees the stored order must not decide, or the same anatomy stored in another
    # order would be computed in another orientation: the resulting directions decide.
    a, b, c = max(nearest, key=lambda order: _oriented(directions, cosines, order))
    flips = _flips(cosines, (a, b, c))
    return AxisOrder((a, b, c), flips)


def _fit(cosines: np.ndarray, order: Sequence[int]) -> float:
    return float(sum(abs(cosines[axis, stored]) for axis, stored in enumerate(order)))


def _flips(cosines: np.ndarray, order: Sequence[int]) -> tuple[bool, bool, bool]:
    a, b, c = (bool(cosines[axis, stored] < 0) for axis, stored in enumerate(order))
    return a, b, c


def _oriented(
    directions: np.ndarray, cosines: np.ndarray, order: Sequence[int]
) -> tuple[float, ...]:
    signs = np.where(_flips(cosines, order), -1.0, 1.0)
    oriented = directions[list(order)] * signs[:, None]
    return tuple((np.round(oriented, 5) + 0.0).ravel().tolist())


def canonical_affine(affine: np.ndarray, shape: Sequence[int], order: AxisOrder) -> np.ndarray:
    """Give the affine of `order.apply(array)` for a stored array of `shape` ``(k, j, i)``."""
    affine = np.asarray(affine, dtype=np.float64)
    result = affine.copy()
    for axis, (stored, flip) in enumerate(zip(order.permutation, order.flips, strict=True)):
        step = affine[:3, 2 - stored]
        result[:3, 2 - axis] = -step if flip else step
        if flip:
            result[:3, 3] += step * (shape[stored] - 1)
    return result


def canonical_volume(volume: Volume) -> tuple[Volume, AxisOrder]:
    """Give the volume as a view in canonical axis order, and the order to undo it.

    Nothing is resampled: an oblique or tilted volume keeps its grid and gets the nearest order.
    """
    order = canonical_axes(volume.affine)
    affine = canonical_affine(volume.affine, volume.array.shape, order)
    return replace(volume, array=order.apply(volume.array), affine=affine), order


def lps_to_ras(affine: np.ndarray) -> np.ndarray:
    """Turn an affine to LPS millimetres into one to RAS millimetres, or the other way round."""
    result = np.array(affine, dtype=np.float64)
    result[:2] = 0.0 - result[:2]  # 0 - x, so that no minus zero appears
    return result


def image_affine(image: Any) -> np.ndarray:
    """Give the RAS affine ``(4, 4)`` of a 3D SimpleITK image or ImageFileReader."""
    direction = np.array(image.GetDirection(), dtype=np.float64).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing(), dtype=np.float64)
    affine[:3, 3] = image.GetOrigin()
    return lps_to_ras(affine)


def set_image_affine(image: Any, affine: np.ndarray) -> None:
    """Give a 3D SimpleITK image the position of a RAS affine ``(4, 4)``.

    Raises
    ------
    InputError
        When the axes lie in one plane, which ITK cannot represent.
    """
    lps = lps_to_ras(affine)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    if (spacing == 0).any() or abs(np.linalg.det(lps[:3, :3] / spacing)) < _FLAT:
        raise InputError(
            "The position information cannot be written: its three voxel axes lie in one plane."
        )
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
