"""A changed scan shows the same patient at the same place, and its labels go with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from transformations import AIR_HU, Labeled, brightened, noisy, resliced, transformations

from FlareSegmentLib.geometry import canonical_volume
from FlareSegmentLib.volume import Volume


@pytest.fixture
def case() -> Labeled:
    """A ramp along the body, -1000 HU and 30 HU per mm upward, with a box of label 3."""
    spacing_mm = 2.0
    affine = np.diag([-1.0, -1.0, spacing_mm, 1.0])
    affine[2, 3] = 100.0
    array = np.empty((30, 6, 5), np.int16)
    array[:] = (-1000 + 30 * spacing_mm * np.arange(30))[:, None, None]
    labels = np.zeros(array.shape, np.uint8)
    labels[10:20, 2:4, 1:4] = 3
    return Labeled(Volume(array, affine), labels)


def center_mm(case: Labeled) -> float:
    """Height of the center of label 3."""
    k = np.argwhere(case.labels == 3)[:, 0].mean()
    return float(case.scan.affine[2, 3] + k * case.scan.affine[2, 2])


@pytest.mark.parametrize("thickness_mm", [1.0, 2.0, 2.5, 5.0])
def test_new_slices_show_the_same_place(case: Labeled, thickness_mm: float) -> None:
    changed = resliced(case, thickness_mm)
    assert changed.scan.spacing[0] == pytest.approx(thickness_mm)
    heights = changed.scan.affine[2, 3] + thickness_mm * np.arange(len(changed.scan.array))
    expected = -1000 + 30 * (heights - 100.0)
    inner = slice(1, -1)  # border slices are repeated
    # Slices that cover parts of old ones are means of steps, not of a ramp: up to 0.15 mm off.
    np.testing.assert_allclose(changed.scan.array[inner, 0, 0], expected[inner], atol=0.15 * 30 + 1)
    assert center_mm(changed) == pytest.approx(center_mm(case), abs=thickness_mm / 2)
    # An organ of 20 mm keeps its volume as far as slices of this thickness can show it.
    before = np.count_nonzero(case.labels) * case.scan.voxel_volume_ml
    after = np.count_nonzero(changed.labels) * changed.scan.voxel_volume_ml
    assert after == pytest.approx(before, rel=thickness_mm / 20)


def test_the_same_thickness_changes_nothing(case: Labeled) -> None:
    changed = resliced(case, 2.0)
    np.testing.assert_array_equal(changed.scan.array, case.scan.array)
    np.testing.assert_array_equal(changed.labels, case.labels)
    np.testing.assert_allclose(changed.scan.affine, case.scan.affine)


def test_ignored_voxels_stay_ignored(case: Labeled) -> None:
    labels = case.labels.copy()
    labels[4:8] = 255
    assert 255 in resliced(replace(case, labels=labels), 5.0).labels


@pytest.mark.parametrize("name", ["flipped axes", "permuted axes"])
def test_other_axes_hold_the_same_anatomy(case: Labeled, name: str) -> None:
    changed = transformations()[name](case)
    assert not np.array_equal(changed.scan.affine, case.scan.affine)
    scan, order = canonical_volume(changed.scan)
    np.testing.assert_array_equal(scan.array, case.scan.array)
    np.testing.assert_array_equal(order.apply(changed.labels), case.labels)
    np.testing.assert_allclose(scan.affine, case.scan.affine, atol=1e-9)


def test_noise_and_brightness_change_the_scan_only(case: Labeled) -> None:
    np.testing.assert_array_equal(brightened(case).scan.array, case.scan.array + 30)
    rough = noisy(case)
    change = rough.scan.array[15:].astype(float) - case.scan.array[15:]
    assert change.std() == pytest.approx(30, rel=0.15)
    assert rough.scan.array.min() >= AIR_HU
    np.testing.assert_array_equal(rough.labels, case.labels)
    np.testing.assert_array_equal(rough.scan.array, noisy(case).scan.array)
