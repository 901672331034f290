"""The voxels within a closed surface, as a model in an STL file is one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from FlareSegmentLib.errors import InputError

_PLACES_AT_ONCE = 2**20
"""Places of rays within the boxes of triangles that are looked at together; 100 MB."""

_OPEN_SHARE = 0.01
"""Of the rays that meet the surface: when more leave it an odd number of times, it has holes."""

_ASIDE = np.array([1.3e-5, 0.7e-5])
"""Of a voxel along j, k: rays do not run along edges and sides that lie on the grid."""


def filled(
    points: np.ndarray, polygons: np.ndarray, affine: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Give the voxels whose centers are within a surface (k, j, i), bool.

    A ray along i through every row of voxels enters and leaves the surface by turns.

    Parameters
    ----------
    points
        Corners (n, 3), RAS mm.
    polygons
        Flat, planar polygons: for each the number of its corners, then their numbers.
    affine, shape
        Of the grid: voxel i, j, k to RAS mm; voxels along k, j, i.

    Raises
    ------
    InputError
        When the surface has holes: nobody knows what is within.
    """
    to_voxels = np.linalg.inv(affine)
    corners = points.astype(float) @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    turns = np.zeros((shape[0], shape[1], shape[2] + 1), np.uint8)
    for k, j, i in _crossings(corners, triangles_of(polygons), shape):
        # The first voxel behind the surface; in the last column when there is none.
        behind = np.clip(np.ceil(i), 0, shape[2]).astype(np.int64)
        np.add.at(turns, (k, j, behind), np.uint8(1))  # beyond 255 the parity stays
    met, odd = turns.any(axis=2), turns.sum(axis=2, dtype=np.int64) % 2 == 1
    if odd.sum() > _OPEN_SHARE * met.sum():
        raise InputError(
            f"The surface has holes: {odd.sum()} of {met.sum()} lines through it enter and never "
            "leave. Close it, or draw the structure in Segment Editor."
        )
    turns[odd] = 0
    inside: np.ndarray = np.bitwise_xor.accumulate(turns[..., :-1] & 1, axis=2).view(bool)
    return inside


def triangles_of(polygons: np.ndarray) -> np.ndarray:
    """Cut polygons into triangles (n, 3): fans around the first corner of each."""
    if len(polygons) % 4 == 0 and (polygons[::4] == 3).all():
        return polygons.reshape(-1, 4)[:, 1:]
    parts, place = [], 0
    while place < len(polygons):
        corners = polygons[place + 1 : place + 1 + polygons[place]]
        place += 1 + int(polygons[place])
        rest = np.stack([corners[1:-1], corners[2:]], axis=1)
        parts.append(np.column_stack([np.full(len(rest), corners[0]), rest]))
    return np.concatenate(parts) if parts else np.zeros((0, 3), np.int64)


def _crossings(
    corners: np.ndarray, triangles: np.ndarray, shape: tuple[int, ...]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Where rays cross the surface: rows k, j of voxels, and i; corners are i, j, k."""
    across = corners[:, 1:] - _ASIDE  # along j and k, seen from the rays
    low = np.ceil(across[triangles].min(axis=1)).astype(np.int64)
    high = np.floor(across[triangles].max(axis=1)).astype(np.int64)
    np.clip(low, 0, None, out=low)
    np.clip(high, None, [shape[1] - 1, shape[0] - 1], out=high)
    sizes = np.clip(high - low + 1, 0, None)
    counts = sizes.prod(axis=1)
    order = np.flatnonzero(counts)
    ends = np.cumsum(counts[order])
    start = 0
    while start < len(order):
        done = ends[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(ends, done + _PLACES_AT_ONCE, side="right")))
        chosen = order[start:end]
        start = end
        number = np.repeat(np.arange(len(chosen)), counts[chosen])
        within = np.arange(len(number)) - np.repeat(
            np.cumsum(counts[chosen]) - counts[chosen], counts[chosen]
        )
        j = low[chosen, 0][number] + within % sizes[chosen, 0][number]
        k = low[chosen, 1][number] + within // sizes[chosen, 0][number]
        hit, i = _met(corners, across, triangles[chosen][number], np.stack([j, k], axis=1))
        yield k[hit], j[hit], i


def _met(
    corners: np.ndarray, across: np.ndarray, triangles: np.ndarray, rays: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which rays meet which triangle (n,), and where along i those do.

    An edge is looked at in one direction, whichever triangle it belongs to: a ray at an edge
    meets one of its two triangles, never both or none.
    """
    areas, sides = [], []
    for first, second in ((1, 2), (2, 0), (0, 1)):
        a, b = triangles[:, first], triangles[:, second]
        turned = a > b
        start, end = across[np.where(turned, b, a)], across[np.where(turned, a, b)]
        area = (end[:, 0] - start[:, 0]) * (rays[:, 1] - start[:, 1]) - (
            end[:, 1] - start[:, 1]
        ) * (rays[:, 0] - start[:, 0])
        areas.append(np.where(turned, -area, area))
        sides.append((area >= 0) ^ turned)
    hit = (sides[0] == sides[1]) & (sides[1] == sides[2])
    weights = np.stack(areas, axis=1)[hit]
    whole = weights.sum(axis=1)
    along = corners[triangles[hit], 0]
    # A triangle that is seen from its edge has no area: all its corners are as good.
    weights[whole == 0], whole[whole == 0] = 1 / 3, 1.0
    return hit, (weights * along).sum(axis=1) / whole
