"""Pseudo-labels of several sources become training labels, with a table of what was decided."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_labels import labels_of, redraw

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import targets
from FlareSegmentLib.reading import read_label_map
from FlareSegmentLib.writing import write_label_map
from FlareTrainLib.case_choices import write_choice
from FlareTrainLib.dataset import read_dataset
from FlareTrainLib.refine_settings import GateSettings, RefineSettings, UncertaintySettings
from FlareTrainLib.refinement import read_refined, refine_dataset


def test_truth_is_kept_and_the_rest_is_filled_from_the_first_source(
    raw_dataset: Path, tmp_path: Path
) -> None:
    redraw(raw_dataset / "pseudo" / "a" / "case_2.nii.gz", {1: 3})
    dataset = read_dataset(raw_dataset)
    settings = RefineSettings(sources=("a",), cleaning="off")
    refined = refine_dataset(dataset, dataset.sources, settings, tmp_path)
    assert read_refined(tmp_path) == refined
    case = {case.name: case for case in refined}
    assert case["case_0"].pseudo == ()
    assert case["case_2"].annotated == (1, 3)
    assert case["case_2"].pseudo == (2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
    assert case["case_2"].tumor == "unknown"
    assert case["case_3"].tumor == "unknown"

    truth, _ = read_label_map(raw_dataset / "labelsTr" / "case_2.nii.gz")
    source, _ = read_label_map(raw_dataset / "pseudo" / "a" / "case_2.nii.gz")
    result = labels_of(tmp_path, "case_2")
    for target in (1, 3):
        assert np.array_equal(result == target, truth == target)
    assert np.array_equal(result == 4, source == 4)
    assert not (result == 14).any(), "tumor is not pseudo-labeled by default"


def test_decisions_are_a_table_a_person_can_read(raw_dataset: Path, tmp_path: Path) -> None:
    redraw(raw_dataset / "pseudo" / "b" / "case_3.nii.gz", {n: 0 for n in range(1, 10)})
    dataset = read_dataset(raw_dataset)
    settings = RefineSettings(sources=("a", "b"), gate=GateSettings())
    refined = refine_dataset(dataset, dataset.sources, settings, tmp_path)
    assert "case_3" not in {case.name for case in refined}
    rows = list(csv.DictReader((tmp_path / "decisions.csv").open()))
    (gate,) = [r for r in rows if (r["case"], r["step"]) == ("case_3", "agreement gate")]
    assert gate["decision"] == "rejected"
    assert float(gate["score"]) == pytest.approx(4 / 13, abs=1e-4)
    assert float(gate["limit"]) == 0.85


def test_tumors_of_certain_cases_are_kept_and_others_become_background(
    raw_dataset: Path, tmp_path: Path
) -> None:
    for n in (0, 1):
        (raw_dataset / "labelsTr" / f"case_{n}.nii.gz").unlink()
    (raw_dataset / "annotated.json").unlink()
    redraw(raw_dataset / "pseudo" / "b" / "case_3.nii.gz", {14: 1})
    dataset = read_dataset(raw_dataset)
    settings = RefineSettings(
        sources=("a", "b", "c"),
        uncertainty=UncertaintySettings(organ_share=1.0, tumor_share=0.5),
        tumor="certain",
        cleaning="off",
    )
    refined = refine_dataset(dataset, dataset.sources, settings, tmp_path)
    tumor = {case.name: case.tumor for case in refined}
    # Of three unlabeled cases half, rounded up, are certain; case_3's sources differ.
    assert tumor == {
        "case_0": "pseudo",
        "case_1": "pseudo",
        "case_2": "unknown",
        "case_3": "unknown",
    }
    assert (labels_of(tmp_path, "case_0") == 14).any()
    assert not (labels_of(tmp_path, "case_3") == 14).any()


def test_tumors_of_their_own_teacher_have_priority(raw_dataset: Path, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        redraw(raw_dataset / "pseudo" / name / "case_3.nii.gz", {14: 1})
    tumor, affine = read_label_map(raw_dataset / "pseudo" / "a" / "case_3.nii.gz")
    drawn = np.where(tumor == 4, 14, 0).astype(np.uint8)
    folder = raw_dataset / "pseudo" / "tumor"
    folder.mkdir()
    write_label_map(folder / "case_3.nii.gz", drawn, affine, targets())
    write_label_map(folder / "case_2.nii.gz", drawn, affine, targets())
    dataset = read_dataset(raw_dataset)
    settings = RefineSettings(
        sources=("a", "b", "c"), labels="majority", tumor="always", tumor_sources=("tumor",)
    )
    refined = refine_dataset(dataset, dataset.sources, settings, tmp_path)
    assert {case.name: case.tumor for case in refined}["case_3"] == "pseudo"
    result = labels_of(tmp_path, "case_3")
    assert np.array_equal(result == 14, tumor == 4)


def test_an_organ_on_which_two_sources_overlap_too_little_is_unknown(
    raw_dataset: Path, tmp_path: Path
) -> None:
    """Two sources are the usual case: the first counts in the comparison."""
    redraw(raw_dataset / "pseudo" / "b" / "case_3.nii.gz", {4: 0})
    dataset = read_dataset(raw_dataset)
    settings = RefineSettings(sources=("a", "b"), labels="certain", cleaning="off")
    refine_dataset(dataset, dataset.sources, settings, tmp_path)
    result = labels_of(tmp_path, "case_3")
    source, _ = read_label_map(raw_dataset / "pseudo" / "a" / "case_3.nii.gz")
    assert not (result == 4).any()
    assert (result[source == 4] == 255).all()
    rows = list(csv.DictReader((tmp_path / "decisions.csv").open()))
    (row,) = [r for r in rows if (r["case"], r["step"]) == ("case_3", "doubtful organ")]
    assert row["reason"].startswith("Pancreas: the sources overlap too little")


def test_a_tumor_that_is_not_taken_over_leaves_nothing_known(
    raw_dataset: Path, tmp_path: Path
) -> None:
    """Background there would teach that the liver ends where its tumor begins."""
    dataset = read_dataset(raw_dataset)
    settings = RefineSettings(sources=("a",), tumor="never", cleaning="off")
    refine_dataset(dataset, dataset.sources, settings, tmp_path)
    source, _ = read_label_map(raw_dataset / "pseudo" / "a" / "case_3.nii.gz")
    assert (source == 14).any()
    assert (labels_of(tmp_path, "case_3")[source == 14] == 255).all()


def test_a_case_accepted_by_hand_needs_the_voters_too(raw_dataset: Path, tmp_path: Path) -> None:
    (raw_dataset / "pseudo" / "c" / "case_3.nii.gz").unlink()
    write_choice(raw_dataset, "case_3", "accepted")
    dataset = read_dataset(raw_dataset)
    with pytest.raises(InputError, match="case_3 was accepted, but the recipe lets three sources"):
        refine_dataset(dataset, dataset.sources, RefineSettings(labels="majority"), tmp_path)


def test_finished_cases_are_not_computed_again_and_changed_ones_are(
    raw_dataset: Path, tmp_path: Path
) -> None:
    dataset = read_dataset(raw_dataset)
    settings = RefineSettings(sources=("a", "b"), gate=GateSettings(least_agreement=0.1))
    first = refine_dataset(dataset, dataset.sources, settings, tmp_path)
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "labels").iterdir()}
    table = (tmp_path / "decisions.csv").read_text()
    assert refine_dataset(dataset, dataset.sources, settings, tmp_path) == first
    again = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "labels").iterdir()}
    assert again == times
    assert (tmp_path / "decisions.csv").read_text() == table

    redraw(raw_dataset / "pseudo" / "a" / "case_3.nii.gz", {9: 0})
    refine_dataset(dataset, dataset.sources, settings, tmp_path)
    changed = {
        path.name
        for path in (tmp_path / "labels").iterdir()
        if path.stat().st_mtime_ns != times[path.name]
    }
    assert changed == {"case_3.nii.gz"}
    assert not (labels_of(tmp_path, "case_3") == 9).any()


def test_no_case_left_is_said_with_where_the_scores_are(raw_dataset: Path, tmp_path: Path) -> None:
    dataset = read_dataset(raw_dataset)
    dataset = replace(dataset, cases=dataset.cases[3:])
    settings = RefineSettings(sources=("a", "b"), gate=GateSettings(least_agreement=1.0))
    with pytest.raises(InputError, match="No case is left to train on"):
        refine_dataset(dataset, dataset.sources, settings, tmp_path)
    assert "agreement gate" in (tmp_path / "decisions.csv").read_text()


def test_credibility_is_agreement_where_two_sources_are_all_there_is(
    raw_dataset: Path, tmp_path: Path
) -> None:
    (raw_dataset / "annotated.json").unlink()
    for n in (0, 1, 2):
        (raw_dataset / "labelsTr" / f"case_{n}.nii.gz").unlink()
    for n in (1, 3):
        redraw(raw_dataset / "pseudo" / "b" / f"case_{n}.nii.gz", {1: 0, 3: 0})
    dataset = read_dataset(raw_dataset)
    settings = RefineSettings(sources=("a", "b"), top_fraction=0.5)
    refined = refine_dataset(dataset, dataset.sources, settings, tmp_path)
    assert [case.name for case in refined] == ["case_0", "case_2"]
