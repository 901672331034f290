"""Cases change sides without a file being moved; a run keeps the cases it began with."""

from __future__ import annotations

from pathlib import Path

import pytest

from FlareSegmentLib.errors import InputError
from FlareTrainLib.case_split import (
    move_case,
    read_split,
    split_of,
    with_split,
    write_split,
)
from FlareTrainLib.dataset import read_dataset
from FlareTrainLib.settings import write_json


def parts(data: Path) -> tuple[list[str], list[str]]:
    dataset = read_dataset(data)
    return [c.name for c in dataset.cases], [c.name for c in dataset.validation]


def test_a_moved_case_stays_moved_and_its_files_where_they_are(raw_dataset: Path) -> None:
    before = sorted(path for path in raw_dataset.rglob("*.nii.gz"))
    move_case(raw_dataset, "case_1", "validation")
    move_case(raw_dataset, "held_out", "training")
    assert parts(raw_dataset) == (["case_0", "case_2", "case_3", "held_out"], ["case_1"])
    assert sorted(path for path in raw_dataset.rglob("*.nii.gz")) == before
    move_case(raw_dataset, "case_1", "training")
    assert parts(raw_dataset)[1] == []


def test_a_case_without_labels_judges_nothing(raw_dataset: Path) -> None:
    move_case(raw_dataset, "case_3", "validation")
    assert parts(raw_dataset) == (["case_0", "case_1", "case_2", "case_3"], ["held_out"])


def test_a_file_that_says_something_else_is_refused(raw_dataset: Path) -> None:
    path = raw_dataset / "split.json"
    write_json(path, {"case_0": "test"})
    with pytest.raises(InputError, match="says 'test' of the case case_0; it can say 'training'"):
        read_dataset(raw_dataset)
    write_json(path, {"case_0": ["validation"]})
    with pytest.raises(InputError, match=r"says \['validation'\] of the case case_0"):
        read_dataset(raw_dataset)
    write_json(path, ["case_0"])
    with pytest.raises(InputError, match="must look like"):
        read_dataset(raw_dataset)


def test_every_annotated_case_judges_in_one_fold(raw_dataset: Path) -> None:
    dataset = read_dataset(raw_dataset)
    judged = []
    for fold in (1, 2, 3):
        split = split_of(dataset, fold, folds=3)
        judged += split.validation
        assert not set(split.validation) & set(split.training)
        # The validation cases stay untouched.
        assert "held_out" not in (*split.training, *split.validation)
        assert "case_3" in split.training
    assert judged == ["case_0", "case_1", "case_2"]
    with pytest.raises(InputError, match="5 folds need 5 cases with a label map"):
        split_of(dataset, 1)
    with pytest.raises(InputError, match="There is no fold 4 of 3"):
        split_of(dataset, 4, folds=3)


def test_a_run_keeps_the_cases_it_began_with(raw_dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    assert read_split(path) is None
    split = split_of(read_dataset(raw_dataset))
    write_split(path, split)
    assert read_split(path) == split
    move_case(raw_dataset, "case_1", "validation")
    later = with_split(read_dataset(raw_dataset), split)
    assert [case.name for case in later.cases] == list(split.training)
    assert [case.name for case in later.validation] == ["held_out"]
    (raw_dataset / "imagesTr" / "case_3_0000.nii.gz").unlink()
    with pytest.raises(InputError, match="case_3, which the run was begun with"):
        with_split(read_dataset(raw_dataset), split)
