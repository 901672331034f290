"""What folders of pseudo-labels say, and what they do not."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from drawn_labels import redraw

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import targets
from FlareSegmentLib.reading import read_label_map
from FlareSegmentLib.writing import write_label_map
from FlareTrainLib.dataset import read_dataset
from FlareTrainLib.refine_settings import GateSettings, RefineSettings, UncertaintySettings
from FlareTrainLib.refinement import refine_dataset


def test_organs_that_a_source_never_gives_do_not_count_in_the_gate(
    raw_dataset: Path, tmp_path: Path
) -> None:
    for n in range(4):
        redraw(raw_dataset / "pseudo" / "b" / f"case_{n}.nii.gz", {n: 0 for n in range(5, 15)})
    dataset = read_dataset(raw_dataset)
    settings = RefineSettings(sources=("a", "b"), gate=GateSettings())
    refined = refine_dataset(dataset, dataset.sources, settings, tmp_path)
    assert "case_3" in {case.name for case in refined}


def test_a_vote_says_nothing_of_an_organ_that_a_voter_never_gives(
    raw_dataset: Path, tmp_path: Path
) -> None:
    for n in range(4):
        for name in ("b", "c"):
            redraw(raw_dataset / "pseudo" / name / f"case_{n}.nii.gz", {5: 0})
    dataset = read_dataset(raw_dataset)
    settings = RefineSettings(labels="majority", cleaning="off")
    refined = refine_dataset(dataset, dataset.sources, settings, tmp_path)
    # Two of three never draw an aorta: their background is no sign that there is none.
    assert 5 not in {case.name: case.pseudo for case in refined}["case_3"]
    assert 6 in {case.name: case.pseudo for case in refined}["case_3"]


def test_uncertainty_is_that_of_organs_that_all_three_give(
    raw_dataset: Path, tmp_path: Path
) -> None:
    for n in range(4):
        redraw(raw_dataset / "pseudo" / "b" / f"case_{n}.nii.gz", {n: 0 for n in range(2, 15)})
    dataset = read_dataset(raw_dataset)
    settings = RefineSettings(uncertainty=UncertaintySettings(organ_share=1.0))
    refine_dataset(dataset, dataset.sources, settings, tmp_path)
    rows = list(csv.DictReader((tmp_path / "decisions.csv").open()))
    (row,) = [r for r in rows if (r["case"], r["step"]) == ("case_3", "organ uncertainty")]
    assert float(row["score"]) == 0, "all three draw the same liver"


def test_what_a_source_gives_is_read_once_and_anew_when_it_changes(
    raw_dataset: Path, tmp_path: Path
) -> None:
    dataset = read_dataset(raw_dataset)
    settings = RefineSettings(sources=("a",))
    refine_dataset(dataset, dataset.sources, settings, tmp_path)
    memory = tmp_path / "sources.json"
    content = json.loads(memory.read_text())
    assert content["a"]["case_3"]["ids"] == list(range(1, 15))
    for entry in content["a"].values():
        entry["ids"] = [1, 2]
    memory.write_text(json.dumps(content))
    refined = refine_dataset(dataset, dataset.sources, settings, tmp_path)
    assert {case.name: case.pseudo for case in refined}["case_3"] == (1, 2), "it is remembered"
    redraw(raw_dataset / "pseudo" / "a" / "case_3.nii.gz", {9: 0})
    refined = refine_dataset(dataset, dataset.sources, settings, tmp_path)
    assert {case.name: case.pseudo for case in refined}["case_3"] == (
        *range(1, 9),
        *range(10, 14),
    )


def test_a_source_of_ours_says_which_targets_its_model_has(
    raw_dataset: Path, tmp_path: Path
) -> None:
    """A model that found no pancreas in any scan says that there is none."""
    for n in range(4):
        redraw(raw_dataset / "pseudo" / "a" / f"case_{n}.nii.gz", {4: 0})
    made_by = {"model": "mine 1", "sha256": "0", "targets": list(range(1, 14))}
    (raw_dataset / "pseudo" / "a" / "source.json").write_text(json.dumps(made_by))
    dataset = read_dataset(raw_dataset)
    refined = refine_dataset(dataset, dataset.sources, RefineSettings(sources=("a",)), tmp_path)
    assert 4 in {case.name: case.pseudo for case in refined}["case_3"]


def test_a_source_without_a_label_map_of_any_case_is_told(
    raw_dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = raw_dataset / "pseudo" / "a"
    for path in folder.iterdir():
        path.rename(folder / f"other_{path.name}")
    dataset = read_dataset(raw_dataset)
    refine_dataset(dataset, dataset.sources, RefineSettings(sources=("a",)), tmp_path)
    assert "'a' has no label map of any case (other_case_0.nii.gz is there)" in caplog.text


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
