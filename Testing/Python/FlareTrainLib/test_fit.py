"""The training loop: resume, stop, recover, share a batch, all on real (tiny) trainings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from FlareSegmentLib.errors import FlareError, InputError, OutputError
from FlareTrainLib import training_log
from FlareTrainLib.cli import INTERRUPTED
from FlareTrainLib.fit import fit, fit_run
from FlareTrainLib.losses import LOSSES, activation
from FlareTrainLib.packed_cases import load_cases
from FlareTrainLib.packing import read_index
from FlareTrainLib.sampling import CropSampler
from FlareTrainLib.settings import Part, settings_to_json
from FlareTrainLib.trainer import RECOVERIES, Trainer
from FlareTrainLib.training_settings import (
    SIGMOID_LOSSES,
    CutMixSettings,
    FitSettings,
    SamplingSettings,
    TrainingSettings,
    completed,
    settings_of_run,
    write_settings,
)

UNET = Part("SubvoxelUNet", {"widths": [4, 6], "stem_stride": [1, 1, 1], "convolutions": 1})


def tiny(**fit: Any) -> TrainingSettings:
    """A training of a few fast steps."""
    return TrainingSettings(
        network=UNET,
        fit=FitSettings(
            **{"steps": 6, "batch": 2, "report_every": 1, "precision": "float32", **fit}
        ),
        sampling=SamplingSettings(patches=((16, 16, 16), (8, 16, 16)), patch_weights=()),
        cutmix=CutMixSettings(probability=0.5),
    )


def trainer_of(run: Path, packed: Path, settings: TrainingSettings) -> Trainer:
    settings = completed(settings)
    sampler = CropSampler.of(load_cases(packed), read_index(packed)[1], settings)
    trainer = Trainer(run, sampler, settings)
    if not trainer.resume():
        write_settings(run, settings)
    return trainer


def state_of(run: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run / "checkpoint.pt", weights_only=True)
    state.pop("seconds")
    return state


def same(a: Any, b: Any) -> bool:
    """Whether two nested states are equal bit for bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.fixture(scope="module")
def whole(packed_patients: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps without interruption, batches drawn ahead."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    result = fit_run(run, packed_patients, tiny(), device="cpu")
    assert result == {"step": 6, "finished": True, "stopped": False}
    return run


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


def command(run: Path, packed: Path, settings: TrainingSettings) -> list[str]:
    """Words of `flare-train fit` after the interpreter."""
    file = run.parent / "settings.json"
    file.write_text(json.dumps(settings_to_json(settings)))
    words = ["-m", "FlareTrainLib", "fit", "--packed", str(packed), "--folder", str(run)]
    return [*words, "--settings", str(file), "--device", "cpu"]


def test_sigterm_saves_and_leaves(packed_patients: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = command(run, packed_patients, tiny(steps=100000, save_every=1e6))
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True) as process:
        log = run / "log.jsonl"
        alarm = threading.Timer(120, process.kill)
        alarm.start()
        while process.poll() is None and not (log.exists() and log.stat().st_size):
            threading.Event().wait(0.05)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate()
        alarm.cancel()
    assert process.returncode == INTERRUPTED
    step = state_of(run)["step"]
    assert step > 0
    assert said.strip() == f"step {step}"


def test_two_processes_train_as_one_does(
    whole: Path, packed_patients: Path, tmp_path: Path
) -> None:
    """Same global batch, gloo: every loss term is formed from sums over both processes."""
    run = tmp_path / "run"
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *torchrun, *command(run, packed_patients, tiny())],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    shared, alone = state_of(run), state_of(whole)
    for key, value in alone["network"].items():
        torch.testing.assert_close(shared["network"][key], value, atol=2e-5, rtol=1e-3)
    terms = [
        [
            (e["step"], e["cross_entropy"], e["dice"])
            for e in training_log.read(folder)
            if "loss" in e
        ]
        for folder in (run, whole)
    ]
    assert len(terms[0]) == 6
    for ours, theirs in zip(*terms, strict=True):
        assert ours == pytest.approx(theirs, abs=2e-4)


