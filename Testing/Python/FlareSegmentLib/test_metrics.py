"""DSC and NSD per target: FLARE's rules, its script's defects, and their correction."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.metrics import Score, dsc, evaluate_case

# The published implementation of the surface distance calls SciPy by an old name.
pytestmark = pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")

LIVER, AORTA, TUMOR = 1, 5, 14
SPACING = (2.0, 1.0, 1.0)


def labels(shape: tuple[int, int, int] = (20, 24, 24)) -> np.ndarray:
    return np.zeros(shape, dtype=np.uint8)


def score(
    prediction: np.ndarray, reference: np.ndarray, label: int, mode: str = "correct", **more: int
) -> Score:
    (result,) = evaluate_case(prediction, reference, SPACING, [label], mode=mode, **more)
    assert result.id == label
    return result


def test_dsc_of_shifted_boxes_is_their_overlap() -> None:
    one, other = np.zeros((4, 4, 10), bool), np.zeros((4, 4, 10), bool)
    one[:, :, 0:6] = True
    other[:, :, 2:6] = True
    assert dsc(one, other) == pytest.approx(2 * 4 / (6 + 4))
    assert dsc(one, np.zeros_like(one)) == 0.0
    assert math.isnan(dsc(np.zeros_like(one), np.zeros_like(one)))


@pytest.mark.parametrize("mode", ["correct", "flare"])
def test_absent_in_both_is_right_and_absent_in_one_is_wrong(mode: str) -> None:
    empty, one_voxel = labels(), labels()
    one_voxel[3, 3, 3] = TUMOR
    absent = score(empty, empty, TUMOR, mode)
    assert (absent.dsc, absent.nsd, absent.voxels, absent.reference_voxels) == (1.0, 1.0, 0, 0)
    assert score(one_voxel, empty, TUMOR, mode).dsc == 0.0
    missed = score(empty, one_voxel, TUMOR, mode)
    assert (missed.dsc, missed.nsd, missed.reference_voxels) == (0.0, 0.0, 1)


def tube(first: int, last: int, label: int = AORTA) -> np.ndarray:
    result = labels()
    result[first : last + 1, 10:14, 10:14] = label
    return result


def test_vessels_are_compared_only_in_the_slices_of_the_reference() -> None:
    reference, longer = tube(5, 10), tube(0, 19)
    assert score(longer, reference, AORTA).dsc == 1.0
    assert score(longer, reference, AORTA).nsd == 1.0
    assert score(tube(0, 19, LIVER), tube(5, 10, LIVER), LIVER).dsc < 0.7


def test_flare_mode_leaves_the_last_labelled_slice_out() -> None:
    reference, prediction = tube(5, 10), tube(5, 10)
    prediction[10] = 0  # wrong only in the last slice of the reference
    assert score(prediction, reference, AORTA, "flare").dsc == 1.0
    assert score(prediction, reference, AORTA, "correct").dsc == pytest.approx(2 * 5 / (5 + 6))


def test_a_vessel_in_one_slice_is_nan_for_flare_and_scored_correctly() -> None:
    one_slice = tube(7, 7)
    flare = score(one_slice, one_slice, AORTA, "flare")
    assert math.isnan(flare.dsc)
    assert math.isnan(flare.nsd)
    correct = score(one_slice, one_slice, AORTA, "correct")
    assert (correct.dsc, correct.nsd) == (1.0, 1.0)


def test_a_vessel_found_only_outside_of_the_reference_scores_zero() -> None:
    for mode in ("correct", "flare"):
        result = score(tube(12, 19), tube(2, 8), AORTA, mode)
        assert (result.dsc, result.nsd) == (0.0, 0.0)


def test_the_cut_follows_the_patient_whatever_the_array_order() -> None:
    reference, longer = tube(5, 10), tube(0, 19)
    turned = score(longer.T, reference.T, AORTA, z_axis=2)
    assert (turned.dsc, turned.nsd) == (1.0, 1.0)
    assert score(longer.T, reference.T, AORTA, z_axis=0).dsc < 1.0


def test_low_overlap_has_no_nsd_for_flare_but_a_correct_one() -> None:
    thin, shifted = labels(), labels()
    thin[4:16, 4:16, 10] = LIVER
    shifted[4:16, 4:16, 11] = LIVER  # 1 mm aside: DSC 0, every surface point within 5 mm
    assert score(shifted, thin, LIVER, "flare").nsd == 0.0
    assert score(shifted, thin, LIVER, "correct").nsd == 1.0
    assert score(shifted, thin, LIVER, "correct").dsc == 0.0


def test_flare_mode_rounds_to_four_decimals() -> None:
    reference, prediction = labels(), labels()
    reference[2:9, 2:13, 2:15] = LIVER
    prediction[2:9, 2:12, 2:15] = LIVER
    exact = 2 * 10 / (10 + 11)
    assert score(prediction, reference, LIVER, "flare").dsc == round(exact, 4)
    assert score(prediction, reference, LIVER, "correct").dsc == pytest.approx(exact, abs=1e-12)


def test_ignored_voxels_count_neither_as_right_nor_as_wrong() -> None:
    reference, prediction = labels(), labels()
    reference[2:10, 2:10, 2:10] = LIVER
    prediction[2:10, 2:10, 2:14] = LIVER
    assert score(prediction, reference, LIVER).dsc < 0.9
    reference[2:10, 2:10, 10:14] = 255
    result = score(prediction, reference, LIVER)
    assert (result.dsc, result.nsd, result.voxels) == (1.0, 1.0, 8 * 8 * 8)


def test_only_annotated_targets_are_scored() -> None:
    scores = evaluate_case(labels(), labels(), SPACING, annotated_ids=[14, 1, 3])
    assert [s.id for s in scores] == [1, 3, 14]
    assert len(evaluate_case(labels(), labels(), SPACING)) == 14


def test_tolerance_is_that_of_the_target() -> None:
    for label, right in ((LIVER, True), (TUMOR, False)):  # 5 mm and 2 mm
        reference, prediction = labels(), labels()
        reference[4:16, 4:20, 4:20] = label
        prediction[4:16, 4:20, 8:24] = label  # 4 mm aside
        assert (score(prediction, reference, label).nsd == 1.0) is right


def test_wrong_input_is_refused_with_a_sentence() -> None:
    with pytest.raises(InputError, match="20 x 24 x 24 voxels and the reference 20 x 24 x 25"):
        evaluate_case(labels(), labels((20, 24, 25)), SPACING)
    with pytest.raises(InputError, match=r"\[15\] are no targets"):
        evaluate_case(labels(), labels(), SPACING, [1, 15])
    with pytest.raises(InputError, match="float64"):
        evaluate_case(labels().astype(float), labels(), SPACING)


def test_figures_of_a_real_scan_are_the_published_implementations(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np, "Inf", np.inf, raising=False)
    from scipy import ndimage

    monkeypatch.setattr(ndimage, "filters", ndimage, raising=False)
    published = pytest.importorskip("surface_distance", reason="pip install surface-distance")
    from FlareSegmentLib.geometry import spacing_of
    from FlareSegmentLib.labels import target_by_id
    from FlareSegmentLib.reading import read_label_map

    case = "lungdx_A0002.nii.gz"
    reference, affine = read_label_map(shared_data / "pseudo" / "flare25_mean" / case)
    prediction, _ = read_label_map(shared_data / "pseudo" / "flare25_b" / case)
    present = [1, 3, 10, 11]
    assert all((reference == label).any() for label in present)
    scores = evaluate_case(prediction, reference, spacing_of(affine), present)
    for s in scores:
        target = target_by_id(s.id)
        a, b = reference == s.id, prediction == s.id
        if target.cut_to_reference:
            slices = np.flatnonzero(a.any(axis=(1, 2)))
            a, b = a[slices[0] : slices[-1] + 1], b[slices[0] : slices[-1] + 1]
        distances = published.compute_surface_distances(a, b, spacing_of(affine))
        expected = published.compute_surface_dice_at_tolerance(distances, target.nsd_tolerance_mm)
        assert s.nsd == pytest.approx(expected, abs=1e-6)
        assert s.dsc == pytest.approx(published.compute_dice_coefficient(a, b))
        assert 0.3 < s.dsc < 1.0
