"""Resampling keeps positions: one convention, checked against torch and against physics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from FlareSegmentLib.resampling import (
    axis_weights,
    grid_size,
    linear_taps,
    resample_labels,
    resample_volume,
)


@pytest.mark.parametrize("new_size", [(7, 9, 11), (12, 15, 14), (30, 11, 40), (6, 8, 7)])
def test_up_to_twofold_reduction_is_torch_trilinear(new_size: tuple[int, int, int]) -> None:
    array = np.random.default_rng(1).normal(0, 300, (12, 15, 14)).astype(np.float32)
    expected = functional.interpolate(
        torch.from_numpy(array)[None, None], size=new_size, mode="trilinear", align_corners=False
    )[0, 0]
    np.testing.assert_allclose(resample_volume(array, new_size), expected, atol=2e-3)


def test_integer_volume_resamples_as_its_float_copy() -> None:
    array = np.random.default_rng(2).integers(-1024, 3000, (30, 9, 10)).astype(np.int16)
    result = resample_volume(array, (21, 12, 7))
    torch.testing.assert_close(result, resample_volume(array.astype(np.float64), (21, 12, 7)))


@pytest.mark.parametrize(("size", "new_size"), [(40, 40), (40, 23), (40, 100), (40, 11), (41, 5)])
def test_a_linear_ramp_stays_the_same_ramp_in_millimetres(size: int, new_size: int) -> None:
    ramp = np.arange(size) + 0.5
    result = axis_weights(size, new_size) @ ramp
    expected = (np.arange(new_size) + 0.5) * size / new_size
    # Away from the borders, where the outer half voxel is clamped.
    margin = max(1, int(np.ceil(2 * new_size / size)))
    # A sampled triangle is symmetric within a few hundredths of an input voxel only.
    np.testing.assert_allclose(result[margin:-margin], expected[margin:-margin], atol=0.03)


@pytest.mark.parametrize(("size", "new_size"), [(40, 23), (40, 100), (40, 11), (7, 7), (1, 4)])
def test_weights_of_every_output_voxel_sum_to_one(size: int, new_size: int) -> None:
    np.testing.assert_allclose(axis_weights(size, new_size).sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize(("size", "new_size"), [(40, 23), (40, 100), (9, 9)])
def test_taps_and_weight_matrix_are_the_same_interpolation(size: int, new_size: int) -> None:
    lower, upper, fraction = linear_taps(size, new_size)
    matrix = np.zeros((new_size, size))
    np.add.at(matrix, (np.arange(new_size), lower), 1 - fraction)
    np.add.at(matrix, (np.arange(new_size), upper), fraction)
    np.testing.assert_allclose(matrix, axis_weights(size, new_size), atol=1e-5)


def test_strong_reduction_averages_instead_of_skipping() -> None:
    """A checkerboard reduced fivefold is its mean, not one of its two values."""
    k, j, i = np.indices((40, 40, 40))
    board = ((k + j + i) % 2 * 1000).astype(np.int16)
    result = resample_volume(board, (8, 8, 8))
    assert abs(float(result.mean()) - 500) < 5
    assert float(result.std()) < 60


def test_volume_of_an_object_survives_resampling() -> None:
    """A ball keeps its volume in ml within 2 % from 1 mm to 2.7 mm voxels."""
    distance = np.linalg.norm(np.indices((60, 60, 60)) - 29.3, axis=0)
    ball = (distance < 20).astype(np.uint8)
    size = grid_size(ball.shape, (1, 1, 1), (2.7, 2.0, 1.5))
    voxel = np.prod([60 / n for n in size])
    assert resample_labels(ball, size).sum() * voxel == pytest.approx(ball.sum(), rel=0.02)


def test_resampled_labels_are_labels_of_the_input() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(np.array([0, 3, 14, 255], np.uint8), (10, 12, 9))
    assert set(np.unique(resample_labels(labels, (17, 8, 20)))) <= {0, 3, 14, 255}


def test_resampling_labels_to_their_own_grid_changes_nothing() -> None:
    labels = np.random.default_rng(0).integers(0, 5, (8, 9, 10)).astype(np.uint8)
    np.testing.assert_array_equal(resample_labels(labels, labels.shape), labels)


def test_grid_size_never_vanishes() -> None:
    assert grid_size((1, 100, 3), (1.0, 0.5, 1.0), (6, 6, 6)) == (1, 8, 1)
