"""Stomach and bowel get other contents; lungs, air around and other organs stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from FlareTrainLib.augmentation import change_intensity
from FlareTrainLib.bowel_filling import GAS_HU, RIM_MM, WALL_MM, fill_bowel, fill_stomach
from FlareTrainLib.crop_settings import AugmentationSettings
from FlareTrainLib.label_values import IGNORE

SPACING = (4.0, 2.0, 2.0)
STOMACH = 11


@pytest.fixture
def abdomen() -> tuple[Tensor, Tensor]:
    """Fat with liver, bone, a gas bubble in the stomach, one in bowel, a lung that is cut."""
    image = torch.full((24, 48, 48), -90.0)
    labels = torch.zeros(image.shape, dtype=torch.int64)
    image[14:20, 4:20, 4:20], labels[14:20, 4:20, 4:20] = 105.0, 1
    image[8:14, 28:44, 28:44], labels[8:14, 28:44, 28:44] = 35.0, STOMACH
    image[9:13, 30:40, 30:42] = -950.0
    image[3:8, 6:18, 26:40] = -900.0
    image[3:8, 6:18, 24:26] = 700.0  # bone at the bowel
    image[20:, :, 30:] = -850.0  # lung, up to the border
    return image, labels


def enclosed(image: Tensor) -> np.ndarray:
    gas = (image < GAS_HU).numpy()
    gas[20:] = False
    return gas


def test_enclosed_gas_is_filled_and_all_else_stays(abdomen: tuple[Tensor, Tensor]) -> None:
    image, labels = abdomen
    before = image.clone()
    gas = enclosed(image)
    far = ndimage.distance_transform_edt(~gas, SPACING) > 1.5 * RIM_MM
    stomach, bowel = gas & (labels.numpy() == STOMACH), gas & (labels.numpy() == 0)
    means = {"stomach": [], "bowel": []}
    for seed in range(30):
        filled = fill_bowel(image, labels, np.random.default_rng(seed), SPACING).numpy()
        np.testing.assert_array_equal(filled[far], before.numpy()[far])
        assert (filled[20:] == before[20:].numpy()).all()
        assert (filled[3:8, 6:18, 24:26] == 700).all()
        for name, place in (("stomach", stomach), ("bowel", bowel)):
            values = filled[place]
            # As a whole or not at all.
            assert (values > -100).all() or (values < -800).all(), (seed, name)
            means[name].append(values.mean())
    assert torch.equal(image, before)
    for name, values in means.items():
        done = [v for v in values if v > -100]
        assert 15 < len(done) < 30, name
        # Water, liver and contrast agent.
        assert min(done) < 60
        assert any(80 < v < 130 for v in done)
        assert max(done) > 130


def test_the_rest_of_feces_goes_along_with_its_bubbles() -> None:
    image = torch.full((20, 40, 40), -90.0)
    image[5:15, 8:32, 8:32] = -5.0
    image[6:14:2, 10:30:4, 10:30:4] = -700.0
    labels = torch.zeros(image.shape, dtype=torch.int64)
    solid = (image == -5).numpy()
    shares = []
    for seed in range(40):
        filled = fill_bowel(image, labels, np.random.default_rng(seed), (2.0, 2.0, 2.0)).numpy()
        shares.append((filled[solid] > 0).mean())
    # One voxel of a bubble is too small to be filled alone: the lumen as a whole, or nothing.
    assert sum(share > 0.3 for share in shares) > 8
    assert sum(share == 0 for share in shares) > 8


def test_the_stomach_gets_another_content_and_keeps_its_wall(
    abdomen: tuple[Tensor, Tensor],
) -> None:
    image, labels = abdomen
    before = image.clone()
    stomach = labels.numpy() == STOMACH
    depth = ndimage.distance_transform_edt(stomach, SPACING)
    # A voxel in the wall's border is mixed with the content up to 1 mm outside of it.
    kept, changed = depth < WALL_MM[0] - 1, depth > WALL_MM[1] + 1
    assert changed.any()
    contents, levels = [], 0
    for seed in range(40):
        filled = fill_stomach(image, labels, np.random.default_rng(seed), SPACING).numpy()
        np.testing.assert_array_equal(filled[kept], before.numpy()[kept])
        assert (filled[changed] != before.numpy()[changed]).any()
        contents.append(np.median(filled[changed]))
        front, back = (filled[10, row, 31:41].mean() for row in (31, 41))
        levels += bool(front < -600 and back > -100)
        # Gas lies in front: patients lie on their backs.
        assert not (back < -600 and front > -100)
    assert torch.equal(image, before)
    assert 5 < levels < 35
    liquid = [value for value in contents if value > -200]
    assert min(liquid) < 40
    assert max(liquid) > 130


def test_without_a_stomach_nothing_is_put_into_it(abdomen: tuple[Tensor, Tensor]) -> None:
    image, labels = abdomen
    none = torch.where(labels == STOMACH, 0, labels)
    assert fill_stomach(image, none, np.random.default_rng(0), SPACING) is image


def test_without_gas_nothing_is_done() -> None:
    image = torch.full((8, 8, 8), 40.0)
    labels = torch.full(image.shape, IGNORE)
    assert fill_bowel(image, labels, np.random.default_rng(0), SPACING) is image
    image[:, :3] = -1000  # air around the patient
    assert fill_bowel(image, labels, np.random.default_rng(0), SPACING) is image


def test_it_is_part_of_the_augmentation_where_wanted(abdomen: tuple[Tensor, Tensor]) -> None:
    image, labels = abdomen
    none = AugmentationSettings(
        shift=0, contrast=0, noise_chance=0, low_resolution=0, blur=0, recolor=0
    )
    gas = enclosed(image)

    def some(settings: AugmentationSettings) -> list[float]:
        return [
            float(
                change_intensity(image, labels, np.random.default_rng(n), settings, SPACING)[
                    gas
                ].max()
            )
            for n in range(12)
        ]

    assert max(some(none)) < -800
    assert sum(v > -100 for v in some(replace(none, fill_bowel=1.0))) > 8
    inside = torch.from_numpy(gas) & (labels == STOMACH)
    filled = [
        change_intensity(
            image, labels, np.random.default_rng(n), replace(none, fill_stomach=1.0), SPACING
        )
        for n in range(6)
    ]
    assert all(not torch.equal(one[inside], image[inside]) for one in filled)
    assert all(torch.equal(one[labels == 1], image[labels == 1]) for one in filled)
    assert AugmentationSettings(fill_bowel=0.5, calm_from=0.5, calm=0.4).at(0.7).fill_bowel == 0.2