def test_a_loss_that_is_not_finite_leads_back_with_half_the_rate(
    packed_patients: Path, tmp_path: Path
) -> None:
    settings = replace(tiny(steps=5), schedule=Part("constant"))
    trainer = trainer_of(tmp_path, packed_patients, settings)
    good = trainer.loss
    broken = [2]

    def breaks_once(logits: Any, labels: Any, annotation: Any) -> dict[str, torch.Tensor]:
        terms = good(logits, labels, annotation)
        if trainer.step in broken:
            broken.clear()
            return {name: term * float("nan") for name, term in terms.items()}
        return terms

    trainer.loss = breaks_once
    fit(trainer)
    assert trainer.finished
    assert trainer.learning_rate() == settings.fit.learning_rate / 2
    entry = next(e for e in training_log.read(tmp_path) if e.get("event") == "recovered")
    assert (entry["step"], entry["failed_at"]) == (0, 2)
    assert "half the learning rate" in entry["note"]
    assert all(bool(torch.isfinite(v).all()) for v in state_of(tmp_path)["network"].values())


def test_a_training_that_cannot_recover_says_so(packed_patients: Path, tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, packed_patients, tiny())
    trainer.loss = lambda logits, labels, annotation: {"dice": logits.sum() * float("inf")}
    with pytest.raises(FlareError, match=f"{RECOVERIES + 1} times"):
        fit(trainer)
    assert state_of(tmp_path)["step"] == 0


def test_weights_that_are_not_finite_never_replace_a_checkpoint(
    packed_patients: Path, tmp_path: Path
) -> None:
    trainer = trainer_of(tmp_path, packed_patients, tiny(steps=2))
    step = trainer.train_step

    def spoils_the_last(batch: Any) -> dict[str, torch.Tensor]:
        terms = step(batch)
        if trainer.finished:
            with torch.no_grad():
                next(iter(trainer.network.parameters())).fill_(float("nan"))
        return terms

    trainer.train_step = spoils_the_last
    fit(trainer)
    assert not trainer.finished
    assert all(bool(torch.isfinite(v).all()) for v in state_of(tmp_path)["network"].values())


def test_a_full_disk_keeps_the_last_checkpoint(packed_patients: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    trainer = trainer_of(tmp_path, packed_patients, tiny())
    trainer.save()
    before = (tmp_path / "checkpoint.pt").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(OutputError, match="The one before is untouched"):
            trainer.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


def test_settings_that_do_not_fit_are_refused(packed_patients: Path, tmp_path: Path) -> None:
    odd = replace(tiny(), sampling=SamplingSettings(patches=((15, 16, 16),), patch_weights=()))
    with pytest.raises(InputError, match=r"\(15, 16, 16\).*multiples of \(2, 2, 2\)"):
        fit_run(tmp_path, packed_patients, odd, device="cpu")
    wrong = replace(tiny(), network=Part("SubvoxelUNet", {"channels": 3}))
    with pytest.raises(InputError, match=r"channels = 3.*need 15"):
        fit_run(tmp_path, packed_patients, wrong, device="cpu")
    with pytest.raises(InputError, match="no optimizer 'lion'"):
        fit_run(tmp_path, packed_patients, replace(tiny(), optimizer=Part("lion")), device="cpu")
    with pytest.raises(InputError, match="no packed cases"):
        fit_run(tmp_path, tmp_path, tiny(), device="cpu")


def test_a_begun_run_refuses_other_settings(whole: Path, packed_patients: Path) -> None:
    with pytest.raises(InputError, match="begun with other settings"):
        fit_run(whole, packed_patients, tiny(seed=2), device="cpu")
    tuples = {key: tuple(v) if isinstance(v, list) else v for key, v in UNET.arguments.items()}
    same_settings = replace(tiny(), network=Part(UNET.name, tuples))
    assert fit_run(whole, packed_patients, same_settings, device="cpu").finished


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
