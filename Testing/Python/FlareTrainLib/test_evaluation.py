"""Validation through the real Segmenter, with references as the dataset stores them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.evaluation_report import CaseEvaluation, Evaluation
from FlareSegmentLib.labels import targets
from FlareSegmentLib.metrics import Score
from FlareSegmentLib.reading import read_label_map
from FlareSegmentLib.writing import write_label_map
from FlareTrainLib.dataset import read_dataset
from FlareTrainLib.evaluation import evaluate_bundle, mean_score, predict_cases


def test_a_reference_equal_to_the_prediction_scores_one(
    raw_dataset: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    dataset = read_dataset(raw_dataset)
    (case,) = dataset.validation
    (path,) = predict_cases(tiny_bundle, {case.name: case.scan}, tmp_path / "first", "cpu")
    case = replace(case, labels=path)
    result = evaluate_bundle(tiny_bundle, [case], tmp_path / "out", "cpu")
    assert mean_score(result) == 1
    assert {score.dsc for score in result.cases[0].scores} == {1.0}
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["cases"]


def test_reference_values_are_turned_into_target_ids(
    raw_dataset: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    (case,) = read_dataset(raw_dataset).validation
    assert case.labels is not None
    straight = evaluate_bundle(tiny_bundle, [case], tmp_path / "one", "cpu")
    # The same labels, numbered backwards as a dataset.json may say.
    array, affine = read_label_map(case.labels)
    backwards = np.where(array > 0, 15 - array, 0).astype(np.uint8)
    other = tmp_path / "backwards.nii.gz"
    write_label_map(other, backwards, affine, targets())
    values = {15 - label: label for label in range(1, 15)}
    case = replace(case, labels=other)
    turned = evaluate_bundle(tiny_bundle, [case], tmp_path / "two", "cpu", values=values)
    assert turned.cases == straight.cases
    assert straight.cases[0].scores[0].reference_voxels == (array == 1).sum()


def test_only_known_targets_are_scored(
    raw_dataset: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    (case,) = read_dataset(raw_dataset).validation
    case = replace(case, annotated=(1, 2), absent=(14,))
    result = evaluate_bundle(tiny_bundle, [case], tmp_path, "cpu")
    assert [score.id for score in result.cases[0].scores] == [1, 2, 14]


def test_results_of_cases_that_are_gone_are_not_scored(
    raw_dataset: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    (case,) = read_dataset(raw_dataset).validation
    evaluate_bundle(tiny_bundle, [replace(case, name="old")], tmp_path, "cpu")
    result = evaluate_bundle(tiny_bundle, [case], tmp_path, "cpu")
    assert [c.case for c in result.cases] == ["held_out"]
    assert result.unpaired == ()
    assert case.labels is not None
    assert case.labels.exists(), "only links of ours are removed"


def test_no_validation_cases(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no validation cases"):
        evaluate_bundle(tiny_bundle, [], tmp_path)


def test_the_score_weighs_organs_and_tumor_as_fourteen_targets() -> None:
    scores = (Score(1, 0.9, 0.9, 5, 5), Score(3, 0.7, 0.7, 5, 5), Score(14, 0.1, 0.1, 5, 5))
    both = Evaluation("correct", (CaseEvaluation("x", scores, None),))
    assert mean_score(both) == pytest.approx((13 * 0.8 + 0.1) / 14)
    organs = Evaluation("correct", (CaseEvaluation("x", scores[:2], None),))
    assert mean_score(organs) == pytest.approx(0.8)
    assert mean_score(Evaluation("correct", ())) == 0
