"""From runs to bundles, also from runs of the first layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from FlareSegmentLib.bundle import ModelBundle
from FlareSegmentLib.errors import InputError
from FlareSegmentLib.network import build_network
from FlareTrainLib.export import TrainedNetwork, export_bundle, read_run
from FlareTrainLib.grid import PackSettings
from FlareTrainLib.settings import Part
from FlareTrainLib.training_settings import TrainingSettings, completed, write_settings

ARGUMENTS = {"widths": [8, 8], "stem_stride": [1, 1, 1], "convolutions": 1}


def save_run(run: Path, settings: TrainingSettings, seed: int = 1) -> dict[str, torch.Tensor]:
    settings = completed(settings)
    write_settings(run, settings)
    torch.manual_seed(seed)
    network = build_network(settings.network.name, settings.network.arguments)
    weights = network.state_dict()
    torch.save({"averaged": weights, "step": 7}, run / "checkpoint.pt")
    return weights


def small(**more: object) -> TrainingSettings:
    return TrainingSettings(network=Part("SubvoxelUNet", ARGUMENTS), **more)  # type: ignore[arg-type]


def trained(run: Path) -> TrainedNetwork:
    return TrainedNetwork(run, PackSettings((3.0, 2.0, 2.0)), (16, 32, 32))


def test_bundle_holds_the_weights_and_says_how_to_use_them(tmp_path: Path) -> None:
    weights = save_run(tmp_path / "run", small())
    export_bundle(tmp_path / "bundle", "x", "2", trained(tmp_path / "run"), facts={"about": "a"})
    bundle = ModelBundle.load(tmp_path / "bundle")
    assert bundle.info.network.spacing == (3.0, 2.0, 2.0)
    assert bundle.info.network.patch == (16, 32, 32)
    assert bundle.info.activation == "softmax"
    assert bundle.info.facts == {"steps": 7, "about": "a"}
    stored = bundle.network().state_dict()
    assert all(torch.equal(stored[k], v.half().float()) for k, v in weights.items())


def test_best_validated_weights_are_preferred(tmp_path: Path) -> None:
    save_run(tmp_path / "run", small())
    best = save_run(tmp_path / "other", small(), seed=2)
    torch.save({"averaged": best, "step": 5, "scores": {}}, tmp_path / "run" / "best.pt")
    _, weights, step = read_run(tmp_path / "run")
    assert step == 5
    assert all(torch.equal(weights[k], v) for k, v in best.items())


def test_some_targets_and_fixed_size(tmp_path: Path) -> None:
    settings = small(targets=(14,), loss=Part("bce_dice"))
    save_run(tmp_path / "run", settings)
    network = TrainedNetwork(tmp_path / "run", PackSettings(fixed_size=(32, 32, 32)), (32, 32, 32))
    export_bundle(tmp_path / "bundle", "x", "1", network)
    info = ModelBundle.load(tmp_path / "bundle").info
    assert info.targets == ("tumor",)
    assert info.activation == "sigmoid"
    assert info.network.fixed_size == (32, 32, 32)
    assert info.network.spacing == ()


def test_localiser_must_fit_the_network(tmp_path: Path) -> None:
    save_run(tmp_path / "network", small())
    save_run(tmp_path / "localiser", small(loss=Part("bce_dice")))
    with pytest.raises(InputError, match="other targets, or a loss of another kind"):
        export_bundle(
            tmp_path / "bundle",
            "x",
            "1",
            trained(tmp_path / "network"),
            trained(tmp_path / "localiser"),
        )


def test_runs_of_the_first_layout_are_read(tmp_path: Path) -> None:
    flat = {"steps": 9, "learning_rate": 0.01, "weight_decay": 3e-5, "warm_up": 50, "clip": 12.0}
    flat |= {"channels": 15, "widths": [8, 8], "stem_stride": [1, 1, 1], "average": 0.99}
    (tmp_path / "run.json").write_text(json.dumps(flat))
    weights = build_network(
        "SubvoxelUNet", {"channels": 15, "widths": [8, 8], "stem_stride": [1, 1, 1]}
    ).state_dict()
    torch.save({"averaged": weights, "step": 9}, tmp_path / "checkpoint.pt")
    export_bundle(tmp_path / "bundle", "x", "1", trained(tmp_path))
    assert ModelBundle.load(tmp_path / "bundle").info.facts["steps"] == 9


def test_no_run_and_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no training run"):
        read_run(tmp_path)
    save_run(tmp_path, small())
    (tmp_path / "checkpoint.pt").write_bytes(b"half")
    with pytest.raises(InputError, match="is damaged"):
        read_run(tmp_path)
