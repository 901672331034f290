"""Voxels within a surface."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from FlareSegmentLib.errors import InputError
from FlareTrainLib.surface_fill import filled, triangles_of

SHAPE = (20, 30, 40)
CORNERS = tuple(product((0, 1), repeat=3))
GRID = np.array([[-2.0, 0, 0, 50], [0, -2, 0, 40], [0, 0, 3, -20], [0, 0, 0, 1]])


def oblique() -> np.ndarray:
    """The same grid, turned around an axis of no direction."""
    a, b = np.deg2rad(20), np.deg2rad(-35)
    one = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    two = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    turned = GRID.copy()
    turned[:3, :3] = one @ two @ GRID[:3, :3]
    return turned


def world(affine: np.ndarray) -> np.ndarray:
    """RAS mm of every voxel, (k, j, i, 3)."""
    k, j, i = np.indices(SHAPE)
    return np.einsum("xy,kjiy->kjix", affine, np.stack([i, j, k, np.ones_like(i)], -1))[..., :3]


def ball(center: np.ndarray, radius: float, parts: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Corners and polygons of a ball: rings of triangles and quadrangles."""
    points = [[0.0, 0.0, 1.0]]
    for n in range(1, parts):
        for m in range(parts):
            polar, turn = np.pi * n / parts, 2 * np.pi * m / parts
            side = np.sin(polar)
            points.append([side * np.cos(turn), side * np.sin(turn), np.cos(polar)])
    points.append([0.0, 0.0, -1.0])
    last = len(points) - 1
    polygons: list[int] = []
    for m in range(parts):
        after = (m + 1) % parts
        polygons += [3, 0, 1 + m, 1 + after]
        for n in range(parts - 2):
            here, below = 1 + n * parts, 1 + (n + 1) * parts
            polygons += [4, here + m, below + m, below + after, here + after]
        polygons += [3, last - parts + after, last - parts + m, last]
    return center + radius * np.array(points), np.array(polygons)


def box(low: tuple[float, ...], high: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Corners and polygons of a box of voxels i, j, k, in RAS mm of the grid."""
    ends = np.array([low, high])
    corners = np.array([(*(ends[n, axis] for axis, n in enumerate(at)), 1) for at in CORNERS])
    sides = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    return (corners @ GRID.T)[:, :3], np.array([[4, *side] for side in sides]).ravel()


def together(*surfaces: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Several surfaces as one."""
    points, triangles, known = [], [], 0
    for corners, polygons in surfaces:
        triangles.append(triangles_of(polygons) + known)
        points.append(corners)
        known += len(corners)
    whole = np.concatenate(triangles)
    return np.concatenate(points), np.column_stack([np.full(len(whole), 3), whole]).ravel()


@pytest.mark.parametrize("affine", [GRID, oblique()], ids=["straight", "oblique"])
def test_a_ball_is_filled_on_any_grid(affine: np.ndarray) -> None:
    center = (affine @ [22, 13, 9, 1])[:3]
    inside = filled(*ball(center, 21.0), affine, SHAPE)
    distance = np.linalg.norm(world(affine) - center, axis=-1)
    clear = np.abs(distance - 21.0) > 0.1  # its flat parts lie as much within
    assert np.array_equal(inside[clear], distance[clear] < 21.0)
    assert clear.mean() > 0.99


def test_sides_between_voxels_and_on_voxels_are_where_they_are() -> None:
    inside = filled(*box((4.5, 5.5, 2.5), (20.5, 15.5, 9.5)), GRID, SHAPE)
    expected = np.zeros(SHAPE, bool)
    expected[3:10, 6:16, 5:21] = True
    assert np.array_equal(inside, expected)
    # A side that runs through centers of voxels takes them or not; between them all is clear.
    inside = filled(*box((4, 5, 2), (20, 15, 9)), GRID, SHAPE)
    assert inside[3:9, 6:15, 5:20].all()
    assert inside.sum() == inside[2:10, 5:16, 4:21].sum()


def test_a_hollow_ball_is_hollow_and_two_balls_are_two() -> None:
    center = (GRID @ [20, 14, 9, 1])[:3]
    distance = np.linalg.norm(world(GRID) - center, axis=-1)
    inside = filled(*together(ball(center, 22.0), ball(center, 12.0)), GRID, SHAPE)
    clear = (np.abs(distance - 22.0) > 0.1) & (np.abs(distance - 12.0) > 0.1)
    assert np.array_equal(inside[clear], ((distance < 22.0) & (distance > 12.0))[clear])
    one, two = (box((i, 3, 3), (i + 4, 9, 9)) for i in (2.5, 20.5))
    rows = filled(*together(one, two), GRID, SHAPE)[5, 5]
    assert np.flatnonzero(rows).tolist() == [3, 4, 5, 6, 21, 22, 23, 24]


def test_what_is_beyond_the_scan_is_left_out() -> None:
    for low, high in (((-9, -9, -9), (5.5, 99, 99)), ((30.5, -9, -9), (99, 99, 99))):
        inside = filled(*box(low, high), GRID, SHAPE)
        columns = np.flatnonzero(inside.all(axis=(0, 1)))
        assert columns.tolist() == list(range(max(0, int(low[0] + 1)), min(40, int(high[0] + 1))))
        assert inside.sum() == len(columns) * SHAPE[0] * SHAPE[1]
    assert not filled(*box((50.5, 0, 0), (60, 9, 9)), GRID, SHAPE).any()
    assert not filled(np.zeros((0, 3)), np.zeros(0, np.int64), GRID, SHAPE).any()


def test_a_surface_with_a_hole_is_refused() -> None:
    points, polygons = ball((GRID @ [20, 14, 9, 1])[:3], 20.0)
    triangles = triangles_of(polygons)
    middle = points[triangles].mean(axis=1)
    kept = triangles[middle[:, 0] < middle[:, 0].max() - 5]
    flat = np.column_stack([np.full(len(kept), 3), kept]).ravel()
    with pytest.raises(InputError, match="The surface has holes"):
        filled(points, flat, GRID, SHAPE)
