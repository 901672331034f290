"""A deformed crop against SciPy, voxel by voxel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from FlareTrainLib.augmentation import crop, random_displacement, random_matrix, warp
from FlareTrainLib.crop_settings import AugmentationSettings
from FlareTrainLib.label_values import IGNORE

SHAPE = (20, 26, 30)
SIZE = (12, 10, 14)
SPACING = (2.5, 2.0, 2.0)


def scan() -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth image, so that linear interpolation is well behaved, and blocky labels."""
    rng = np.random.default_rng(1)
    image = ndimage.gaussian_filter(rng.normal(0, 300, SHAPE), 1.5).astype(np.float32) * 10
    labels = ndimage.zoom(rng.integers(0, 5, (5, 6, 6)), np.array(SHAPE) / (5, 6, 6), order=0)
    return torch.from_numpy(image.astype(np.int16)), torch.from_numpy(labels.astype(np.uint8))


def positions(
    centre: np.ndarray, matrix: np.ndarray, displacement: np.ndarray | None
) -> np.ndarray:
    """Input voxel (3, k, j, i) that each output voxel is taken from, computed one by one."""
    result = np.zeros((3, *SIZE))
    for index in np.ndindex(SIZE):
        offset = np.array(index) - (np.array(SIZE) - 1) / 2
        place = centre + matrix @ offset
        if displacement is not None:
            nodes = np.array(displacement.shape[1:])
            at = np.array(index) / (np.array(SIZE) - 1) * (nodes - 1)
            place = place + [
                ndimage.map_coordinates(field, at[:, None], order=1)[0] for field in displacement
            ]
        result[(slice(None), *index)] = place
    return result


@pytest.mark.parametrize("deformed", [False, True])
@pytest.mark.parametrize("centre", [(10.0, 13.0, 15.0), (2.0, 13.0, 27.0)])
def test_a_warped_crop_is_what_scipy_gives(
    deformed: bool, centre: tuple[float, float, float]
) -> None:
    image, labels = scan()
    rng = np.random.default_rng(4)
    settings = AugmentationSettings(rotation=20.0, elastic_mm=3.0)
    matrix = random_matrix(rng, settings, SPACING)
    field = random_displacement(rng, settings, SPACING) if deformed else None
    where = np.asarray(centre)
    warped, known = warp(image, labels, where, SIZE, matrix, field)
    places = positions(where, matrix, None if field is None else field.numpy())
    expected = ndimage.map_coordinates(image.numpy().astype(float), places, order=1, mode="nearest")
    np.testing.assert_allclose(warped.numpy(), expected, atol=1.0)

    nearest = np.rint(places).astype(int)
    limit = np.array(SHAPE)[:, None, None, None]
    outside = ((nearest < 0) | (nearest >= limit)).any(axis=0)
    inside = np.clip(nearest, 0, limit - 1)
    drawn = np.where(outside, IGNORE, labels.numpy()[tuple(inside)])
    # Half-way positions may round to either side.
    halves = (np.abs(np.abs(places - np.floor(places)) - 0.5) < 1e-3).any(axis=0)
    np.testing.assert_array_equal(known.numpy()[~halves], drawn[~halves])
    assert halves.mean() < 0.05
    if centre[0] == 2.0:
        assert outside.any()
        assert bool((known == IGNORE).any())


def test_without_any_change_it_is_a_plain_crop() -> None:
    image, labels = scan()
    centre = np.array([10.0, 13.0, 15.0])
    # An even box has its center between voxels.
    middle = centre - 0.5
    plain = crop(image, labels, centre, SIZE)
    warped = warp(image, labels, middle, SIZE, np.eye(3))
    torch.testing.assert_close(warped[0], plain[0], atol=0.05, rtol=0)
    assert torch.equal(warped[1], plain[1])
