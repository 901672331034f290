"""A box that limits a segmentation: which voxels it holds, and what the engine makes of it."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.geometry import AxisOrder
from FlareSegmentLib.region import (
    box_of_corners,
    canonical_box,
    clear_outside,
    common,
    corners_of,
    corners_of_bounds,
    is_rotated,
    part_of,
    widened,
)
from FlareSegmentLib.windows import Box

SHAPE = (9, 12, 15)
ORDERS = [
    AxisOrder(permutation, flips)
    for permutation in permutations(range(3))
    for flips in product((False, True), repeat=3)
]


def scan_affine(angles: tuple[float, float, float], signs: tuple[int, int, int]) -> np.ndarray:
    """Voxels of 1.5 x 2 x 4 mm, turned by angles in degrees, axes flipped by signs."""
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag(np.array([1.5, 2.0, 4.0]) * signs)
    affine[:3, 3] = (30.0, -75.0, 410.0)
    return affine


def centers(affine: np.ndarray) -> np.ndarray:
    """RAS mm of each voxel's center, ``(k, j, i, 3)``."""
    k, j, i = np.indices(SHAPE)
    return np.stack([i, j, k], axis=-1) @ affine[:3, :3].T + affine[:3, 3]


def box_at(affine: np.ndarray, index: np.ndarray, angles: tuple[float, float, float]) -> np.ndarray:
    """Axes of a box around a voxel index (i, j, k), turned against the scan's axes."""
    matrix = np.eye(4)
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    matrix[:3, :3] = affine[:3, :3] / lengths @ turn
    matrix[:3, 3] = affine[:3, :3] @ index + affine[:3, 3]
    return matrix


def inside(points: np.ndarray, matrix: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Whether points lie in the box, asked in the box's own axes."""
    own = (points - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T
    return (np.abs(own) <= size / 2 + 1e-6).all(axis=-1)


@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)), ids=str)
@pytest.mark.parametrize("angles", [(0, 0, 0), (12, -8, 30), (44, 10, -70)], ids=str)
def test_box_holds_exactly_the_voxels_whose_centers_are_inside(
    angles: tuple[float, float, float], signs: tuple[int, int, int]
) -> None:
    affine = scan_affine(angles, signs)
    points = centers(affine)
    random = np.random.default_rng(5)
    for _ in range(20):
        index, size = random.uniform([0, 0, 0], [14, 11, 8]), random.uniform(5, 30, 3)
        matrix = box_at(affine, index, (0, 0, 0))
        corners = corners_of(matrix, size)
        assert not is_rotated(corners, affine)
        held = np.zeros(SHAPE, bool)
        held[box_of_corners(corners, affine, SHAPE)] = True
        np.testing.assert_array_equal(held, inside(points, matrix, size))


@pytest.mark.parametrize("angles", [(20, 0, 0), (0, 35, 10), (45, 45, 45)], ids=str)
def test_rotated_box_is_widened_along_the_axes_of_the_scan(
    angles: tuple[float, float, float],
) -> None:
    affine = scan_affine((12, -8, 30), (1, -1, 1))
    points = centers(affine)
    random = np.random.default_rng(6)
    for _ in range(20):
        index, size = random.uniform([4, 4, 3], [10, 8, 6]), random.uniform(8, 30, 3)
        matrix = box_at(affine, index, angles)
        corners = corners_of(matrix, size)
        assert is_rotated(corners, affine)
        held = np.zeros(SHAPE, bool)
        held[box_of_corners(corners, affine, SHAPE)] = True
        assert not (inside(points, matrix, size) & ~held).any()
        # Not wider than needed: each side touches a corner of the box, to a voxel.
        indices = (corners - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
        for axis, hits in enumerate(np.nonzero(held)):
            low, high = indices[:, 2 - axis].min(), indices[:, 2 - axis].max()
            assert hits.min() == max(0, np.ceil(low))
            assert hits.max() == min(SHAPE[axis] - 1, np.floor(high))


def test_a_right_angle_is_no_rotation() -> None:
    affine = scan_affine((12, -8, 30), (1, 1, 1))
    matrix = box_at(affine, np.array([7, 6, 4]), (90, 0, 180))
    assert not is_rotated(corners_of(matrix, (10, 20, 30)), affine)


def test_box_outside_of_the_scan_is_a_sentence_with_both_places() -> None:
    affine = scan_affine((0, 0, 0), (1, 1, 1))
    matrix = np.eye(4)
    matrix[:3, 3] = (-300, 0, 0)
    with pytest.raises(InputError, match=r"-305 to -295 mm.*the scan from 29 to 52 mm.*Move"):
        box_of_corners(corners_of(matrix, (10, 10, 10)), affine, SHAPE)


def test_box_thinner_than_a_voxel_is_a_sentence() -> None:
    affine = scan_affine((0, 0, 0), (1, 1, 1))
    matrix = box_at(affine, np.array([7.5, 6.5, 4.5]), (0, 0, 0))
    with pytest.raises(InputError, match="holds no voxel"):
        box_of_corners(corners_of(matrix, (1, 1, 1)), affine, SHAPE)


def test_bounds_are_read_along_right_anterior_superior() -> None:
    corners = corners_of_bounds("-100, 120,-80,60,300,420.5")
    np.testing.assert_allclose(corners.min(axis=0), [-100, -80, 300])
    np.testing.assert_allclose(corners.max(axis=0), [120, 60, 420.5])


@pytest.mark.parametrize("text", ["1,2,3", "a,1,2,3,4,5", "1,0,0,1,0,1", "0,1,0,1,0,nan", ""])
def test_bounds_that_are_no_box_are_a_sentence(text: str) -> None:
    with pytest.raises(InputError, match="Give six numbers"):
        corners_of_bounds(text)


BOX: Box = (slice(2, 5), slice(0, 7), slice(10, 15))


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_canonical_box_holds_the_same_voxels(order: AxisOrder) -> None:
    marked = np.zeros(SHAPE, bool)
    marked[BOX] = True
    expected = np.zeros_like(order.apply(marked))
    expected[canonical_box(BOX, SHAPE, order)] = True
    np.testing.assert_array_equal(order.apply(marked), expected)


def test_margin_is_in_mm_and_stays_in_the_scan() -> None:
    assert widened(BOX, (4.0, 2.0, 1.5), SHAPE, 5.0) == (slice(0, 7), slice(0, 10), slice(6, 15))


def test_common_part_of_two_boxes() -> None:
    other = (slice(4, 9), slice(3, 4), slice(0, 11))
    assert common(BOX, other) == (slice(4, 5), slice(3, 4), slice(10, 11))
    assert common(BOX, (slice(5, 9), slice(3, 4), slice(0, 11))) is None


def test_clearing_leaves_the_box_alone() -> None:
    labels = np.random.default_rng(1).integers(1, 15, SHAPE).astype(np.uint8)
    expected = np.zeros_like(labels)
    expected[BOX] = labels[BOX]
    clear_outside(labels, BOX)
    np.testing.assert_array_equal(labels, expected)


def test_part_of_a_coarse_array_covers_the_box() -> None:
    fine = np.zeros((12, 12, 12), bool)
    box = (slice(3, 7), slice(0, 1), slice(6, 12))
    fine[box] = True
    coarse = fine.reshape(4, 3, 4, 3, 4, 3).any(axis=(1, 3, 5))
    assert part_of(coarse, box, fine.shape).all()
    assert part_of(coarse, box, fine.shape).sum() == coarse.sum()
