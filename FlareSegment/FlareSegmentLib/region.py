"""A box that the user limits a segmentation to.

Boxes are slices (k, j, i) of voxels. Outside of the box the result stays background; inside it is
what it would be without a box.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .errors import InputError
from .geometry import AxisOrder
from .windows import Box

_ON_THE_EDGE = 1e-4
"""Voxels: a center this far outside still counts as inside, whatever the rounding of matrices."""

_PARALLEL = 1e-3
"""Largest part of an edge's direction across the voxel axis it runs along, a tenth of a degree."""


def box_of_corners(corners: np.ndarray, affine: np.ndarray, shape: Sequence[int]) -> Box:
    """Find the voxels whose centers lie in a box given in the patient.

    A box that is rotated against the voxel axes is widened to the smallest one along them; see
    `is_rotated`.

    Parameters
    ----------
    corners
        ``(8, 3)``, RAS mm, in any order.
    affine
        ``(4, 4)``, voxel indices (i, j, k, 1) to RAS mm.
    shape
        Voxels (k, j, i).

    Raises
    ------
    InputError
        When no voxel lies in the box.
    """
    corners = np.asarray(corners, dtype=np.float64)
    indices = _indices(corners, affine)
    first = np.ceil(indices.min(axis=0) - _ON_THE_EDGE).astype(int)[::-1]
    last = np.floor(indices.max(axis=0) + _ON_THE_EDGE).astype(int)[::-1]
    first, end = np.maximum(first, 0), np.minimum(last + 1, shape)
    if (end <= first).any():
        raise InputError(_outside(corners, affine, shape))
    k, j, i = (slice(int(a), int(b)) for a, b in zip(first, end, strict=True))
    return k, j, i


def is_rotated(corners: np.ndarray, affine: np.ndarray) -> bool:
    """Say whether a box ``(8, 3)`` RAS mm, its first corner opposite the last, is askew.

    Parameters
    ----------
    corners
        In the order of `corners_of`.
    affine
        ``(4, 4)``, voxel indices to RAS mm.
    """
    indices = _indices(np.asarray(corners, dtype=np.float64), affine)
    spacing = np.linalg.norm(np.asarray(affine, dtype=np.float64)[:3, :3], axis=0)
    edges = (indices[[1, 2, 4]] - indices[0]) * spacing
    lengths = np.linalg.norm(edges, axis=1, keepdims=True)
    directions = np.sort(np.abs(edges / np.maximum(lengths, 1e-9)), axis=1)
    return bool((directions[:, 1] > _PARALLEL).any())


def corners_of(matrix: np.ndarray, size: Sequence[float] | np.ndarray) -> np.ndarray:
    """Give the corners of a box around the origin of its own axes.

    Parameters
    ----------
    matrix
        ``(4, 4)``, the box's own axes to RAS mm.
    size
        Length of its edges along those axes, mm.

    Returns
    -------
    ``(8, 3)``, RAS mm; bits 0, 1 and 2 of the number of a corner say on which side of its own
    axes it lies.
    """
    signs = np.array([[(n >> axis & 1) - 0.5 for axis in range(3)] for n in range(8)])
    own = np.hstack([signs * np.asarray(size, dtype=np.float64), np.ones((8, 1))])
    corners: np.ndarray = (own @ np.asarray(matrix, dtype=np.float64).T)[:, :3]
    return corners


def corners_of_bounds(text: str) -> np.ndarray:
    """Read a box along the axes of the patient.

    Parameters
    ----------
    text
        Six numbers, RAS mm, separated by commas: from and to along right, anterior and superior.

    Returns
    -------
    ``(8, 3)``, RAS mm.

    Raises
    ------
    InputError
        When there are not six numbers, or a "to" is not above its "from".
    """
    try:
        values = [float(word) for word in text.split(",")]
    except ValueError:
        values = []
    bounds = np.array(values).reshape(-1, 2)[:3] if len(values) == 6 else np.zeros((3, 2))
    if not (np.isfinite(bounds).all() and (bounds[:, 0] < bounds[:, 1]).all()):
        raise InputError(
            f"The region '{text}' is no box. Give six numbers in RAS mm, separated by commas: from "
            "and to along right, anterior and superior, e.g. -100,120,-80,60,300,420."
        )
    matrix = np.eye(4)
    matrix[:3, 3] = bounds.mean(axis=1)
    return corners_of(matrix, bounds[:, 1] - bounds[:, 0])


