"""A model is copied whole, under the name that was given, and never over another unasked."""

from __future__ import annotations

from pathlib import Path

import pytest

from FlareSegmentLib.errors import InputError, OutputError
from FlareSegmentLib.model_choice import read_choice
from FlareTrainLib.model_install import install, installed_at
from FlareTrainLib.settings import read_json, write_json


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = tmp_path / "livers" / "runs" / "best 1"
    (run / "bundle").mkdir(parents=True)
    write_json(run / "bundle" / "model.json", {"name": "best", "facts": {"steps": 5}})
    (run / "bundle" / "weights.pt").write_bytes(b"weights")
    return run


def test_name_and_description_are_those_that_were_given(run: Path, tmp_path: Path) -> None:
    folder = install(run, tmp_path / "models", "My livers", "Ten patients.")
    assert folder == tmp_path / "models" / "My livers"
    assert read_choice(folder).name == "My livers"
    assert read_json(folder / "model.json")["facts"] == {"steps": 5, "description": "Ten patients."}
    assert (folder / "weights.pt").read_bytes() == b"weights"
    assert read_json(run / "bundle" / "model.json")["name"] == "best"


def test_without_a_name_it_is_called_after_dataset_and_run(run: Path, tmp_path: Path) -> None:
    assert install(run, tmp_path / "models").name == "livers best 1"


def test_a_model_is_replaced_only_when_wanted(run: Path, tmp_path: Path) -> None:
    folder = install(run, tmp_path / "models", "mine")
    (folder / "weights.pt").write_bytes(b"other")
    with pytest.raises(InputError, match="There is a model 'mine'"):
        install(run, tmp_path / "models", "mine")
    assert (folder / "weights.pt").read_bytes() == b"other"
    install(run, tmp_path / "models", "mine", replace=True)
    assert (folder / "weights.pt").read_bytes() == b"weights"
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["../x", ".hidden", "a/b"])
def test_names_that_are_no_folder_names_are_refused(run: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be the name of a model"):
        installed_at(run, None, name)


def test_a_place_that_cannot_be_written_leaves_nothing(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be copied"):
        install(run, tmp_path / "file", "mine")
