"""Parts of scans are cut where they are said to be, and a swapped side does not go unseen."""

from __future__ import annotations

import numpy as np
import pytest
from fields_of_view import main_parts, organs_near, pieces
from sides import body_middle, on_wrong_side, taken_for_other

SLICE_MM = 5.0


@pytest.fixture
def labels() -> np.ndarray:
    """60 slices of 5 mm: kidneys below a liver, aorta throughout."""
    labels = np.zeros((60, 20, 40), np.uint8)
    labels[:, 10, 20] = 5
    labels[20:30, 12:16, 6:12] = 2
    labels[20:30, 12:16, 28:34] = 13
    labels[28:42, 4:12, 4:18] = 1
    return labels


def test_parts_lie_beyond_the_organs(labels: np.ndarray) -> None:
    found = pieces(labels, SLICE_MM)
    by_group = {piece.group: piece.slices for piece in found}
    assert by_group["10 mm above the organs"] == slice(44, 60)
    assert by_group["30 mm above the organs"] == slice(48, 60)
    assert by_group["10 mm below the organs"] == slice(0, 18)
    assert by_group["10 mm below the liver"] == slice(0, 26)
    slabs = [piece.slices for piece in found if piece.group.startswith("slab")]
    assert len(slabs) == 3
    assert all(slab.stop - slab.start == 11 for slab in slabs)
    assert slabs[1].start <= 35 < slabs[1].stop  # the middle of the liver


def test_no_part_is_too_thin_to_segment(labels: np.ndarray) -> None:
    for piece in pieces(labels[15:47], SLICE_MM):
        assert piece.slices.stop - piece.slices.start >= 8, piece


def test_an_organ_just_outside_counts_as_near(labels: np.ndarray) -> None:
    assert organs_near(labels, slice(44, 60), SLICE_MM, 10.0) == {5}
    assert organs_near(labels, slice(43, 60), SLICE_MM, 10.0) == {1, 5}
    assert organs_near(labels, slice(0, 26), SLICE_MM, 10.0) == {2, 5, 13}


def test_specks_of_a_label_are_left_out_and_tubes_kept(labels: np.ndarray) -> None:
    labels[58, 3, 3] = 1
    labels[40:45, 10, 20] = 0  # an aorta in two parts
    cleaned = main_parts(labels)
    assert cleaned[58, 3, 3] == 0
    assert (cleaned[45:, 10, 20] == 5).all()
    labels[58, 3, 3] = 0
    np.testing.assert_array_equal(cleaned, labels)


@pytest.fixture
def body() -> np.ndarray:
    """A body off the middle of the picture: columns 2 to 37 of 60."""
    scan = np.full((60, 20, 60), -1024, np.int16)
    scan[:, 3:18, 2:38] = 20
    return scan


def test_middle_of_the_body_is_not_that_of_the_picture(body: np.ndarray) -> None:
    assert body_middle(body) == pytest.approx(19.5)


def test_kidneys_on_their_sides_are_not_reported(labels: np.ndarray) -> None:
    assert on_wrong_side(labels, 19.5, 5.0, 0.1) == {}
    assert taken_for_other(labels, labels, 0.1) == {}


def test_swapped_kidneys_are_reported(labels: np.ndarray) -> None:
    swapped = labels.copy()
    swapped[labels == 2], swapped[labels == 13] = 13, 2
    voxels = int((labels == 2).sum())
    ml = {2: pytest.approx(voxels * 0.1), 13: pytest.approx(voxels * 0.1)}
    assert on_wrong_side(swapped, 19.5, 5.0, 0.1) == ml
    assert taken_for_other(swapped, labels, 0.1) == ml


def test_a_piece_of_the_right_kidney_in_the_left_one_is_reported(labels: np.ndarray) -> None:
    wrong = labels.copy()
    wrong[22:24, 12:14, 30:32] = 2
    assert on_wrong_side(wrong, 19.5, 5.0, 0.1) == {2: pytest.approx(0.8)}
    assert taken_for_other(wrong, labels, 0.1) == {2: pytest.approx(0.8)}
