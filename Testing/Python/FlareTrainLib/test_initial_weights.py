"""A training that starts from a bundle: the very weights, or a sentence why not."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from FlareSegmentLib.bundle import ModelBundle
from FlareSegmentLib.errors import BundleError, InputError
from FlareTrainLib.cli import main
from FlareTrainLib.crop_settings import SamplingSettings
from FlareTrainLib.export import TrainedNetwork, export_bundle
from FlareTrainLib.fit import fit_run
from FlareTrainLib.grid import PackSettings
from FlareTrainLib.initial_weights import find_bundle, started_from, with_offsets
from FlareTrainLib.recipe import Inference, NetworkStage, Recipe, read_recipe
from FlareTrainLib.settings import Part
from FlareTrainLib.training_settings import FitSettings, TrainingSettings

UNET = Part("SubvoxelUNet", {"widths": [4, 6], "stem_stride": [1, 1, 1], "convolutions": 1})
GRID = PackSettings((8.0, 8.0, 8.0))


def tiny(network: Part = UNET, **settings: Any) -> TrainingSettings:
    """One step at a rate of almost nothing: the weights stay where they started."""
    return TrainingSettings(
        network=network,
        fit=FitSettings(steps=1, learning_rate=1e-12, average=0.0, precision="float32"),
        sampling=SamplingSettings(patches=((16, 16, 16),), patch_weights=()),
        **settings,
    )


@pytest.fixture(scope="module")
def bundle(packed_patients: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a localiser; both networks of the same kind, with other random weights."""
    folder = tmp_path_factory.mktemp("start")
    runs = []
    for seed in (5, 6):
        settings = tiny()
        run = folder / f"run_{seed}"
        settings = replace(settings, fit=replace(settings.fit, seed=seed))
        fit_run(run, packed_patients, settings, device="cpu")
        runs.append(TrainedNetwork(run, GRID, (16, 16, 16)))
    export_bundle(folder / "bundle", "start", "1", runs[0], runs[1])
    return folder / "bundle"


def trained(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, Any] = torch.load(run / "checkpoint.pt", weights_only=True)
    assert state["averaged"].keys() == state["network"].keys()
    weights: dict[str, torch.Tensor] = state["averaged"]
    return weights


@pytest.mark.parametrize("part", ["network", "localiser"])
def test_training_starts_with_the_bundles_weights(
    bundle: Path, packed_patients: Path, tmp_path: Path, part: Any
) -> None:
    run = tmp_path / "run"
    settings = tiny(initial=str(bundle), initial_part=part)
    fit_run(run, packed_patients, settings, device="cpu")
    loaded = ModelBundle.load(bundle)
    network = loaded.network() if part == "network" else loaded.localiser()
    assert network is not None
    for key, value in network.state_dict().items():
        torch.testing.assert_close(trained(run)[key], value, rtol=0, atol=1e-9)
    # From nothing the same seed gives something else.
    fit_run(tmp_path / "other", packed_patients, tiny(), device="cpu")
    assert not torch.allclose(trained(tmp_path / "other")[key], value, atol=1e-3)


def test_a_model_with_instance_norms_can_become_one_with_fixed_norms(
    bundle: Path, packed_patients: Path, tmp_path: Path
) -> None:
    settings = tiny(Part(UNET.name, {**UNET.arguments, "norm": "fixed"}), initial=str(bundle))
    settings = replace(settings, fit=replace(settings.fit, norms_fixed_from=0.0))
    fit_run(tmp_path, packed_patients, settings, device="cpu")
    weights = trained(tmp_path)
    for key, value in ModelBundle.load(bundle).network().state_dict().items():
        torch.testing.assert_close(weights[key], value, rtol=0, atol=1e-9)
    measured = [value for key, value in weights.items() if key.endswith(".measured")]
    assert measured
    assert all(measured)


