"""A scan and its segmentation become a case, and nothing that is there is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from FlareSegmentLib.errors import InputError, OutputError
from FlareSegmentLib.reading import read_volume
from FlareSegmentLib.volume import Volume
from FlareTrainLib.add_case import NewCase, add_case, make_dataset
from FlareTrainLib.case_loading import load_case
from FlareTrainLib.dataset import read_dataset

TILTED = np.array(
    [[-0.0, 1.2, 0.3, 10.0], [-0.9, 0.0, 0.0, -20.0], [0.0, -0.3, 2.4, 5.0], [0, 0, 0, 1]]
)


@pytest.fixture
def scan(make_patient: Any) -> tuple[Volume, np.ndarray]:
    image, labels = make_patient(2)
    return Volume(image, TILTED, "scan"), labels


def test_a_case_is_read_back_as_it_was(tmp_path: Path, scan: tuple[Volume, np.ndarray]) -> None:
    volume, labels = scan
    make_dataset(tmp_path / "new")
    add_case(tmp_path / "new", NewCase("one", (1, 9, 14)), volume, labels)
    add_case(tmp_path / "new", NewCase("two", (3,)), volume, np.zeros_like(labels))
    one, two = read_dataset(tmp_path / "new").cases
    assert (one.annotated, one.absent) == ((1, 9, 14), ())
    assert (two.annotated, two.absent, two.labels) == ((), (3,), None)
    stored = read_volume(one.scan)
    assert np.array_equal(stored.array, volume.array)
    assert stored.array.dtype == volume.array.dtype
    assert np.allclose(stored.affine, TILTED, atol=1e-5)
    loaded = load_case(read_dataset(tmp_path / "new"), one)
    assert loaded.labels is not None
    assert set(np.unique(loaded.labels)) == {0, 1, 9, 14}


@pytest.mark.parametrize("kind", ["int16", "uint16", ">i2", "int32", "float32", "float64"])
def test_every_kind_of_numbers_keeps_its_values(
    tmp_path: Path, scan: tuple[Volume, np.ndarray], kind: str
) -> None:
    volume, labels = scan
    array = (volume.array.astype(np.float64) + 1024).astype(kind)
    make_dataset(tmp_path)
    add_case(tmp_path, NewCase("one", (1,)), Volume(array, TILTED), labels)
    stored = read_volume(tmp_path / "imagesTr" / "one_0000.nii.gz")
    assert np.array_equal(stored.array, array)


def test_an_existing_case_is_refused_and_its_files_are_kept(
    raw_dataset: Path, scan: tuple[Volume, np.ndarray]
) -> None:
    volume, labels = scan
    path = raw_dataset / "labelsTr" / "case_0.nii.gz"
    before = path.read_bytes()
    for name in ("case_0", "held_out"):
        with pytest.raises(InputError, match=f"There is a case '{name}' already"):
            add_case(raw_dataset, NewCase(name, (1,)), volume, labels)
    add_case(raw_dataset, NewCase("case_0", (1,), replace=True), volume, labels)
    kept = raw_dataset / "replaced" / "1"
    assert (kept / "labelsTr" / "case_0.nii.gz").read_bytes() == before
    assert len(json.loads((kept / "annotated.json").read_text())["case_0"]["annotated"]) == 14
    case = next(c for c in read_dataset(raw_dataset).cases if c.name == "case_0")
    assert case.annotated == (1,)


def test_a_dataset_without_annotations_is_not_silenced(
    raw_dataset: Path, scan: tuple[Volume, np.ndarray]
) -> None:
    """A new annotated.json would make every other label map count as unlabeled."""
    (raw_dataset / "annotated.json").unlink()
    with pytest.raises(InputError, match=r"no annotated\.json, so nobody knows"):
        add_case(raw_dataset, NewCase("new", (1,)), *scan)
    assert not (raw_dataset / "annotated.json").exists()
    assert not (raw_dataset / "imagesTr" / "new_0000.nii.gz").exists()


@pytest.mark.parametrize("name", ["", "a b", "../x", ".hidden"])
def test_names_that_are_no_file_names_are_refused(
    tmp_path: Path, scan: tuple[Volume, np.ndarray], name: str
) -> None:
    with pytest.raises(InputError, match="cannot be the name of a case"):
        add_case(tmp_path, NewCase(name, (1,)), *scan)


def test_a_case_that_cannot_be_written_leaves_the_dataset_as_it_was(
    raw_dataset: Path, scan: tuple[Volume, np.ndarray]
) -> None:
    listed = (raw_dataset / "annotated.json").read_bytes()
    for path in (raw_dataset / "labelsTr").iterdir():
        path.unlink()
    # A file in the place of the folder: it cannot be written, whoever runs the tests.
    (raw_dataset / "labelsTr").rmdir()
    (raw_dataset / "labelsTr").touch()
    with pytest.raises(OutputError):
        add_case(raw_dataset, NewCase("new", (1,)), *scan)
    assert (raw_dataset / "annotated.json").read_bytes() == listed
    assert not list((raw_dataset / "imagesTr").glob("*new*"))
