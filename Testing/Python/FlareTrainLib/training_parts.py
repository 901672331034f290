"""The smallest training there is, and what its folder holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from FlareTrainLib.crop_settings import CutMixSettings, SamplingSettings
from FlareTrainLib.packed_cases import load_cases
from FlareTrainLib.packing import read_index
from FlareTrainLib.sampling import CropSampler
from FlareTrainLib.settings import Part, settings_to_json
from FlareTrainLib.trainer import Trainer
from FlareTrainLib.training_settings import (
    FitSettings,
    TrainingSettings,
    completed,
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


def command(run: Path, packed: Path, settings: TrainingSettings) -> list[str]:
    """Words of `flare-train fit` after the interpreter."""
    file = run.parent / "settings.json"
    file.write_text(json.dumps(settings_to_json(settings)))
    words = ["-m", "FlareTrainLib", "fit", "--packed", str(packed), "--folder", str(run)]
    return [*words, "--settings", str(file), "--device", "cpu"]
