"""The dataset to learn the way with is one that the whole way works on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.reading import read_label_map
from FlareTrainLib import practice_data
from FlareTrainLib.dataset import check_trainable, read_dataset


def test_practice_has_everything_that_a_real_collection_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(practice_data, "SPACING", (12.0, 8.0, 8.0))
    practice_data.make_practice_dataset(tmp_path / "practice")
    dataset = read_dataset(tmp_path / "practice")
    check_trainable(dataset)
    known = {case.name: len(case.known) for case in dataset.cases}
    assert known == {
        "patient_1": 14, "patient_2": 14, "patient_3": 14, "patient_4": 3,
        "patient_5": 0, "patient_6": 0,
    }  # fmt: skip
    assert [case.name for case in dataset.validation] == ["patient_7", "patient_8"]
    other = dataset.sources["other program"]
    maps = [read_label_map(other / f"patient_{n}.nii.gz")[0] for n in (5, 6)]
    assert all(len(np.unique(array)) > 8 for array in maps)


def test_a_folder_with_something_in_it_is_left_alone(raw_dataset: Path) -> None:
    with pytest.raises(InputError, match="is not empty"):
        practice_data.make_practice_dataset(raw_dataset)