def canonical_box(box: Box, shape: Sequence[int], order: AxisOrder) -> Box:
    """Give the box in the canonical view of an array of `shape` (k, j, i) voxels."""
    ranges = []
    for stored, flip in zip(order.permutation, order.flips, strict=True):
        part, length = box[stored], shape[stored]
        ranges.append(
            slice(length - part.stop, length - part.start) if flip else slice(part.start, part.stop)
        )
    return ranges[0], ranges[1], ranges[2]


def widened(box: Box, spacing: Sequence[float], shape: Sequence[int], margin_mm: float) -> Box:
    """Give the box with a margin on each side, cut to `shape`; `spacing` is (k, j, i) mm."""
    grown = (int(np.ceil(margin_mm / s)) for s in spacing)
    k, j, i = (
        slice(max(0, part.start - grow), min(length, part.stop + grow))
        for part, grow, length in zip(box, grown, shape, strict=True)
    )
    return k, j, i


def relative_to(outer: Box, inner: Box) -> Box:
    """Give `inner` as seen from the first voxel of `outer`, which holds it."""
    k, j, i = (
        slice(b.start - a.start, b.stop - a.start) for a, b in zip(outer, inner, strict=True)
    )
    return k, j, i


def common(one: Box, other: Box) -> Box | None:
    """Give the box that two boxes share, None when there is none."""
    k, j, i = (
        slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )
    return (k, j, i) if all(part.start < part.stop for part in (k, j, i)) else None


def part_of(coarse: np.ndarray, box: Box, shape: Sequence[int]) -> np.ndarray:
    """Give the view of a coarse array over the whole scan that covers `box`.

    Parameters
    ----------
    coarse
        (k, j, i), covering the same space as the scan.
    box, shape
        In the scan's voxels.
    """
    ranges = []
    for part, length, size in zip(box, shape, coarse.shape, strict=True):
        first = part.start * size // length
        ranges.append(slice(first, max(first + 1, -(-part.stop * size // length))))
    return coarse[tuple(ranges)]


def clear_outside(labels: np.ndarray, box: Box) -> None:
    """Make all labels outside of `box` background, in place."""
    for axis, part in enumerate(box):
        before: list[slice] = [slice(None)] * 3
        behind = before.copy()
        before[axis], behind[axis] = slice(0, part.start), slice(part.stop, None)
        labels[tuple(before)] = 0
        labels[tuple(behind)] = 0


def _indices(points: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Voxel indices (i, j, k) of points (n, 3) in RAS mm."""
    inverse = np.linalg.inv(np.asarray(affine, dtype=np.float64))
    indices: np.ndarray = points @ inverse[:3, :3].T + inverse[:3, 3]
    return indices


def _outside(corners: np.ndarray, affine: np.ndarray, shape: Sequence[int]) -> str:
    size = np.array(shape[::-1], dtype=np.float64)
    grid = np.asarray(affine, dtype=np.float64) @ _about(size)
    scan = corners_of(grid, size)
    return (
        f"The box of interest holds no voxel of the scan: it reaches from {_reach(corners)}, the "
        f"scan from {_reach(scan)} (left to right, back to front, feet to head). Move the box onto "
        "the scan, or choose none."
    )


def _about(size: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = (size - 1) / 2
    return matrix


def _reach(corners: np.ndarray) -> str:
    low, high = corners.min(axis=0), corners.max(axis=0)
    return ", ".join(f"{a:.0f} to {b:.0f} mm" for a, b in zip(low, high, strict=True))
