"""Stray components go, real second components and multifocal tumors stay."""

from __future__ import annotations

import numpy as np
import pytest

from FlareSegmentLib.cleanup import CleanupSettings, check_keys, stray_voxels
from FlareSegmentLib.errors import InputError

KEYS = ("liver", "right_kidney", "tumor")
VOXEL_ML = 0.027  # 3 mm cubes


def cube(labels: np.ndarray, corner: tuple[int, int, int], edge: int, channel: int) -> None:
    labels[tuple(slice(c, c + edge) for c in corner)] = channel


def test_speck_far_from_the_liver_is_stray() -> None:
    labels = np.zeros((40, 40, 40), np.uint8)
    cube(labels, (2, 2, 2), 15, 1)
    cube(labels, (30, 30, 30), 3, 1)
    stray = stray_voxels(labels, VOXEL_ML, KEYS)
    assert stray.sum() == 27
    assert stray[30:33, 30:33, 30:33].all()


def test_second_half_of_a_divided_organ_stays() -> None:
    labels = np.zeros((40, 40, 40), np.uint8)
    cube(labels, (2, 2, 2), 12, 2)
    cube(labels, (20, 20, 20), 8, 2)
    assert not stray_voxels(labels, VOXEL_ML, KEYS).any()


def test_multifocal_tumors_stay_and_only_dust_goes() -> None:
    labels = np.zeros((40, 40, 40), np.uint8)
    cube(labels, (2, 2, 2), 14, 3)
    for corner in ((25, 5, 5), (25, 15, 15), (25, 25, 25)):
        cube(labels, corner, 3, 3)  # 0.7 ml
    cube(labels, (36, 36, 36), 2, 3)  # 0.2 ml
    stray = stray_voxels(labels, VOXEL_ML, KEYS)
    assert stray.sum() == 8
    assert stray[36:38, 36:38, 36:38].all()


def test_a_hallucinated_organ_vanishes_whole() -> None:
    labels = np.zeros((30, 30, 30), np.uint8)
    cube(labels, (2, 2, 2), 6, 1)
    assert stray_voxels(labels, VOXEL_ML, KEYS).sum() == 216


def test_a_crumb_of_an_adrenal_gland_vanishes_and_the_end_of_a_kidney_stays() -> None:
    labels = np.zeros((30, 30, 30), np.uint8)
    cube(labels, (2, 2, 2), 2, 1)  # 0.2 ml; an adrenal gland has 3 to 5
    cube(labels, (20, 20, 20), 4, 2)  # 1.7 ml
    stray = stray_voxels(labels, VOXEL_ML, ("right_adrenal_gland", "right_kidney"))
    assert (stray == (labels == 1)).all()


def test_half_an_adrenal_gland_stays() -> None:
    labels = np.zeros((30, 30, 30), np.uint8)
    cube(labels, (2, 2, 2), 4, 1)  # 1.7 ml
    assert not stray_voxels(labels, VOXEL_ML, ("left_adrenal_gland",)).any()


def test_largest_only_is_there_for_p2_and_p4_and_spares_tumors() -> None:
    labels = np.zeros((40, 40, 40), np.uint8)
    cube(labels, (2, 2, 2), 12, 2)
    cube(labels, (20, 20, 20), 8, 2)
    cube(labels, (30, 2, 2), 6, 3)
    cube(labels, (30, 20, 2), 4, 3)
    stray = stray_voxels(labels, VOXEL_ML, KEYS, CleanupSettings(largest_only=True))
    assert stray.sum() == 8**3


def test_tumor_outside_all_organs_goes_only_where_tumors_were_taught_inside_organs() -> None:
    labels = np.zeros((60, 60, 60), np.uint8)
    cube(labels, (2, 2, 2), 30, 1)
    cube(labels, (0, 10, 10), 5, 3)  # at the scan's end, within the liver
    cube(labels, (20, 20, 20), 6, 3)
    cube(labels, (28, 4, 4), 6, 3)  # bulges out of the liver: about half of it is free
    cube(labels, (45, 45, 45), 6, 3)
    assert not stray_voxels(labels, VOXEL_ML, KEYS).any()
    stray = stray_voxels(labels, VOXEL_ML, KEYS, CleanupSettings(tumor_outside=0.7))
    assert stray.sum() == 6**3
    assert stray[45:51, 45:51, 45:51].all()


def test_unknown_key_in_the_settings_is_named() -> None:
    with pytest.raises(InputError, match="livver"):
        check_keys(CleanupSettings(least_ml={"livver": 1.0}))
