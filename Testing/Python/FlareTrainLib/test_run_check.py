"""What speaks against a run is said before it starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from FlareSegmentLib.errors import InputError
from FlareTrainLib.run_check import foresee


def wanted(data: Path, **changed: Any) -> dict[str, Any]:
    recipe = data.parent / "coarse.json"
    network = {
        "grid": {"spacing": [8, 8, 8]},
        "training": {"network": {"name": "SubvoxelUNet", "arguments": {"widths": [8, 8]}}},
    }
    recipe.write_text(json.dumps({"name": "coarse", "network": network}))
    place = str(data / "runs")
    return {"data": str(data), "recipe": str(recipe), "place": place, "device": "cpu", **changed}


def model(folder: Path, widths: list[int]) -> Path:
    """The description of a model; its weights are not looked at."""
    folder.mkdir()
    network = {"name": "SubvoxelUNet", "arguments": {"widths": widths, "channels": 15}}
    (folder / "model.json").write_text(json.dumps({"name": folder.name, "network": network}))
    return folder


def test_a_run_that_fits_has_nothing_against_it(raw_dataset: Path, tmp_path: Path) -> None:
    initial = str(model(tmp_path / "same", [8, 8]))
    assert foresee(wanted(raw_dataset, initial=initial, sources=["a"])) == ""


def test_a_model_with_another_network_is_refused(raw_dataset: Path, tmp_path: Path) -> None:
    initial = str(model(tmp_path / "wider", [16, 16]))
    with pytest.raises(InputError, match="of the model 'wider' is not the one that the recipe"):
        foresee(wanted(raw_dataset, initial=initial))


def test_a_source_that_is_gone_is_said(raw_dataset: Path) -> None:
    with pytest.raises(InputError, match="There is no pseudo-label source 'gone'"):
        foresee(wanted(raw_dataset, sources=["gone"]))


def test_too_few_cases_for_folds_are_said(raw_dataset: Path) -> None:
    with pytest.raises(InputError, match="5 folds need 5 cases"):
        foresee(wanted(raw_dataset, fold=1))


def test_a_gpu_that_is_not_there_is_warned_of(raw_dataset: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("There is a GPU.")
    assert "No NVIDIA GPU" in foresee(wanted(raw_dataset, device="cuda"))


def test_the_recipe_that_tunes_fits_the_model_that_comes_with_it(raw_dataset: Path) -> None:
    """Its networks are copies of the bundled model's: where one is changed, the other must be."""
    from FlareSegmentLib.errors import FlareError
    from FlareSegmentLib.model_choice import read_choice
    from FlareSegmentLib.resources import resources_folder

    try:
        read_choice(resources_folder() / "Models" / "flare-base")
    except FlareError:
        pytest.skip("the bundled model is not in this checkout")
    assert foresee({**wanted(raw_dataset), "recipe": "tune"}) == ""
    initial = str(model(raw_dataset.parent / "wider", [16, 16]))
    with pytest.raises(InputError, match="of the model 'wider' is not the one"):
        foresee({**wanted(raw_dataset), "recipe": "tune", "initial": initial})
