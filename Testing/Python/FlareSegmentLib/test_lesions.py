"""Sensitivity per lesion and false lesions."""

from __future__ import annotations

import numpy as np

from FlareSegmentLib.lesions import count_lesions

TUMOR = 14
VOXEL_ML = 0.1  # ten voxels are one ml


def labels() -> np.ndarray:
    return np.zeros((12, 12, 12), dtype=np.uint8)


def test_a_lesion_is_found_by_any_overlap_and_small_ones_are_not_asked_for() -> None:
    reference, prediction = labels(), labels()
    reference[0:2, 0:3, 0:3] = TUMOR  # 1.8 ml
    reference[6:8, 6:9, 6:9] = TUMOR  # 1.8 ml
    reference[11, 11, 5:11] = TUMOR  # 0.6 ml
    prediction[1, 2, 2] = TUMOR
    prediction[11, 11, 5] = TUMOR  # a small lesion of the reference is no false positive
    count = count_lesions(prediction, reference, VOXEL_ML, TUMOR)
    assert (count.lesions, count.found) == (2, 1)
    assert (count.predicted, count.false_positive) == (2, 0)
    assert not count.tumor_free


def test_a_lesion_of_exactly_one_ml_is_asked_for() -> None:
    reference = labels()
    reference[0, 0, 0:10] = TUMOR
    assert count_lesions(labels(), reference, 0.1, TUMOR).lesions == 1
    assert count_lesions(labels(), reference, 0.0999, TUMOR).lesions == 0


def test_false_lesions_of_a_tumor_free_scan_are_counted() -> None:
    prediction = labels()
    prediction[0:2, 0:2, 0:2] = TUMOR
    prediction[2, 2, 2] = TUMOR  # touches the first by a corner: one lesion
    prediction[9, 9, 9] = TUMOR
    count = count_lesions(prediction, labels(), VOXEL_ML, TUMOR)
    assert (count.predicted, count.false_positive, count.tumor_free) == (2, 2, True)


def test_scan_without_tumor_in_either_has_nothing_to_count() -> None:
    count = count_lesions(labels(), labels(), VOXEL_ML, TUMOR)
    assert (count.lesions, count.found, count.predicted, count.tumor_free) == (0, 0, 0, True)


def test_predictions_in_ignored_voxels_do_not_count() -> None:
    reference, prediction = labels(), labels()
    reference[5] = 255
    prediction[5, 2:4, 2:4] = TUMOR
    assert count_lesions(prediction, reference, VOXEL_ML, TUMOR).predicted == 0
