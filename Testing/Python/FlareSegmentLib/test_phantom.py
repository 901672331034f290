"""Phantoms: all targets, on the right sides, of human sizes, with a CT's HU; and scans without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from FlareSegmentLib.geometry import canonical_axes
from FlareSegmentLib.labels import target_by_key, targets
from FlareSegmentLib.phantom import PhantomSettings, make_phantom
from FlareSegmentLib.phantom.attenuation import attenuation
from FlareSegmentLib.phantom.canvas import Canvas, Grid
from FlareSegmentLib.phantom.negatives import make_chest_only, make_head, make_legs, make_noise
from FlareSegmentLib.phantom.noise import ct_noise
from FlareSegmentLib.phantom.shapes import ellipsoid, tube
from FlareSegmentLib.volume import Volume

COARSE = PhantomSettings(
    seed=3, spacing=(4.0, 3.0, 3.0), bottom_mm=-110, top_mm=145, phase="portal", tumors=3
)
# ml; wider than the 10th to 90th percentile of the 50 patients in `patient.VOLUME_ML`, because
# phantoms vary too, but no organ of such a size would make a radiologist frown.
HUMAN_ML = {
    "liver": (900, 2300),
    "right_kidney": (80, 320),
    "left_kidney": (80, 320),
    "spleen": (50, 450),
    "pancreas": (40, 170),
    "aorta": (50, 220),
    "inferior_vena_cava": (40, 150),
    "right_adrenal_gland": (1.5, 10),
    "left_adrenal_gland": (1.5, 11),
    "gallbladder": (5, 70),
    "esophagus": (5, 35),
    "stomach": (90, 900),
    "duodenum": (40, 160),
}

Phantom = tuple[Volume, np.ndarray]


@pytest.fixture(scope="module")
def patients() -> list[Phantom]:
    return [make_phantom(replace(COARSE, seed=seed)) for seed in (3, 12)]


def _mask(labels: np.ndarray, key: str) -> np.ndarray:
    return labels == target_by_key(key).id


def _centroid_ras(phantom: Phantom, key: str) -> np.ndarray:
    k, j, i = (axis.mean() for axis in np.nonzero(_mask(phantom[1], key)))
    return (phantom[0].affine @ (i, j, k, 1))[:3]


def test_all_fourteen_targets_are_there(patients: list[Phantom]) -> None:
    for volume, labels in patients:
        assert volume.array.dtype == np.int16
        assert labels.dtype == np.uint8
        assert labels.shape == volume.array.shape
        assert set(np.unique(labels)) == set(range(15))


def test_volumes_are_human(patients: list[Phantom]) -> None:
    for volume, labels in patients:
        for key, (low, high) in HUMAN_ML.items():
            ml = np.count_nonzero(_mask(labels, key)) * volume.voxel_volume_ml
            assert low < ml < high, f"{key} of {volume.name}: {ml:.1f} ml"


def test_order_is_canonical_and_sides_are_right(patients: list[Phantom]) -> None:
    for phantom in patients:
        order = canonical_axes(phantom[0].affine)
        assert order.permutation == (0, 1, 2)
        assert order.flips == (False, False, False)
        right, left = (_centroid_ras(phantom, f"{side}_kidney") for side in ("right", "left"))
        assert right[0] > 20  # RAS: x grows to the patient's right
        assert left[0] < -20
        assert _centroid_ras(phantom, "liver")[0] > 0 > _centroid_ras(phantom, "spleen")[0]
        adrenals = [_centroid_ras(phantom, f"{side}_adrenal_gland") for side in ("right", "left")]
        assert adrenals[0][0] > 0 > adrenals[1][0]
        assert adrenals[0][2] > right[2]  # above the kidneys
        assert adrenals[1][2] > left[2]
        cava, aorta = (_centroid_ras(phantom, key) for key in ("inferior_vena_cava", "aorta"))
        assert cava[0] > aorta[0]
        assert _centroid_ras(phantom, "esophagus")[2] > _centroid_ras(phantom, "stomach")[2]


def test_organs_hang_together(patients: list[Phantom]) -> None:
    for volume, labels in patients:
        for target in targets()[:13]:
            parts, _ = ndimage.label(labels == target.id, np.ones((3, 3, 3)))
            sizes = np.sort(np.bincount(parts.ravel())[1:])[::-1]
            assert sizes[0] > 0.9 * sizes.sum(), f"{target.key} of {volume.name}: {sizes}"


def test_tumors_touch_an_organ(patients: list[Phantom]) -> None:
    for _, labels in patients:
        parts, count = ndimage.label(_mask(labels, "tumor"), np.ones((3, 3, 3)))
        assert count > 0
        for n in range(1, count + 1):
            rim = ndimage.binary_dilation(parts == n, iterations=1) & (parts != n)
            assert np.isin(labels[rim], range(1, 14)).any()


def test_no_tumors_when_none_are_wanted() -> None:
    settings = replace(COARSE, tumors=0, spacing=(5.0, 5.0, 5.0))
    assert not _mask(make_phantom(settings)[1], "tumor").any()


@pytest.mark.parametrize("phase", ["none", "arterial"])
def test_hu_follow_the_contrast_phase(phase: str) -> None:
    settings = replace(COARSE, bottom_mm=-10, top_mm=110, phase=phase, tumors=0, noise_hu=8.0)
    volume, labels = make_phantom(settings)
    for key in ("liver", "spleen", "aorta", "inferior_vena_cava", "gallbladder"):
        core = ndimage.binary_erosion(_mask(labels, key))
        expected = attenuation(key, phase)
        # 5 % from patient to patient (three deviations), vessels in the liver, blurred edges.
        assert np.median(volume.array[core]) == pytest.approx(expected, abs=8 + 0.18 * expected)
    fat = np.percentile(volume.array[(volume.array > -200) & (labels == 0)], 20)
    assert -130 < fat < -70
    assert volume.array.min() < -900  # lungs and the air around
    assert volume.array.max() > 400  # bone


def test_same_seed_same_phantom_other_seed_another(patients: list[Phantom]) -> None:
    volume, labels = make_phantom(COARSE)
    assert np.array_equal(volume.array, patients[0][0].array)
    assert np.array_equal(labels, patients[0][1])
    assert volume.array.shape != patients[1][0].array.shape


def test_field_of_view_can_be_cut_anywhere_at_any_spacing() -> None:
    settings = PhantomSettings(
        seed=5, spacing=(5.0, 2.5, 3.5), shape=(9, 60, 50), bottom_mm=-20, top_mm=40, noise_hu=0
    )
    volume, labels = make_phantom(settings)
    assert volume.array.shape == labels.shape == (9, 60, 50)
    assert volume.spacing == pytest.approx((5.0, 2.5, 3.5))
    assert _mask(labels, "liver").any()
    assert _mask(labels, "left_kidney").any()


def test_thick_slices_lie_where_the_thin_ones_do() -> None:
    """5 mm slices average thinner ones: same place in the patient, same organs."""
    thin = PhantomSettings(seed=5, spacing=(5 / 3, 4.0, 4.0), bottom_mm=20, top_mm=65, tumors=0)
    thick = replace(thin, spacing=(5.0, 4.0, 4.0))
    fine, coarse = make_phantom(thin), make_phantom(thick)
    for key in ("liver", "aorta"):
        assert _centroid_ras(fine, key) == pytest.approx(_centroid_ras(coarse, key), abs=1.5)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="portal"):
        PhantomSettings(phase="venous")
    with pytest.raises(ValueError, match="positive"):
        PhantomSettings(spacing=(1.0, 0.0, 1.0))
    with pytest.raises(ValueError, match="above"):
        PhantomSettings(bottom_mm=10, top_mm=0)


@pytest.mark.parametrize("maker", [make_head, make_legs])
@pytest.mark.parametrize("seed", [0, 1])
def test_heads_and_legs_look_like_ct_and_hold_no_target(maker, seed: int) -> None:
    volume, labels = maker(seed, (6.0, 4.0, 4.0))
    assert labels.shape == volume.array.shape
    assert not labels.any()
    for low, high in ((-1024, -900), (-150, -60), (20, 100), (400, 3071)):  # air fat muscle bone
        assert ((volume.array >= low) & (volume.array <= high)).mean() > 0.002


@pytest.mark.parametrize("seed", range(4))
def test_noise_holds_no_target(seed: int) -> None:
    volume, labels = make_noise(seed)
    assert not labels.any()
    assert volume.array.std() > 5


def test_chest_holds_only_aorta_and_esophagus() -> None:
    volume, labels = make_chest_only(2, (6.0, 4.0, 4.0))
    assert set(np.unique(labels)) == {0, target_by_key("aorta").id, target_by_key("esophagus").id}
    assert ((volume.array > -950) & (volume.array < -700)).mean() > 0.05  # lungs


def test_noise_has_the_grain_of_ct() -> None:
    """Neighboring pixels are alike, and low frequencies are weak: the ramp of back-projection."""
    noise = ct_noise(np.random.default_rng(0), (4, 256, 256), (3.0, 0.7, 0.7), 20.0)
    assert noise.std() == pytest.approx(20, rel=0.01)
    assert np.corrcoef(noise[:, :, 1:].ravel(), noise[:, :, :-1].ravel())[0, 1] > 0.3
    power = (np.abs(np.fft.fft2(noise)) ** 2).mean(axis=0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(256, 0.7), np.fft.fftfreq(256, 0.7)))
    low, middle = (frequency < 0.04) & (frequency > 0), (frequency > 0.15) & (frequency < 0.3)
    assert power[low].mean() < 0.5 * power[middle].mean()


def test_partial_volume_keeps_the_amount_of_matter() -> None:
    """A ball's HU add up to its volume, wherever its center lies between the voxels."""
    for shift in (0.0, 0.7, 1.3):
        canvas = Canvas(Grid((30, 30, 30), (2.0, 2.0, 2.0), (-30.0, -30.0, -30.0)))
        canvas.paint(ellipsoid((shift, -shift, 0.4), (17, 17, 17)), 0.0, label=1)
        ml = float((canvas.hu + 1000).sum()) / 1000 * 0.008
        assert ml == pytest.approx(4 / 3 * np.pi * 1.7**3, rel=0.02)
        assert np.count_nonzero(canvas.labels) * 0.008 == pytest.approx(ml, rel=0.03)


def test_tube_has_its_radius() -> None:
    canvas = Canvas(Grid((20, 40, 40), (2.0, 1.0, 1.0), (-20.0, -20.0, -20.0)))
    canvas.paint(tube([(0, 0, -60), (0, 0, 60)], 10.0), 0.0, label=1)
    assert np.count_nonzero(canvas.labels[10]) == pytest.approx(np.pi * 100, rel=0.03)
