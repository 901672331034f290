"""Pieces of lesions that are too small to be one."""

from __future__ import annotations

import numpy as np

from FlareSegmentLib.fragments import absorb_fragments

SPACING = (2.0, 1.0, 1.0)
TUMOR = 3


def _organ_with_lesion() -> np.ndarray:
    labels = np.zeros((20, 40, 40), np.uint8)
    labels[2:18, 5:35, 5:20] = 1
    labels[2:18, 5:35, 20:35] = 2
    labels[6:12, 10:20, 8:16] = TUMOR
    return labels


def test_small_pieces_take_the_label_nearest_to_them() -> None:
    expected = _organ_with_lesion()
    labels = expected.copy()
    labels[6:8, 25:27, 8:10] = TUMOR
    labels[14, 25, 30] = TUMOR
    labels[0, 0, 0] = TUMOR

    assert absorb_fragments(labels, TUMOR, 0.1, SPACING) == 3
    assert np.array_equal(labels, expected)


def test_a_piece_at_the_limit_stays() -> None:
    labels = np.zeros((10, 20, 20), np.uint8)
    labels[2:7, 5:10, 5:10] = TUMOR  # 125 voxels of 2 cubic mm
    assert absorb_fragments(labels, TUMOR, 0.25, SPACING) == 0
    assert (labels == TUMOR).sum() == 125
    assert absorb_fragments(labels, TUMOR, 0.26, SPACING) == 1
    assert not labels.any()


def test_pieces_that_touch_by_a_corner_are_one() -> None:
    labels = np.zeros((10, 20, 20), np.uint8)
    labels[2:5, 5:9, 5:9] = TUMOR
    labels[5:8, 9:13, 9:13] = TUMOR  # 48 voxels each
    assert absorb_fragments(labels, TUMOR, 0.15, SPACING) == 0
    assert (labels == TUMOR).sum() == 96


def test_between_two_pieces_neither_feeds_the_other() -> None:
    labels = np.full((6, 12, 12), 1, np.uint8)
    labels[2, 3, 3] = TUMOR
    labels[2, 3, 5] = TUMOR
    assert absorb_fragments(labels, TUMOR, 1.0, SPACING) == 2
    assert (labels == 1).all()


def test_nothing_is_touched_without_the_label() -> None:
    labels = _organ_with_lesion()
    labels[labels == TUMOR] = 1
    before = labels.copy()
    assert absorb_fragments(labels, TUMOR, 1.0, SPACING) == 0
    assert np.array_equal(labels, before)
    assert absorb_fragments(np.zeros((4, 4, 4), np.uint8), TUMOR, 1.0, SPACING) == 0


def test_all_of_a_grid_becomes_background_when_there_is_nothing_else() -> None:
    labels = np.full((2, 2, 2), TUMOR, np.uint8)
    assert absorb_fragments(labels, TUMOR, 1.0, SPACING) == 1
    assert not labels.any()