def test_a_resumed_run_needs_no_bundle_any_more(
    bundle: Path, packed_patients: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    settings = tiny(initial=str(copy))
    settings = replace(settings, fit=replace(settings.fit, steps=2))
    fit_run(tmp_path / "run", packed_patients, settings, minutes=0.0, device="cpu")
    shutil.rmtree(copy)
    assert fit_run(tmp_path / "run", packed_patients, settings, device="cpu").step == 2


def test_what_does_not_fit_is_refused(bundle: Path, packed_patients: Path, tmp_path: Path) -> None:
    wider = Part("SubvoxelUNet", {"widths": [8, 6], "stem_stride": [1, 1, 1], "convolutions": 1})
    plain = Part("PlainUNet", {"widths": [4, 6], "strides": [[2, 2, 2]]})
    for settings, sentence in (
        (tiny(wider), r"has \(4, 1, 3, 3, 3\) where the network to train has \(8, 1, 3, 3, 3\)"),
        (tiny(plain), "is a SubvoxelUNet, but the training is for a PlainUNet"),
        (tiny(targets=(1, 2)), "segments liver, .*, but the training is for liver, right_kidney"),
        (tiny(loss=Part("bce_dice")), "with a softmax loss, but 'bce_dice' needs sigmoid"),
    ):
        settings = replace(settings, initial=str(bundle))
        with pytest.raises(InputError, match=sentence):
            fit_run(tmp_path / "run", packed_patients, settings, device="cpu")
        assert not (tmp_path / "run" / "run.json").exists()


def test_a_damaged_or_missing_bundle_is_refused(
    bundle: Path, packed_patients: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"no model 'nothing'.*flare-base"):
        find_bundle("nothing")
    damaged = tmp_path / "damaged"
    shutil.copytree(bundle, damaged)
    (damaged / "weights.pt").write_bytes(b"x")
    with pytest.raises(BundleError, match="SHA-256"):
        fit_run(tmp_path / "run", packed_patients, tiny(initial=str(damaged)), device="cpu")


def test_another_intensity_or_grid_is_told(
    bundle: Path, packed_patients: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = tiny(initial=str(bundle))
    other = replace(settings, fit=replace(settings.fit, intensity=(-175.0, 250.0, 37.5, 212.5)))
    with caplog.at_level(logging.WARNING):
        fit_run(tmp_path / "same", packed_patients, settings, device="cpu")
        assert "The model to start from" not in caplog.text
        fit_run(tmp_path / "other", packed_patients, other, device="cpu")
    assert "saw intensities as (-500.0, 500.0, 40.0, 140.0)" in caplog.text


def test_a_recipe_starts_network_and_localiser(bundle: Path, tmp_path: Path) -> None:
    stage = NetworkStage(grid=GRID, training=tiny())
    recipe = started_from(Recipe("x", localiser=stage, network=stage), str(bundle))
    assert recipe.network.training.initial == str(bundle)
    assert recipe.localiser is not None
    assert recipe.localiser.training.initial_part == "localiser"
    assert started_from(Recipe("x"), str(bundle)).localiser is None


def test_the_bundled_model_can_be_named() -> None:
    recipe = started_from(read_recipe("base"), "flare-base")
    assert Path(recipe.network.training.initial).name == "flare-base"


@pytest.fixture
def with_two_offsets(bundle: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "offsets"
    shutil.copytree(bundle, folder)
    content = json.loads((folder / "model.json").read_text())
    content["inference"]["logit_offsets"] = {"aorta": -2.0, "liver": -0.5}
    (folder / "model.json").write_text(json.dumps(content))
    return folder


def test_offsets_go_along_except_where_people_drew(with_two_offsets: Path) -> None:
    recipe = started_from(Recipe("x"), str(with_two_offsets))
    assert with_offsets(recipe, ()).inference.logit_offsets == {"aorta": -2.0, "liver": -0.5}
    assert with_offsets(recipe, (1, 3)).inference.logit_offsets == {"aorta": -2.0}
    assert with_offsets(recipe, (1, 5)).inference.logit_offsets == {}


def test_a_recipe_keeps_its_own_offsets(with_two_offsets: Path) -> None:
    recipe = started_from(
        Recipe("x", inference=Inference(logit_offsets={"spleen": 1.0})), str(with_two_offsets)
    )
    assert with_offsets(recipe, ()).inference.logit_offsets == {"spleen": 1.0}
    assert with_offsets(Recipe("y"), ()) == Recipe("y")


def tiny_recipe(path: Path) -> Path:
    """Write a recipe of one step, with a localiser."""
    training = {
        "network": {"name": UNET.name, "arguments": UNET.arguments},
        "fit": {"steps": 1, "learning_rate": 1e-12, "average": 0.0, "precision": "float32"},
        "sampling": {"patches": [[16, 16, 16]], "patch_weights": []},
    }
    stage = {"grid": {"spacing": [8, 8, 8]}, "patch": [16, 32, 32], "training": training}
    content = {"name": "tiny", "refine": {"sources": ["a"]}, "network": stage, "localiser": stage}
    path.write_text(json.dumps(content))
    return path


def words_of_run(recipe: Path, data: Path, run: Path) -> list[str]:
    words = ["run", str(recipe), "--data", str(data), "--out", str(run), "--device", "cpu"]
    return [*words, "--no-validation", "--from"]


def test_run_from_a_bundle(
    bundle: Path, raw_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = words_of_run(tiny_recipe(tmp_path / "tiny.json"), raw_dataset, run)
    assert main([*words, str(tmp_path / "nowhere")]) == 1
    assert "There is no model" in capsys.readouterr().err
    assert main([*words, str(bundle)]) == 0
    ours, theirs = ModelBundle.load(run / "bundle"), ModelBundle.load(bundle)
    for one, other in ((ours.network(), theirs.network()), (ours.localiser(), theirs.localiser())):
        assert one is not None
        assert other is not None
        for key, value in other.state_dict().items():
            torch.testing.assert_close(one.state_dict()[key], value, rtol=0, atol=1e-6)


def test_the_bundle_of_a_run_has_the_offsets(
    with_two_offsets: Path, raw_dataset: Path, tmp_path: Path
) -> None:
    annotated = raw_dataset / "annotated.json"
    content = json.loads(annotated.read_text())
    for name in ("case_0", "case_1"):
        (raw_dataset / "labelsTr" / f"{name}.nii.gz").unlink()
        del content[name]
    annotated.write_text(json.dumps(content))
    run = tmp_path / "run"
    words = words_of_run(tiny_recipe(tmp_path / "tiny.json"), raw_dataset, run)
    assert main([*words, str(with_two_offsets)]) == 0
    # Liver and spleen are annotated in case_2.
    offsets = ModelBundle.load(run / "bundle").info.inference.logit_offsets
    assert offsets == {"aorta": -2.0}
