"""The training loop: exact resume, the best validation, time limits, every paper's parts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_parts import UNET, same, state_of, tiny, trainer_of

from FlareSegmentLib.fixed_norm import FIXED_STATISTICS, fixed_norms
from FlareTrainLib import trainer as trainer_module
from FlareTrainLib import training_log
from FlareTrainLib.crop_settings import CutMixSettings, SamplingSettings, TumorSettings
from FlareTrainLib.fit import fit, fit_run
from FlareTrainLib.losses import LOSSES, activation
from FlareTrainLib.settings import Part
from FlareTrainLib.training_settings import (
    SIGMOID_LOSSES,
    completed,
    settings_of_run,
)


@pytest.mark.parametrize("prefetch", [0, 2])
def test_resume_is_exact_to_the_bit(
    whole: Path, packed_patients: Path, tmp_path: Path, prefetch: int
) -> None:
    """Also for batches drawn ahead and lost: nothing depends on what was drawn before."""
    settings = tiny(prefetch=prefetch)
    trainer = trainer_of(tmp_path, packed_patients, settings)
    for _ in range(3):
        trainer.train_step(trainer.draw(trainer.step))
    trainer.save()
    torch.manual_seed(99)
    result = fit_run(tmp_path, packed_patients, settings, device="cpu")
    assert result.finished
    assert same(state_of(tmp_path), state_of(whole))


def test_networks_with_dropout_resume_exactly_too(packed_patients: Path, tmp_path: Path) -> None:
    settings = replace(
        tiny(steps=4),
        network=Part("CoarseUNet", {"widths": [3, 4], "dropout": 0.5}),
        loss=Part("bce_dice"),
    )
    fit_run(tmp_path / "whole", packed_patients, settings, device="cpu")
    half = trainer_of(tmp_path / "half", packed_patients, settings)
    for _ in range(2):
        half.train_step(half.draw(half.step))
    half.save()
    torch.manual_seed(98)
    fit_run(tmp_path / "half", packed_patients, settings, device="cpu")
    assert same(state_of(tmp_path / "half"), state_of(tmp_path / "whole"))


@pytest.mark.parametrize("stop", [2, 4])
def test_norms_are_fixed_once_and_a_resumed_run_keeps_them(
    packed_patients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """From step 3 of 6; stopped before or after that, the run is the same to the bit."""
    monkeypatch.setattr(trainer_module, "MEASURED_CROPS", 5)
    fixed = Part(UNET.name, {**UNET.arguments, "norm": "fixed"})
    settings = replace(tiny(norms_fixed_from=0.5), network=fixed)
    fit_run(tmp_path / "whole", packed_patients, settings, device="cpu")
    half = trainer_of(tmp_path / "half", packed_patients, settings)
    for _ in range(stop):
        half.train_step(half.draw(half.step))
    assert all(bool(n.measured) == (stop > 3) for n in fixed_norms(half.network))
    half.save()
    fit_run(tmp_path / "half", packed_patients, settings, device="cpu")
    whole = state_of(tmp_path / "whole")
    assert same(state_of(tmp_path / "half"), whole)
    log = [json.loads(x) for x in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert [x["step"] for x in log if x.get("event") == "norms fixed"] == [3]
    for key, value in whole["network"].items():
        if key.endswith(FIXED_STATISTICS):
            assert torch.equal(whole["averaged"][key], value)
            assert not key.endswith("mean") or bool(value.any())


@pytest.mark.parametrize("optimizer", ["sgd", "novograd", "adam"])
def test_all_that_changes_over_a_run_goes_on_where_it_was(
    packed_patients: Path, tmp_path: Path, optimizer: str
) -> None:
    """Averages, momenta, warm-up, curriculum, weights of classes, tumors cut in and drawn."""
    settings = replace(
        tiny(steps=6, average=0.9, prefetch=2),
        loss=Part("marginal", {"class_weights": [0.5, *range(1, 15)], "class_weights_end": 0.0}),
        optimizer=Part(optimizer),
        schedule=Part("cosine", {"warm_up": 3}),
        sampling=SamplingSettings(
            patches=((16, 16, 16), (8, 16, 16)),
            patch_weights=(),
            by_type=True,
            full_fraction=0.5,
            full_first=2,
            tumor_bias=0.5,
        ),
        cutmix=CutMixSettings(probability=1.0),
        tumors=TumorSettings(probability=1.0),
    )
    fit_run(tmp_path / "whole", packed_patients, settings, device="cpu")
    for step in (1, 3):
        run = tmp_path / f"stopped at {step}"
        half = trainer_of(run, packed_patients, settings)
        for _ in range(step):
            half.train_step(half.draw(half.step))
        half.save()
        torch.manual_seed(97)
        assert fit_run(run, packed_patients, settings, device="cpu").finished
        assert same(state_of(run), state_of(tmp_path / "whole"))


def test_the_loss_falls(packed_patients: Path, tmp_path: Path) -> None:
    settings = tiny(steps=30, learning_rate=1e-2, average=0.5)
    fit_run(tmp_path, packed_patients, replace(settings, schedule=Part("constant")), device="cpu")
    values = [e["loss"] for e in training_log.read(tmp_path) if "loss" in e]
    assert sum(values[-5:]) < 0.7 * sum(values[:5])
    picture = (tmp_path / "curves.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


PAPERS = {
    "P1": (
        Part("PlainUNet", {"widths": [8, 8, 16], "strides": [[2, 2, 2], [2, 2, 2]]}),
        "selected_partial",
        Part("sgd"),
        Part("poly"),
    ),
    "P2": (
        Part("TextSegResNet", {"width": 8, "blocks": [1, 1], "hidden": 8}),
        "masked_bce_dice",
        Part("novograd"),
        Part("cosine"),
    ),
    "P3": (
        Part("PlainUNet", {"widths": [8, 16], "strides": [[1, 2, 2]]}),
        "merge_max_ce_dice",
        Part("sgd", {"momentum": 0.9}),
        Part("poly"),
    ),
    "P4": (Part("FusionUNet", {"widths": [8, 16]}), "bce_dice", Part("adam"), Part("halving")),
    "P5": (
        Part("PlainUNet", {"widths": [8, 16], "strides": [[2, 2, 2]]}),
        "ce_dice",
        Part("sgd"),
        Part("poly", {"power": 0.9}),
    ),
}


@pytest.mark.parametrize("paper", sorted(PAPERS))
def test_every_papers_parts_train_together(
    paper: str, packed_patients: Path, tmp_path: Path
) -> None:
    network, loss, optimizer, schedule = PAPERS[paper]
    settings = replace(
        tiny(steps=3, precision="bfloat16"),
        network=network,
        loss=Part(loss),
        optimizer=optimizer,
        schedule=schedule,
        sampling=SamplingSettings(
            patches=((16, 16, 16),), patch_weights=(1.0,), by_type=paper == "P3"
        ),
    )
    seen = []
    trainer = trainer_of(tmp_path, packed_patients, settings)
    before = {k: v.clone() for k, v in trainer.network.named_parameters()}
    fit(trainer, validate=lambda weights: seen.append(len(weights)) or {"liver": 0.5})
    assert trainer.finished
    assert seen == [len(before) + (paper == "P2")]
    moved = [k for k, v in trainer.network.named_parameters() if not torch.equal(v, before[k])]
    assert len(moved) > len(before) / 2
    assert settings_of_run(tmp_path) == completed(settings)


def test_the_best_validation_is_kept(packed_patients: Path, tmp_path: Path) -> None:
    scores = iter([0.2, 0.6, 0.4])
    settings = tiny(steps=6, validate_every=2)
    fit_run(
        tmp_path,
        packed_patients,
        settings,
        device="cpu",
        validate=lambda _: {"liver": (score := next(scores)), "spleen": score},
    )
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    assert best["step"] == 4
    assert best["scores"] == {"liver": 0.6, "spleen": 0.6}
    lines = [e for e in training_log.read(tmp_path) if "validation" in e]
    assert [line["step"] for line in lines] == [2, 4, 6]


def test_time_budget_ends_early_and_the_same_command_goes_on(
    whole: Path, packed_patients: Path, tmp_path: Path
) -> None:
    result = fit_run(tmp_path, packed_patients, tiny(), minutes=0, device="cpu")
    assert (result.step, result.finished, result.stopped) == (1, False, False)
    assert result.seconds > 0
    result = fit_run(tmp_path, packed_patients, tiny(), device="cpu")
    assert result.finished
    assert same(state_of(tmp_path), state_of(whole))
    events = [e for e in training_log.read(tmp_path) if e.get("event") == "resumed"]
    assert [e["step"] for e in events] == [1]


def test_a_model_of_some_targets_has_channels_for_these_only(
    packed_patients: Path, tmp_path: Path
) -> None:
    """P5's tumor teacher: one target; labelled organs are background to it."""
    settings = replace(tiny(steps=2), targets=(14,))
    trainer = trainer_of(tmp_path, packed_patients, settings)
    batch = trainer.draw(0)
    assert set(batch.labels.unique().tolist()) <= {0, 1, 255}
    assert batch.known.shape == (2, 1)
    fit(trainer)
    assert settings_of_run(tmp_path).network.arguments["channels"] == 2


def test_runs_of_the_first_layout_can_be_read(tmp_path: Path) -> None:
    content = {
        "steps": 3500,
        "learning_rate": 0.0012,
        "weight_decay": 0.01,
        "warm_up": 100,
        "average": 0.995,
        "clip": 3.0,
        "intensity": [-500.0, 500.0, 40.0, 140.0],
        "seed": 1,
        "channels": 15,
        "widths": [32, 64],
        "stem_stride": [2, 2, 2],
    }
    (tmp_path / "run.json").write_text(json.dumps(content))
    settings = settings_of_run(tmp_path)
    assert settings.network == Part(
        "SubvoxelUNet", {"channels": 15, "widths": [32, 64], "stem_stride": [2, 2, 2]}
    )
    assert settings.fit.steps == 3500
    assert settings.activation == "softmax"


def test_the_list_of_sigmoid_losses_is_right() -> None:
    assert set(SIGMOID_LOSSES) == {name for name in LOSSES if activation(name) == "sigmoid"}
