"""Surface distance of two masks: the normalized surface distance (NSD) at a tolerance.

The surface of a mask runs between voxel centers. Each 2x2x2 neighborhood that is neither empty nor
full holds one surface element; its area is that of the polygons which marching cubes puts there,
with vertices halfway along the edges. Nikolov et al., "Deep learning to achieve clinically
applicable segmentation of head and neck anatomy", 2018; FLARE uses it (methods C2, step 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product

import numpy as np
from scipy.spatial import cKDTree

_ROUNDING_MM = 1e-6
"""A distance that exceeds the tolerance by less is within it: 7 * 0.3 is not exactly 2.1."""


def nsd(
    prediction: np.ndarray,
    reference: np.ndarray,
    spacing: Sequence[float],
    tolerance_mm: float,
) -> float:
    """Share of both surfaces that lies within a tolerance of the other surface, 0 to 1.

    Parameters
    ----------
    prediction, reference
        Masks of one shape, three axes in any order, bool. Where a mask touches the border of the
        array it has a surface.
    spacing
        Voxel size along the three array axes in mm.
    tolerance_mm
        Largest distance in mm that counts as no error.

    Returns
    -------
    float
        NaN when both masks are empty, 0 when one of them is.
    """
    points, areas = surface_elements(prediction, spacing)
    reference_points, reference_areas = surface_elements(reference, spacing)
    total = areas.sum() + reference_areas.sum()
    if total == 0:
        return float("nan")
    if not len(areas) or not len(reference_areas):
        return 0.0
    within = areas[_within(points, reference_points, tolerance_mm)].sum()
    within += reference_areas[_within(reference_points, points, tolerance_mm)].sum()
    return float(within / total)


def surface_elements(mask: np.ndarray, spacing: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Positions ``(n, 3)`` in mm and areas ``(n,)`` in mm2 of the surface elements of a mask.

    A position is the center of the 2x2x2 neighborhood, measured from half a voxel before the
    center of the array's first voxel.
    """
    box = bounding_box(mask)
    if box is None:
        return np.zeros((0, 3)), np.zeros(0)
    codes = neighbour_codes(mask[box])
    at = np.nonzero((codes != 0) & (codes != 255))
    offset = [cut.start for cut in box]
    points = (np.stack(at, axis=1) + offset) * np.asarray(spacing, dtype=np.float64)
    return points, area_table(tuple(float(mm) for mm in spacing))[codes[at]]


def bounding_box(mask: np.ndarray) -> tuple[slice, ...] | None:
    """Smallest box around the voxels of a mask; None when it is empty."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        filled = np.flatnonzero(mask.any(axis=others))
        if not len(filled):
            return None
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return tuple(box)


def neighbour_codes(mask: np.ndarray) -> np.ndarray:
    """Code 0..255 of every 2x2x2 neighborhood, one more per axis than the mask has voxels.

    The corner at offset ``(a, b, c)`` of a neighborhood has the bit ``128 >> (4a + 2b + c)``.
    Outside of the array the mask is empty.
    """
    codes: np.ndarray = np.pad(np.asarray(mask, dtype=bool), 1).astype(np.uint8)
    codes = (codes[:, :, :-1] << 1) | codes[:, :, 1:]
    codes = (codes[:, :-1] << 2) | codes[:, 1:]
    return (codes[:-1] << 4) | codes[1:]


def _within(points: np.ndarray, others: np.ndarray, tolerance_mm: float) -> np.ndarray:
    # A search tree over the surface needs a tenth of the memory of a distance map of the box.
    distances, _ = cKDTree(others).query(
        points, distance_upper_bound=tolerance_mm + 2 * _ROUNDING_MM
    )
    return distances <= tolerance_mm + _ROUNDING_MM


@cache
def area_table(spacing: tuple[float, float, float]) -> np.ndarray:
    """Surface area in mm2 for each of the 256 neighborhood codes, ``(256,)``.

    Parameters
    ----------
    spacing
        Voxel size along the array axes in mm.
    """
    # The area vector of a triangle scales per component with the product of the other two axes.
    scale = np.prod(spacing) / np.asarray(spacing)
    return np.array(
        [
            sum(float(np.linalg.norm(vector * scale)) for vector in vectors)
            for vectors in _triangle_table()
        ]
    )


@cache
def _triangle_table() -> tuple[tuple[np.ndarray, ...], ...]:
    """Area vectors of the triangles of each code, in voxel units."""
    return tuple(
        tuple(vector for loop in _loops(code) for vector in _largest_fan(np.array(loop)))
        for code in range(256)
    )


_Point = tuple[float, float, float]


def _loops(code: int) -> list[list[_Point]]:
    """Closed polygons that separate the filled corners of a neighborhood from the empty ones."""
    filled = {
        corner: bool(code & (128 >> bit)) for bit, corner in enumerate(product((0, 1), repeat=3))
    }
    # On a face with two filled and two empty corners in diagonal position the surface can run two
    # ways. The less frequent kind of corner is cut off, so that a mask and its inverse agree.
    cut_off = sum(filled.values()) <= 4
    neighbours: dict[_Point, list[_Point]] = {}
    for axis, side in product(range(3), (0, 1)):
        for start, end in _face_segments(axis, side, filled, cut_off):
            neighbours.setdefault(start, []).append(end)
            neighbours.setdefault(end, []).append(start)
    loops: list[list[_Point]] = []
    while neighbours:
        loop: list[_Point] = []
        after: list[_Point] = list(neighbours)[:1]
        while after:
            loop.append(after[0])
            after = [point for point in neighbours.pop(after[0]) if point in neighbours]
        loops.append(loop)
    return loops


def _face_segments(
    axis: int, side: int, filled: dict[tuple[int, ...], bool], cut_off: bool
) -> list[tuple[_Point, _Point]]:
    """Lines which the surface draws on one face of the neighborhood."""
    ring = []
    for pair in ((0, 0), (1, 0), (1, 1), (0, 1)):
        corner = list(pair)
        corner.insert(axis, side)
        ring.append(tuple(corner))
    middles = [_middle(ring[n], ring[(n + 1) % 4]) for n in range(4)]
    crossed = [n for n in range(4) if filled[ring[n]] != filled[ring[(n + 1) % 4]]]
    if len(crossed) == 2:
        return [(middles[crossed[0]], middles[crossed[1]])]
    if len(crossed) == 4:
        return [(middles[n - 1], middles[n]) for n in range(4) if filled[ring[n]] == cut_off]
    return []


def _middle(start: tuple[int, ...], end: tuple[int, ...]) -> _Point:
    a, b, c = ((one + other) / 2 for one, other in zip(start, end, strict=True))
    return a, b, c


def _largest_fan(loop: np.ndarray) -> list[np.ndarray]:
    """Area vectors of the triangles of a polygon, in voxel units.

    Some polygons are not flat, then the area depends on how they are cut. Of the fans of triangles
    from one vertex that with the largest area is taken: the published implementation does so in
    all 256 cases (the test compares them).
    """
    fans = []
    for start in range(len(loop)):
        points = np.roll(loop, -start, axis=0)
        edges = points[1:] - points[0]
        fans.append(np.cross(edges[:-1], edges[1:]) / 2)
    areas = [round(float(np.linalg.norm(fan, axis=1).sum()), 9) for fan in fans]
    return list(fans[areas.index(max(areas))])
