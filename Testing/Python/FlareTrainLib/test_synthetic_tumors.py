"""Handmade tumors in organs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from FlareTrainLib.crop_settings import TumorSettings
from FlareTrainLib.label_values import IGNORE, TUMOR
from FlareTrainLib.synthetic_tumors import add_tumors
from FlareTrainLib.tumor_looks import draw_look
from FlareTrainLib.tumor_shapes import tumor_distance

SPACING = (2.5, 2.0, 2.0)
NOISE = 8.0


def _organ(host: int = 1, hu: float = 110.0) -> tuple[Tensor, Tensor]:
    """A block of one organ with noise and a bright vessel, in fat."""
    rng = np.random.default_rng(0)
    labels = torch.zeros(40, 60, 60, dtype=torch.int64)
    labels[6:34, 8:52, 8:52] = host
    image = torch.where(labels == host, hu, -100.0)
    image[6:34, 29:31, 8:52] = hu + 70
    return image + torch.from_numpy(rng.normal(0, NOISE, labels.shape)).float(), labels


def _draw(seed: int, image: Tensor, labels: Tensor, **settings: object) -> tuple[Tensor, Tensor]:
    chosen = TumorSettings(**{"hosts": (1,), "host_weights": (1.0,), "most": 1, **settings})  # type: ignore[arg-type]
    changed, marked, _ = add_tumors(image, labels, np.random.default_rng(seed), SPACING, chosen)
    return changed, marked


def test_nothing_outside_the_host_is_labeled_and_inputs_stay() -> None:
    """Liver tumors stay in the liver; what came in is not modified."""
    image, labels = _organ()
    kept = image.clone(), labels.clone()
    found = 0
    for seed in range(12):
        changed, marked = _draw(seed, image, labels, most=4)
        tumor = marked == TUMOR
        found += int(tumor.any())
        assert bool((labels[tumor] == 1).all())
        assert bool((marked[~tumor] == labels[~tumor]).all())
        assert bool((changed[labels == 0] == image[labels == 0]).all())
    assert found >= 10
    torch.testing.assert_close((image, labels), kept, rtol=0, atol=0)


def test_same_seed_gives_the_same_tumor() -> None:
    """Randomness comes from the generator alone."""
    image, labels = _organ()
    first, again = _draw(3, image, labels), _draw(3, image, labels)
    torch.testing.assert_close(first, again, rtol=0, atol=0)


@pytest.mark.parametrize("hu", [55.0, 110.0])
def test_solid_tumors_are_soft_tissue_in_every_contrast_phase(hu: float) -> None:
    """A fall of intensity is in proportion to the host: never fat in a liver without contrast."""
    rng = np.random.default_rng(0)
    looks = [draw_look(1, hu, 15.0, rng, (15.0, 75.0)) for _ in range(300)]
    levels = np.asarray([look.level_hu for look in looks])
    assert levels.min() > -10
    darker = levels[levels < hu]
    assert 0.75 < len(darker) / len(levels) < 1
    assert np.median(hu - darker) == pytest.approx(0.41 * hu, abs=0.1 * hu)
    rims = [look.rim_hu > 0 for look in looks]
    assert any(rims) == (hu > 80)


def test_vessels_end_at_the_tumor_and_noise_does_not() -> None:
    """Inside, the vessel of 70 HU is gone and the grain is that of the scan."""
    image, labels = _organ()
    for seed in range(40):
        changed, marked = _draw(seed, image, labels, radius_mm=(20.0, 22.0))
        core = torch.from_numpy(ndimage.binary_erosion((marked == TUMOR).numpy(), iterations=3))
        vessel = core.clone()
        vessel[:, :29] = vessel[:, 31:] = False
        beside = core.clone()
        beside[:, 27:33] = False
        if int(vessel.sum()) < 20 or int(beside.sum()) < 150:
            continue
        assert abs(float(changed[vessel].mean() - changed[beside].mean())) < 25
        grain = changed[:, :, 1:] - changed[:, :, :-1]
        inside = beside[:, :, 1:] & beside[:, :, :-1]
        assert float(grain[inside].std()) == pytest.approx(NOISE * 2**0.5, rel=0.35)
        return
    pytest.fail("no tumor lay on the vessel")


def test_outline_is_where_the_change_begins() -> None:
    """People outline the outer edge: just inside, the gray level has only begun to change."""
    image, labels = _organ()
    steps = []
    for seed in range(30):
        changed, marked = _draw(seed, image, labels, radius_mm=(12.0, 16.0))
        tumor = (marked == TUMOR).numpy()
        if tumor.sum() < 300:
            continue
        difference = (image - changed).numpy()
        depth = ndimage.distance_transform_edt(tumor, SPACING)
        outer, inner = difference[tumor & (depth < 2.6)].mean(), difference[depth > 7].mean()
        if inner > 15:
            steps.append(outer / inner)
    assert len(steps) > 8
    assert 0.35 < np.median(steps) < 0.85


def test_unknown_voxels_stay_unknown() -> None:
    """Doubtful voxels at the border change their gray level, never their label."""
    image, labels = _organ()
    labels[:, 8:11] = IGNORE
    changed_there = 0
    for seed in range(20):
        changed, marked = _draw(seed, image, labels, radius_mm=(14.0, 20.0))
        assert bool((marked[:, 8:11] == IGNORE).all())
        changed_there += int((changed[:, 8:11] != image[:, 8:11]).any())
    assert changed_there > 0


def test_only_organs_in_the_crop_are_hosts() -> None:
    """A crop without liver gets its tumor in the kidney, and it may bulge into fat, not air."""
    image, labels = _organ(host=13, hu=170.0)
    image[:, :4] = -1000
    drawn = bulging = 0
    for seed in range(20):
        changed, marked, count = add_tumors(
            image, labels, np.random.default_rng(seed), SPACING, TumorSettings(most=1)
        )
        drawn += count
        bulging += int(((marked == TUMOR) & (labels == 0)).any())
        assert bool((changed[:, :4] == image[:, :4]).all())
        # What is labeled in fat has become tissue: never fat that is called tumor.
        outside = (marked == TUMOR) & (labels == 0)
        if bool(outside.any()):
            assert float(changed[outside].median()) > -60
    assert drawn >= 15
    assert bulging > 0


def test_without_a_host_nothing_changes() -> None:
    """No organ that may hold a tumor, no tumor."""
    image, labels = _organ(host=5)
    changed, marked, count = add_tumors(image, labels, np.random.default_rng(0), SPACING)
    assert count == 0
    assert torch.equal(changed, image)
    assert torch.equal(marked, labels)


@pytest.mark.parametrize("radius", [4.0, 12.0, 25.0])
def test_radius_is_in_millimetres(radius: float) -> None:
    """The median volume is that of a ball of the radius, whatever the spacing."""
    volumes = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        centre = np.asarray([30, 40, 40])
        _, distance = tumor_distance(
            centre, radius, (60, 80, 80), rng, SPACING, torch.device("cpu")
        )
        volumes.append(float((distance < 0).sum()) * np.prod(SPACING))
    ball = 4 / 3 * np.pi * radius**3
    assert 0.6 * ball < np.median(volumes) < 1.6 * ball
