"""Proposals of P3's cleaning on label maps with known faults."""

from __future__ import annotations

import numpy as np

from FlareTrainLib.cleaning import CleaningSettings, find_suspicious, without_suspicious

SPACING = (3.0, 2.0, 2.0)


def body() -> np.ndarray:
    labels = np.zeros((40, 60, 60), np.uint8)
    labels[15:25, 20:40, 20:40] = 1
    return labels


def test_an_island_is_found_and_the_organ_is_not() -> None:
    labels = body()
    labels[2:4, 2:4, 2:4] = 1
    (proposal,) = find_suspicious(labels, SPACING)
    assert (proposal.target, proposal.voxels) == (1, 8)
    assert proposal.ml == 8 * 0.012
    assert proposal.centre == (2, 2, 2)
    assert "island of 8 voxels" in proposal.reason


def test_a_small_organ_in_one_piece_is_no_island() -> None:
    labels = body()
    labels[26:28, 20:23, 20:23] = 7
    assert find_suspicious(labels, SPACING) == []


def test_a_tumor_outside_the_organs_region_is_found_and_one_inside_is_not() -> None:
    labels = body()
    labels[18:22, 28:34, 28:34] = 14
    assert find_suspicious(labels, SPACING) == []
    labels[0:5, 0:6, 0:6] = 14
    (proposal,) = find_suspicious(labels, SPACING)
    assert proposal.target == 14
    assert "outside the region" in proposal.reason


def test_a_tumor_far_from_every_organ_but_between_them_is_found() -> None:
    labels = np.zeros((20, 100, 100), np.uint8)
    labels[:, 10:20, 10:20] = 1
    labels[:, 80:90, 80:90] = 3
    labels[5:12, 45:52, 45:52] = 14
    (proposal,) = find_suspicious(labels, SPACING)
    assert "farther than 20 mm" in proposal.reason
    assert find_suspicious(labels, SPACING, CleaningSettings(far_mm=90)) == []


def test_removal_changes_a_copy_and_only_the_proposed_voxels() -> None:
    labels = body()
    labels[2:4, 2:4, 2:4] = 1
    before = labels.copy()
    cleaned, proposals = without_suspicious(labels, SPACING)
    assert len(proposals) == 1
    assert np.array_equal(labels, before)
    assert np.array_equal(cleaned, body())


def test_unknown_voxels_are_left_alone() -> None:
    labels = body()
    labels[0, 0, :3] = 255
    assert find_suspicious(labels, SPACING) == []
