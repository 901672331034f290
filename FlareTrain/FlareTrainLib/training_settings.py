"""Everything that decides how a network is trained, as data; reading it needs no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from FlareSegmentLib.errors import InputError

from .crop_settings import (
    AugmentationSettings,
    CutMixSettings,
    SamplingSettings,
    TumorSettings,
)
from .settings import Part, read_json, settings_from_json, settings_to_json, write_json
from .text_embeddings import SHIPPED, load_text_embeddings
from .whole_files import made_folder

SIGMOID_LOSSES = ("selected_partial", "masked_bce_dice", "bce_dice")
"""Losses of `losses.LOSSES` with a sigmoid per target; the others have one softmax."""


@dataclass(frozen=True)
class FitSettings:
    """The optimisation.

    Attributes
    ----------
    steps
        Length of the run, and of the learning-rate schedule, in optimiser steps.
    batch
        Crops per step, over all processes together.
    learning_rate
        Peak rate.
    average
        Decay of the running average of the weights, which is what is validated and exported;
        0 keeps the weights themselves.
    clip
        Largest gradient norm.
    intensity
        Lowest HU, highest HU, mean and scale: x -> (clip(x) - mean) / scale.
    precision
        "auto", "float32", "bfloat16" or "float16"; weights are float32 always.
    coarsest
        Whether the coarsest output counts in deep supervision (P3, P5); nnU-Net leaves it out.
    prefetch
        Batches made ready in the background; 0 makes each one when it is needed, -1 is two on a
        GPU and none on a CPU.
    seed
        Seed of weights and crops.
    report_every, validate_every
        Steps between two lines of the log, and between two validations (0: at the end only).
    save_every
        Seconds between two checkpoints.
    norms_fixed_from
        Share of the steps after which a network with "fixed" norms keeps the statistics of its
        windows, measured then; until then it normalises by each window's own.
    """

    steps: int = 4000
    batch: int = 1
    learning_rate: float = 1.2e-3
    average: float = 0.995
    clip: float = 3.0
    intensity: tuple[float, float, float, float] = (-500.0, 500.0, 40.0, 140.0)
    precision: str = "auto"
    coarsest: bool = False
    prefetch: int = -1
    seed: int = 1
    report_every: int = 20
    validate_every: int = 0
    save_every: float = 120.0
    norms_fixed_from: float = 0.5

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "report_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be at least 1")
        if not 0 <= self.average < 1:
            raise ValueError(f"average is {self.average}, but must be from 0 to below 1")
        if not 0 <= self.norms_fixed_from <= 1:
            raise ValueError(
                f"norms_fixed_from is {self.norms_fixed_from}, but must be from 0 to 1"
            )


@dataclass(frozen=True)
class TrainingSettings:
    """A whole training; the section "training" of a recipe.

    Attributes
    ----------
    network
        Of `FlareSegmentLib.network.NETWORKS`; `completed` fills in the number of channels.
    loss
        Of `losses.LOSSES`.
    optimizer, schedule
        Of `optimizers.OPTIMIZERS` and `optimizers.SCHEDULES`.
    targets
        FLARE ids in channel order. A labelled organ that is no target is background; where
        tumor is no target, tumor voxels are unknown.
    text_embeddings
        File with one text embedding per target for P2's network; empty for the shipped one.
    initial
        Bundle whose weights the training starts with: its folder, or the name of an available
        model; empty for random weights.
    initial_part
        Which of the bundle's networks.
    """

    network: Part = field(default_factory=lambda: Part("SubvoxelUNet"))
    loss: Part = field(default_factory=lambda: Part("marginal"))
    optimizer: Part = field(default_factory=lambda: Part("adamw"))
    schedule: Part = field(default_factory=lambda: Part("cosine"))
    fit: FitSettings = field(default_factory=FitSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    tumors: TumorSettings = field(default_factory=TumorSettings)
    cutmix: CutMixSettings = field(default_factory=CutMixSettings)
    targets: tuple[int, ...] = tuple(range(1, 15))
    text_embeddings: str = ""
    initial: str = ""
    initial_part: Literal["network", "localiser"] = "network"

    @property
    def activation(self) -> str:
        """Give "softmax" or "sigmoid", which the loss decides."""
        return "sigmoid" if self.loss.name in SIGMOID_LOSSES else "softmax"

    @property
    def channels(self) -> int:
        """Output channels: one per target, and background before a softmax."""
        return len(self.targets) + (self.activation == "softmax")


TEXT_NETWORK = "TextSegResNet"


def completed(settings: TrainingSettings) -> TrainingSettings:
    """Settings whose network has the arguments that follow from the rest.

    Raises
    ------
    InputError
        If an argument contradicts the rest.
    """
    wanted: dict[str, Any]
    if settings.network.name == TEXT_NETWORK:
        array = load_text_embeddings(Path(settings.text_embeddings or SHIPPED), settings.targets)
        wanted = {"classes": settings.channels, "text_features": int(array.shape[1])}
    else:
        wanted = {"channels": settings.channels}
    arguments = dict(settings.network.arguments)
    for key, value in wanted.items():
        if arguments.setdefault(key, value) != value:
            raise InputError(
                f"The network '{settings.network.name}' is given {key} = {arguments[key]}, but "
                f"{len(settings.targets)} targets with the loss '{settings.loss.name}' need "
                f"{value}. Leave '{key}' out."
            )
    return replace(settings, network=Part(settings.network.name, arguments))


def write_settings(run: Path, settings: TrainingSettings) -> None:
    """Keep the run's settings next to its results."""
    write_json(made_folder(run) / "run.json", settings_to_json(settings))


def settings_of_run(run: Path) -> TrainingSettings:
    """Settings of a run folder.

    Raises
    ------
    InputError
        If run.json is missing or cannot be read.
    """
    content = read_json(run / "run.json")
    if isinstance(content, dict) and "network" not in content:
        return _first_layout(content)
    return settings_from_json(TrainingSettings, content, str(run / "run.json"))


def _first_layout(content: dict[str, Any]) -> TrainingSettings:
    """Settings of a run made before networks and losses had names."""
    content = dict(content)
    known = ("channels", "widths", "stem_stride")
    network: dict[str, Any] = {key: content.pop(key) for key in known if key in content}
    decay, warm_up = content.pop("weight_decay", 1e-2), content.pop("warm_up", 100)
    return TrainingSettings(
        network=Part("SubvoxelUNet", network),
        optimizer=Part("adamw", {"weight_decay": decay}),
        schedule=Part("cosine", {"warm_up": warm_up}),
        fit=settings_from_json(FitSettings, content, "run.json"),
    )
