"""Pieces of lesions that are too small to be one."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from FlareSegmentLib.cleanup import CleanupSettings
from FlareSegmentLib.component_removal import remove_stray_components
from FlareSegmentLib.fragments import absorb_fragments, lesion_boxes
from FlareSegmentLib.upsampling import upsample_argmax

SPACING = (2.0, 1.0, 1.0)
TUMOR = 3
SPARING = CleanupSettings(least_ml={}, share=0.0)


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


def test_boxes_of_lesions_hold_what_is_found_without_them() -> None:
    """Random lesions, enlarged as logits are: the same pieces go, whichever way they are found."""
    generator = torch.Generator().manual_seed(4)
    absorbed = 0
    for _ in range(8):
        lesions = torch.randn(1, 1, 8, 9, 10, generator=generator)
        logits = functional.interpolate(lesions, size=(24, 26, 28), mode="trilinear")[0]
        logits = torch.cat([torch.full_like(logits, 0.9), torch.full_like(logits, -9), logits])
        winner = remove_stray_components(logits, 0.01, ("liver", "tumor"), SPARING, None)
        size = (50, 70, 61)
        labels = upsample_argmax(logits, size)
        everywhere, boxed = labels.copy(), labels.copy()
        count = absorb_fragments(everywhere, 2, 0.2, SPACING)
        boxes = lesion_boxes(winner, 2, size)
        assert len(boxes) > 1
        assert absorb_fragments(boxed, 2, 0.2, SPACING, boxes) == count
        np.testing.assert_array_equal(boxed, everywhere)
        absorbed += count
    assert absorbed > 20


def test_a_piece_cut_by_a_box_is_left_to_another() -> None:
    labels = np.zeros((10, 20, 30), np.uint8)
    labels[4, 5, 8:14] = TUMOR
    whole, part = slice(0, 10), slice(0, 12)
    assert absorb_fragments(labels, TUMOR, 1.0, SPACING, [(whole, slice(0, 20), part)]) == 0
    assert absorb_fragments(labels, TUMOR, 1.0, SPACING, [(whole, slice(0, 20), slice(0, 30))]) == 1


def test_no_lesion_has_no_box() -> None:
    assert lesion_boxes(np.ones((4, 4, 4), np.uint8), TUMOR, (8, 8, 8)) == []
    assert lesion_boxes(np.zeros((4, 4, 4), np.uint8), TUMOR, (8, 8, 8)) == []
