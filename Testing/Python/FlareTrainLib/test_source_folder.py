"""Label maps of another program become a source."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from FlareSegmentLib.errors import InputError
from FlareTrainLib.dataset import read_dataset
from FlareTrainLib.source_folder import add_source


def test_label_maps_of_cases_are_copied_and_others_left(raw_dataset: Path, tmp_path: Path) -> None:
    other = tmp_path / "other program"
    other.mkdir()
    file = raw_dataset / "pseudo" / "a" / "case_3.nii.gz"
    shutil.copy(file, other / "case_3.nii.gz")
    shutil.copy(file, other / "stranger.nii.gz")
    target = add_source(raw_dataset, other)
    assert [path.name for path in target.iterdir()] == ["case_3.nii.gz"]
    assert read_dataset(raw_dataset).sources["other program"] == target
    with pytest.raises(InputError, match="There is a source 'other program' already"):
        add_source(raw_dataset, other)


def test_a_folder_without_label_maps_of_cases_is_refused(raw_dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(InputError, match=r"for example case_0\.nii\.gz"):
        add_source(raw_dataset, tmp_path / "x")
    assert "x" not in read_dataset(raw_dataset).sources
