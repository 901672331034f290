"""The mean of models: weights, what they must have in common, and the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from FlareSegmentLib.bundle import IntensityStatistics, ModelBundle, ModelInfo, NetworkEntry
from FlareSegmentLib.bundle import save_bundle as save
from FlareSegmentLib.errors import InputError
from FlareSegmentLib.network import build_network
from FlareTrainLib.averaging import average_bundles
from FlareTrainLib.cli import main

ARGUMENTS = {"channels": 3, "widths": [3, 4], "stem_stride": [1, 1, 1], "norm": "fixed"}


def bundle(folder: Path, seed: int, measured: bool = True, **changes: Any) -> Path:
    torch.manual_seed(seed)
    weights = build_network("SubvoxelUNet", ARGUMENTS).state_dict()
    for key, value in weights.items():
        if key.endswith("measured"):
            value.fill_(measured)
        elif value.dim() == 1:
            value.normal_().abs_()
    entry = NetworkEntry(
        "SubvoxelUNet",
        ARGUMENTS,
        "weights.pt",
        "",
        (4.0, 4.0, 4.0),
        (16, 16, 16),
        IntensityStatistics(-500, 500, 40, 140),
    )
    info = ModelInfo(f"model {seed}", "3", ("liver", "spleen"), "softmax", entry)
    save(folder, replace(info, **changes), weights)
    return folder


def test_every_weight_is_the_mean(tmp_path: Path) -> None:
    folders = [bundle(tmp_path / str(n), n) for n in (1, 2, 3)]
    average_bundles(folders, tmp_path / "mean", "mean", "7")
    result = ModelBundle.load(tmp_path / "mean")
    assert result.name == "mean 7"
    found = result.network().state_dict()
    states = [ModelBundle.load(folder).network().state_dict() for folder in folders]
    for key, value in found.items():
        expected = torch.stack([state[key].float() for state in states]).mean(0)
        torch.testing.assert_close(value.float(), expected, rtol=1e-3, atol=1e-3)
    assert [part["name"] for part in result.info.facts["average_of"]] == [
        "model 1 3",
        "model 2 3",
        "model 3 3",
    ]


def test_the_command_writes_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(bundle(tmp_path / str(n), n)) for n in (1, 2)]
    assert main(["average", *folders, "--name", "mean", "-o", str(tmp_path / "mean")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "mean")
    assert ModelBundle.load(tmp_path / "mean").name == "mean 1"


def test_models_of_another_kind_are_refused(tmp_path: Path) -> None:
    one = bundle(tmp_path / "1", 1)
    other = bundle(tmp_path / "2", 2, targets=("liver", "pancreas"))
    with pytest.raises(InputError, match="differ in targets"):
        average_bundles([one, other], tmp_path / "mean", "mean")
    unfixed = bundle(tmp_path / "3", 3, measured=False)
    with pytest.raises(InputError, match="norms are fixed"):
        average_bundles([one, unfixed], tmp_path / "mean", "mean")
    assert not (tmp_path / "mean").exists()


def test_one_model_is_no_average_and_none_is_overwritten(tmp_path: Path) -> None:
    one, two = bundle(tmp_path / "1", 1), bundle(tmp_path / "2", 2)
    before = (one / "weights.pt").read_bytes()
    with pytest.raises(InputError, match="two models or more; 1 was given"):
        average_bundles([one], tmp_path / "mean", "mean")
    with pytest.raises(InputError, match="holds a model already"):
        average_bundles([one, two], one, "mean")
    assert (one / "weights.pt").read_bytes() == before
