"""The numbers that pseudo-labels are chosen by, against hand-made cases."""

from __future__ import annotations

import math

import numpy as np
import pytest

from FlareTrainLib.agreement import (
    doubtful_organs,
    fuse_tumor,
    majority_vote,
    merge_truth,
    organ_agreement,
    organ_uncertainty,
    tumor_uncertainty,
    tumor_vote,
    uncertainty,
    unknown_where_different,
    veto_tumor,
)


def line(*values: int) -> np.ndarray:
    return np.array(values, np.uint8).reshape(1, 1, -1)


def test_agreement_is_the_mean_over_organs_that_either_map_has() -> None:
    a = line(1, 1, 1, 1, 3, 3, 0, 14)
    b = line(1, 1, 0, 0, 3, 3, 0, 0)
    # Liver 2*2/(4+2), spleen 1; the other eleven organs are in neither, tumor never counts.
    assert organ_agreement(a, b) == pytest.approx((4 / 6 + 1) / 2)
    assert math.isnan(organ_agreement(line(0, 14), line(0, 0)))


def test_uncertainty_is_the_papers_formula() -> None:
    y1, y2, y3 = line(1, 1, 0, 0), line(1, 2, 0, 0), line(1, 2, 3, 3)
    # |y1 != y2| = 1, |y2 > 0| = 2; |y2 != y3| = 2, |y3 > 0| = 4.
    assert uncertainty(y1, y2, y3) == pytest.approx(0.5 * (1 / 2 + 2 / 4))


def test_uncertainty_of_empty_maps_is_zero_and_of_an_empty_denominator_infinite() -> None:
    empty, full = line(0, 0), line(1, 0)
    assert uncertainty(empty, empty, empty) == 0
    assert math.isinf(uncertainty(full, empty, empty))
    assert uncertainty(empty, full, full) == pytest.approx(0.5)


def test_organs_and_tumor_are_ranked_apart() -> None:
    y1, y2, y3 = line(1, 1, 14, 14), line(1, 1, 14, 0), line(1, 1, 14, 0)
    assert organ_uncertainty(y1, y2, y3) == 0
    assert tumor_uncertainty(y1, y2, y3) == pytest.approx(0.5 * (1 / 1 + 0 / 1))


def test_majority_is_more_than_half_and_unknown_otherwise() -> None:
    maps = [line(1, 1, 2, 0), line(1, 2, 3, 0), line(2, 2, 4, 0)]
    assert majority_vote(maps).ravel().tolist() == [1, 2, 255, 0]
    with pytest.raises(ValueError, match="at least three"):
        majority_vote(maps[:2])


def test_an_organ_vetoes_a_tumor_and_background_does_not() -> None:
    own = line(14, 14, 14, 1)
    assert veto_tumor(own, [line(0, 4, 0, 1), line(0, 1, 14, 1)]).ravel().tolist() == [14, 4, 14, 1]
    vote = majority_vote([line(14, 14), line(14, 14), line(1, 0)])
    assert vote.ravel().tolist() == [1, 14]


def test_tumor_of_its_own_teacher_is_put_over_the_organs() -> None:
    fused = fuse_tumor(line(1, 14, 3), line(14, 0, 0))
    assert fused.ravel().tolist() == [14, 0, 3]


def test_truth_wins_over_every_pseudo_label() -> None:
    pseudo = line(1, 1, 3, 0, 255, 4)
    truth = line(1, 0, 1, 1, 1, 0)
    # Liver is annotated: its voxels are the truth's; spleen and pancreas stay pseudo elsewhere.
    assert merge_truth(pseudo, truth, (1,)).ravel().tolist() == [1, 0, 1, 1, 1, 4]


def test_truth_without_tumor_removes_pseudo_tumor() -> None:
    assert merge_truth(line(14, 1), line(0, 0), (14,)).ravel().tolist() == [0, 1]


def test_truth_decides_where_doubtful_voxels_were_made_unknown() -> None:
    primary, doubtful = line(1, 1, 3), line(255, 255, 255)
    merged = merge_truth(doubtful, line(1, 0, 0), (1,), primary)
    assert merged.ravel().tolist() == [1, 0, 255]


def test_boundaries_are_not_doubtful_and_thick_differences_are() -> None:
    primary = np.zeros((3, 12, 12), np.uint8)
    primary[:, 2:8, 2:8] = 1
    grown = primary.copy()
    grown[:, 2:9, 2:8] = 1  # one voxel more at one side: every pair of sources does that
    assert not (unknown_where_different([primary, grown], 0.6) == 255).any()
    other = primary.copy()
    other[:, 2:8, 8:12] = 3
    doubt = unknown_where_different([primary, other], 0.0) == 255
    assert doubt[:, 2:8, 8:12].all()
    assert not doubt[:, 2:8, 2:8].any()


def test_an_organ_that_sources_see_elsewhere_is_unknown_in_the_case() -> None:
    a, b = line(4, 4, 0, 0, 1), line(0, 0, 4, 4, 1)
    assert doubtful_organs([a, b], 0.6) == [4]
    labels = unknown_where_different([a, b], 0.6)
    assert labels.ravel().tolist() == [255, 255, 255, 255, 1]


def test_background_of_a_source_that_never_gives_an_organ_casts_no_doubt_on_it() -> None:
    """A second source of eight organs says nothing about the aorta of the first."""
    first = np.zeros((3, 12, 12), np.uint8)
    first[:, 2:8, 2:8] = 5
    second = np.zeros_like(first)
    assert (unknown_where_different([first, second], 0.6) == 255).any()
    kept = unknown_where_different([first, second], 0.6, [{1, 5}, {1}])
    assert np.array_equal(kept, first)
    second[:, 2:8, 2:8] = 1  # but liver where the first has aorta is a contradiction
    assert (unknown_where_different([first, second], 0.0, [{1, 5}, {1}]) == 255).any()
    assert doubtful_organs([first, second], 0.6, [{1, 5}, {1}]) == [1]


def test_tumor_teachers_vote() -> None:
    maps = [line(14, 14, 0, 1), line(14, 0, 0, 1), line(0, 14, 14, 1)]
    assert tumor_vote(maps).ravel().tolist() == [14, 14, 0, 0]
    assert tumor_vote(maps[:1]).ravel().tolist() == [14, 14, 0, 0]
