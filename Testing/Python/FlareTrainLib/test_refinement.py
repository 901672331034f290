"""Pseudo-labels of several sources become training labels, with a table of what was decided."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import targets
from FlareSegmentLib.reading import read_label_map
from FlareSegmentLib.writing import write_label_map
from FlareTrainLib.dataset import read_dataset
from FlareTrainLib.grid import PackSettings
from FlareTrainLib.pack_dataset import organ_box, pack_refined
from FlareTrainLib.packing import read_case, read_index
from FlareTrainLib.refinement import read_refined, refine_dataset
from FlareTrainLib.selection import GateSettings, RefineSettings, UncertaintySettings


def redraw(path: Path, change: dict[int, int]) -> None:
    array, affine = read_label_map(path)
    result = array.astype(np.uint8)
    for old, new in change.items():
        result[array == old] = new
    write_label_map(path, result, affine, targets())


def labels_of(folder: Path, case: str) -> np.ndarray:
    return read_label_map(folder / "labels" / f"{case}.nii.gz")[0]


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


def test_organs_that_a_source_never_gives_do_not_count_in_the_gate(
    raw_dataset: Path, tmp_path: Path
) -> None:
    for n in range(4):
        redraw(raw_dataset / "pseudo" / "b" / f"case_{n}.nii.gz", {n: 0 for n in range(5, 15)})
    dataset = read_dataset(raw_dataset)
    settings = RefineSettings(sources=("a", "b"), gate=GateSettings())
    refined = refine_dataset(dataset, dataset.sources, settings, tmp_path)
    assert "case_3" in {case.name for case in refined}


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


def test_a_source_that_is_not_there(raw_dataset: Path, tmp_path: Path) -> None:
    dataset = read_dataset(raw_dataset)
    with pytest.raises(InputError, match=r"no pseudo-label source 'x' \(there: a, b, c\)"):
        refine_dataset(dataset, dataset.sources, RefineSettings(sources=("x",)), tmp_path)


def test_a_pseudo_label_on_another_grid(raw_dataset: Path, tmp_path: Path) -> None:
    path = raw_dataset / "pseudo" / "a" / "case_3.nii.gz"
    array, affine = read_label_map(path)
    write_label_map(path, array[1:].astype(np.uint8), affine, targets())
    dataset = read_dataset(raw_dataset)
    with pytest.raises(InputError, match="source 'a' does not lie on the grid"):
        refine_dataset(dataset, dataset.sources, RefineSettings(sources=("a",)), tmp_path)


def test_packed_cases_know_what_is_annotated(raw_dataset: Path, tmp_path: Path) -> None:
    dataset = read_dataset(raw_dataset)
    refined = refine_dataset(
        dataset, dataset.sources, RefineSettings(sources=("a",)), tmp_path / "refined"
    )
    packed = tmp_path / "packed"
    pack_refined(dataset, refined, tmp_path / "refined", packed, PackSettings((12, 16, 16)))
    cases, spacing = read_index(packed)
    assert spacing == (12, 16, 16)
    assert {c.name: c.annotated for c in cases}["case_2"] == (1, 3)
    image, labels = read_case(packed, "case_0")
    assert image.shape == labels.shape == (16, 16, 18)
    # The liver keeps its volume: half the voxels per axis and so on.
    fine = labels_of(tmp_path / "refined", "case_0")
    ratio = (labels == 1).sum() * (12 * 16 * 16) / ((fine == 1).sum() * 8**3)
    assert ratio == pytest.approx(1, abs=0.1)


def test_volumes_without_abdomen_are_packed_once(raw_dataset: Path, tmp_path: Path) -> None:
    dataset = read_dataset(raw_dataset)
    refined_folder, packed = tmp_path / "refined", tmp_path / "packed"
    refined = refine_dataset(dataset, dataset.sources, RefineSettings(), refined_folder)
    grid = PackSettings((24.0, 24.0, 24.0), negatives=1)
    pack_refined(dataset, refined, refined_folder, packed, grid)
    times = {path: path.stat().st_mtime_ns for path in packed.glob("*.npz")}
    kinds = [case.kind for case in read_index(packed)[0]]
    assert kinds.count("negative") == 3
    pack_refined(dataset, refined, refined_folder, packed, grid)
    assert [case.kind for case in read_index(packed)[0]] == kinds
    assert {path: path.stat().st_mtime_ns for path in packed.glob("*.npz")} == times


def test_two_stage_packing_has_one_size_and_each_case_its_spacing(
    raw_dataset: Path, tmp_path: Path
) -> None:
    dataset = read_dataset(raw_dataset)
    refined = refine_dataset(
        dataset, dataset.sources, RefineSettings(sources=("a",)), tmp_path / "refined"
    )
    packed = tmp_path / "packed"
    grid = PackSettings(fixed_size=(16, 16, 16), crop_margin_mm=(8, 8, 8))
    pack_refined(dataset, refined, tmp_path / "refined", packed, grid)
    cases, _ = read_index(packed)
    for case in cases:
        assert read_case(packed, case.name)[0].shape == (16, 16, 16)
        box = organ_box(labels_of(tmp_path / "refined", case.name), (8, 8, 8), (8, 8, 8))
        extent = [8 * (part.stop - part.start) for part in box]
        assert np.allclose(np.array(case.spacing) * 16, extent)
    assert extent != [8 * n for n in (24, 32, 36)], "the crop is smaller than the scan"


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


def test_too_few_sources_for_a_choice_are_told(
    raw_dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = read_dataset(raw_dataset)
    settings = RefineSettings(sources=("a",), gate=GateSettings())
    refined = refine_dataset(dataset, dataset.sources, settings, tmp_path)
    assert [case.name for case in refined] == ["case_0", "case_1", "case_2"]
    assert "comparing 2 sources, but there is only 1" in caplog.text


def test_a_gate_that_trusts_a_single_source_says_so(
    raw_dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = read_dataset(raw_dataset)
    settings = RefineSettings(sources=("a",), gate=GateSettings(uncompared="pass"))
    refined = refine_dataset(dataset, dataset.sources, settings, tmp_path)
    assert [case.name for case in refined] == ["case_0", "case_1", "case_2", "case_3"]
    assert "the agreement gate has nothing to compare" in caplog.text
    assert "most unlabeled scans will be left out" not in caplog.text
