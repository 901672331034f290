"""Structures that were drawn on another grid come to lie where they were drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from FlareTrainLib.staged_layers import StagedLayer, merged

SHAPE = (20, 30, 40)
RADIUS, HALF_DIAGONAL = 14.0, 3**0.5 / 2
"""Of the ball, and of a voxel of the other grid: as far as the nearest voxel may be; mm."""

SCAN = np.array([[-2.0, 0, 0, 50], [0, -2, 0, 40], [0, 0, 3, -20], [0, 0, 0, 1]])


def rotated(degrees: float, spacing: float) -> np.ndarray:
    """The affine of an oblique grid around the middle of the scan."""
    angle = np.deg2rad(degrees)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = spacing * turn
    middle = SCAN @ [19.5, 14.5, 9.5, 1]
    affine[:3, 3] = middle[:3] - affine[:3, :3] @ [39.5, 39.5, 39.5]
    return affine


def world(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """RAS mm of every voxel, (k, j, i, 3)."""
    k, j, i = np.indices(shape)
    return np.einsum("xy,kjiy->kjix", affine, np.stack([i, j, k, np.ones_like(i)], -1))[..., :3]


def beyond_ball(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Millimeters to the surface of a ball off the middle: a swapped axis would show."""
    center = (SCAN @ [25, 12, 8, 1])[:3]
    return np.linalg.norm(world(affine, shape) - center, axis=-1) - RADIUS


@pytest.mark.parametrize("degrees", [0, 30, 180])
def test_a_ball_on_an_oblique_grid_is_the_ball_on_the_scan(tmp_path: Path, degrees: float) -> None:
    affine = rotated(degrees, 1.0)
    shape = (80, 80, 80)
    image = np.where(beyond_ball(affine, shape) < 0, 7, 0).astype(np.uint8)
    # As Slicer keeps it: only the part that is not empty, which begins anywhere.
    part = (slice(10, 75), slice(5, 80), slice(0, 78))
    np.save(tmp_path / "a.npy", image[part])
    extent = tuple((p.start, p.stop) for p in part)
    layer = StagedLayer("a.npy", extent, 7, 3, tuple(map(tuple, affine.tolist())))
    labels = merged(tmp_path, SHAPE, SCAN, [layer])
    beyond = beyond_ball(SCAN, SHAPE)
    clear = np.abs(beyond) > HALF_DIAGONAL
    assert np.array_equal(labels[clear], np.where(beyond[clear] < 0, 3, 0))
    assert clear.mean() > 0.9


def test_the_scans_own_grid_gives_the_same_whichever_way_it_is_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 3, (8, 9, 10)).astype(np.uint8)
    np.save(tmp_path / "a.npy", image)
    extent = ((-2, 6), (25, 34), (3, 13))  # it reaches beyond the scan
    plain = [StagedLayer("a.npy", extent, value, value) for value in (1, 2)]
    rows = tuple(map(tuple, SCAN.tolist()))
    told = [StagedLayer("a.npy", extent, value, value, rows) for value in (1, 2)]
    one, other = (merged(tmp_path, SHAPE, SCAN, layers) for layers in (plain, told))
    assert np.array_equal(one, other)
    assert np.array_equal(one[0:6, 25:30, 3:13], image[2:8, :5])


def test_a_structure_outside_the_scan_leaves_it_empty(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((4, 4, 4), np.uint8))
    far = np.eye(4)
    far[:3, 3] = 1000
    layer = StagedLayer("a.npy", ((0, 4),) * 3, 1, 1, tuple(map(tuple, far.tolist())))
    assert not merged(tmp_path, SHAPE, SCAN, [layer]).any()
