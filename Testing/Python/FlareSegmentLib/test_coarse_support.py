"""Pieces of large organs stay only where the localiser sees them."""

from __future__ import annotations

import numpy as np

from FlareSegmentLib.cleanup import stray_voxels
from FlareSegmentLib.coarse_support import CoarseSupport
from FlareSegmentLib.localiser import LocaliserSettings

KEYS = ("liver", "pancreas", "stomach")
SHAPE = (60, 60, 60)
"""Scan of 2 mm voxels; the localiser's grid has 6 mm, the working grid is the region's own."""

BOX = (slice(12, 60), slice(0, 60), slice(0, 60))
SIZE = (48, 60, 60)
VOXEL_ML = 0.008


def coarse_liver() -> np.ndarray:
    """Localiser's labels: a liver of 60 mm from 60 mm above the scan's lower end on."""
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[10:20, 5:15, 5:15] = 1
    return labels


def support(settings: LocaliserSettings = LocaliserSettings()) -> CoarseSupport:
    return CoarseSupport(coarse_liver(), KEYS, BOX, SHAPE, SIZE, settings)


def network_labels() -> np.ndarray:
    """The same liver on the working grid, and a piece of 35 ml below and beside it."""
    labels = np.zeros(SIZE, np.uint8)
    labels[18:48, 15:45, 15:45] = 1
    labels[0:12, 15:45, 46:58] = 1
    return labels


def test_a_piece_of_liver_that_the_localiser_does_not_see_goes() -> None:
    labels = network_labels()
    assert not stray_voxels(labels, VOXEL_ML, KEYS).any()  # large enough to stay
    stray = stray_voxels(labels, VOXEL_ML, KEYS, support=support())
    assert stray[0:12, 15:45, 46:58].all()
    assert not stray[18:].any()


def test_a_large_piece_stays_even_so() -> None:
    """What is as large as an organ is not taken for one by accident: 155 ml of liver."""
    labels = network_labels()
    labels[18:] = 0
    labels[0:12, 0:60, 33:60] = 1
    assert not stray_voxels(labels, VOXEL_ML, KEYS, support=support()).any()


def test_a_small_organ_that_the_localiser_sees_nowhere_goes() -> None:
    stomach = np.where(network_labels() == 1, 3, 0).astype(np.uint8)
    stomach[18:] = 0
    assert stomach.any()
    assert not stray_voxels(stomach, VOXEL_ML, KEYS).any()
    assert (stray_voxels(stomach, VOXEL_ML, KEYS, support=support()) == (stomach == 3)).all()


def test_organs_too_small_for_the_localiser_are_not_asked_for() -> None:
    pancreas = np.where(network_labels() == 1, 2, 0).astype(np.uint8)
    assert not stray_voxels(pancreas, VOXEL_ML, KEYS, support=support()).any()


def test_it_can_be_switched_off() -> None:
    settings = LocaliserSettings(seen_by_both=())
    assert not stray_voxels(network_labels(), VOXEL_ML, KEYS, support=support(settings)).any()
