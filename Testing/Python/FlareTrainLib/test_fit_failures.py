"""What goes wrong in a training: numbers that are none, a full disk, settings that do not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_parts import UNET, state_of, tiny, trainer_of

from FlareSegmentLib.errors import FlareError, InputError, OutputError
from FlareTrainLib import training_log
from FlareTrainLib.crop_settings import SamplingSettings
from FlareTrainLib.fit import fit, fit_run
from FlareTrainLib.settings import Part
from FlareTrainLib.trainer import RECOVERIES


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
