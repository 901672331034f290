"""The region of interest: around organs, never around a stray spot, nothing without an abdomen."""

from __future__ import annotations

import numpy as np

from FlareSegmentLib.localiser import (
    LocaliserSettings,
    agreement,
    organ_components,
    organs_on_grid,
    region_of_interest,
)

KEYS = ("liver", "aorta", "spleen")
VOXEL_ML = 0.216  # 6 mm cubes


def test_stray_spot_in_the_chest_does_not_widen_the_region() -> None:
    labels = np.zeros((60, 40, 40), np.uint8)
    labels[10:25, 10:25, 5:25] = 1
    labels[50:53, 20:23, 20:23] = 3
    organs = organ_components(labels, KEYS, VOXEL_ML, LocaliserSettings())
    assert organs[10:25, 10:25, 5:25].all()
    assert not organs[40:].any()


def test_tubes_alone_are_no_abdomen() -> None:
    labels = np.zeros((60, 40, 40), np.uint8)
    labels[:, 18:24, 18:24] = 2
    assert not organ_components(labels, KEYS, VOXEL_ML, LocaliserSettings()).any()


def test_a_few_millilitres_are_no_abdomen() -> None:
    labels = np.zeros((60, 40, 40), np.uint8)
    labels[10:14, 10:14, 10:14] = 1
    assert not organ_components(labels, KEYS, VOXEL_ML, LocaliserSettings()).any()


def test_region_is_the_organs_box_plus_margin_in_scan_voxels() -> None:
    organs = np.zeros((50, 40, 40), bool)
    organs[20:30, 10:20, 15:30] = True
    box = region_of_interest(organs, (6, 6, 6), (150, 400, 400), (12, 6, 6))
    assert box == (slice(54, 96), slice(90, 210), slice(140, 310))


def test_region_stays_inside_the_scan() -> None:
    organs = np.ones((10, 10, 10), bool)
    box = region_of_interest(organs, (6, 6, 6), (25, 512, 512), (36, 20, 20))
    assert box == (slice(0, 25), slice(0, 512), slice(0, 512))


def test_organs_on_the_working_grid_lie_where_they_are() -> None:
    """A 60 mm cube 60 mm above the scan's lower end, seen from a region that starts at 30 mm."""
    organs = np.zeros((30, 20, 20), bool)
    organs[10:20, 5:15, 5:15] = True
    box = (slice(10, 50), slice(0, 60), slice(0, 60))
    mask = organs_on_grid(organs, box, (60, 60, 60), (60, 60, 60), (2.0, 2.0, 2.0), margin_mm=0)
    hits = np.flatnonzero(mask.any((1, 2)))
    assert (hits[0], hits[-1]) == (15, 44)
    wider = organs_on_grid(organs, box, (60, 60, 60), (60, 60, 60), (2.0, 2.0, 2.0), margin_mm=10)
    hits = np.flatnonzero(wider.any((1, 2)))
    assert (hits[0], hits[-1]) == (10, 49)


def test_agreement_counts_equal_labels_at_equal_places() -> None:
    coarse = np.zeros((20, 20, 20), np.uint8)
    coarse[5:15, 5:15, 5:15] = 1
    box = (slice(10, 50), slice(0, 60), slice(0, 60))
    fine = np.zeros((40, 60, 60), np.uint8)
    fine[5:35, 15:45, 15:45] = 1
    assert agreement(coarse, fine, box, (60, 60, 60), KEYS) == 1.0
    assert agreement(coarse, fine * 3, box, (60, 60, 60), KEYS) == 0.0
    assert agreement(coarse, fine * 0, box, (60, 60, 60), KEYS) == 0.0
    half = fine.copy()
    half[:, :, 30:] = 0
    assert 0.6 < agreement(coarse, half, box, (60, 60, 60), KEYS) < 0.7


def test_a_bladder_taken_for_an_organ_does_not_widen_the_region() -> None:
    labels = np.zeros((80, 40, 50), np.uint8)
    labels[50:70, 10:25, 5:25] = 1
    labels[55:68, 12:24, 35:45] = 3  # beside the liver, 60 mm away, at its height
    labels[5:15, 12:26, 18:32] = 1  # 200 mm below
    organs = organ_components(labels, KEYS, VOXEL_ML, LocaliserSettings())
    assert organs[50:70, 10:25, 5:25].all()
    assert organs[55:68, 12:24, 35:45].all()
    assert not organs[:40].any()
