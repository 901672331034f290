"""Everything that decides how a network is trained, as data; reading it needs no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from FlareSegmentLib.errors import InputError

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

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "report_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be at least 1")
        if not 0 <= self.average < 1:
            raise ValueError(f"average is {self.average}, but must be from 0 to below 1")


@dataclass(frozen=True)
class SamplingSettings:
    """How crops are drawn.

    Attributes
    ----------
    patches
        Crop sizes (k, j, i) voxels; one is drawn per batch. Flat ones teach scans that show a
        few centimetres only.
    patch_weights
        Relative frequencies of the sizes; empty for equal ones.
    foreground
        Probability that the crop is centred on a labelled voxel.
    class_balanced
        Draw a class first, then a scan that has it, so that rare organs are seen as often;
        otherwise draw the scan first.
    tumor_bias
        Probability that such a voxel is a tumor's where there is one (P3's code: 0.8).
    negative
        Probability of a scan that holds none of the targets, if there is one.
    by_type
        Draw all crops of a batch from scans with the same annotated targets (P3).
    full_fraction
        Share of batches from scans with all organs annotated; None for their share of scans.
    full_first
        Batches at the start from such scans only (P3's code: 150 of 1200 epochs).
    """

    patches: tuple[tuple[int, int, int], ...] = (
        (80, 128, 144),
        (64, 144, 160),
        (48, 144, 208),
        (32, 160, 224),
        (16, 192, 240),
    )
    patch_weights: tuple[float, ...] = (0.4, 0.25, 0.17, 0.12, 0.06)
    foreground: float = 0.65
    class_balanced: bool = True
    tumor_bias: float = 0.0
    negative: float = 0.06
    by_type: bool = False
    full_fraction: float | None = None
    full_first: int = 0

    def __post_init__(self) -> None:
        if not self.patches:
            raise ValueError("patches is empty, but must hold at least one size")
        if self.patch_weights and len(self.patch_weights) != len(self.patches):
            raise ValueError(
                f"there are {len(self.patches)} patches but {len(self.patch_weights)} "
                "patch_weights: give as many, or none"
            )


@dataclass(frozen=True)
class AugmentationSettings:
    """Strengths and probabilities; intensities are in HU. Left and right are never exchanged.

    Attributes
    ----------
    spatial
        Probability of rotation, scaling and elastic deformation; a plain crop otherwise.
    rotation
        Largest rotation about each axis, degrees.
    scale
        Largest factor of enlargement or reduction, per axis up to a fifth of it more.
    elastic_mm
        Largest standard deviation of the displacement field.
    shift, contrast, noise
        Brightness shift (HU), contrast factor away from one, noise standard deviation (HU).
    gamma
        Largest exponent, or its inverse, over the soft-tissue window; 1 for none.
    low_resolution
        Probability of simulating thick slices (up to 6 mm).
    blur
        Probability of Gaussian smoothing (soft kernels).
    recolor, recolor_hu
        Probability and standard deviation of an offset per organ (contrast phases).
    """

    spatial: float = 0.6
    rotation: float = 12.0
    scale: float = 1.25
    elastic_mm: float = 6.0
    shift: float = 35.0
    contrast: float = 0.15
    noise: float = 30.0
    gamma: float = 1.0
    low_resolution: float = 0.25
    blur: float = 0.15
    recolor: float = 0.25
    recolor_hu: float = 25.0


@dataclass(frozen=True)
class TumorSettings:
    """How synthetic tumors are drawn.

    Attributes
    ----------
    probability
        Probability that a crop gets tumors.
    hosts
        Target ids of organs that may hold one: liver, kidneys, pancreas. Not the stomach: a drawn
        mass looks like wall or food, and teaches that the duodenum is tumor.
    host_weights
        Relative frequency of the hosts.
    radius_mm
        Smallest and largest mean radius; log-uniform.
    largest_elsewhere_mm
        Largest mean radius outside the liver.
    drop_hu
        Smallest and largest fall of intensity of solid tumors in an organ of 110 HU; less in a
        darker organ, more in a brighter one, in proportion.
    most
        Largest number of tumors in a crop.
    """

    probability: float = 0.4
    hosts: tuple[int, ...] = (1, 2, 13, 4)
    host_weights: tuple[float, ...] = (0.6, 0.15, 0.15, 0.1)
    radius_mm: tuple[float, float] = (3.0, 32.0)
    largest_elsewhere_mm: float = 20.0
    drop_hu: tuple[float, float] = (15.0, 75.0)
    most: int = 6


@dataclass(frozen=True)
class CutMixSettings:
    """Context-aware tumor objects and CutMix (P3, section 2.2).

    The paper gives the margins in voxels of its coarse grid, (2.5, 1.5, 1.5) mm, and does not
    say whether per side: here they are millimetres per side, half of the paper's extension.

    Attributes
    ----------
    probability
        Probability that a crop without labelled tumors gets an object (P3: 1); 0 for none.
    margin_mm
        Smallest and largest margin along k, and along j and i, drawn per object.
    smallest_ml
        Tumors smaller than this are not taken (P3's code: 50 voxels).
    match_host
        Probability of placing an object in the organ it came from, where that is in the crop;
        anywhere within the box around all organs otherwise.
    feather_mm
        Width over which the image, not the labels, fades into the scan; 0 is P3's hard border.
    tumor_free
        Whether scans known to hold no tumor get objects too, not only those not annotated.
    """

    probability: float = 0.0
    margin_mm: tuple[tuple[float, float], tuple[float, float]] = ((10.0, 20.0), (18.0, 24.0))
    smallest_ml: float = 0.2
    match_host: float = 0.5
    feather_mm: float = 4.0
    tumor_free: bool = True


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
