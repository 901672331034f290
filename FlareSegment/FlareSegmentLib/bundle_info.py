"""What `model.json` says of a model: networks, grids, targets, how to run it, facts for people.

Read without torch, so that a list of models takes no time.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BundleError
from .labels import targets
from .resources import resources_folder

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
"""Version of `model.json`; raised when an older FlareSegment could misread a newer bundle."""

DESCRIPTION = "model.json"

DEFAULT_MODEL = "flare-base"


@dataclass(frozen=True)
class IntensityStatistics:
    """How HU become network input: ``(clip(x, lowest, highest) - mean) / scale``."""

    lowest: float
    highest: float
    mean: float
    scale: float

    def __post_init__(self) -> None:
        if not (self.lowest < self.highest and self.scale > 0):
            raise ValueError(
                f"intensity from {self.lowest} to {self.highest} by a scale of {self.scale}: the "
                "first must be below the second, and the scale above 0"
            )

    def normalise(self, image: Tensor) -> Tensor:
        """Normalised copy of HU values of any shape."""
        return image.clamp(self.lowest, self.highest).sub_(self.mean).div_(self.scale)


@dataclass(frozen=True)
class NetworkEntry:
    """One network of a bundle: what to build, where its weights are, and on which grid it works.

    Attributes
    ----------
    name, arguments
        For `network.build_network`.
    weights
        File name inside the bundle.
    sha256
        Of the weights file.
    spacing
        Working grid (k, j, i) mm; empty when `fixed_size` is given.
    patch
        Largest window (k, j, i) voxels; a network with fixed norms is given larger ones.
    fixed_size
        Whole-volume grid (k, j, i) voxels instead of a spacing (P4), or empty.
    intensity
        Intensity statistics.
    """

    name: str
    arguments: dict[str, Any]
    weights: str
    sha256: str
    spacing: tuple[float, ...]
    patch: tuple[int, ...]
    intensity: IntensityStatistics
    fixed_size: tuple[int, ...] = ()


UPSAMPLINGS = ("logits", "labels")


@dataclass(frozen=True)
class BundleInference:
    """How a model wants to be run, where that differs from the engine's way.

    Everyone who runs the bundle gets what its training was validated with.

    Attributes
    ----------
    step
        Distance of neighbouring windows as a share of the window.
    upsampling
        "logits" (exact), or "labels" (P1's fast inference).
    largest_only
        Keep only the largest component of every organ (P2, P4); tumors are exempt.
    window_filter
        Leave out rows of windows whose middle holds no organ (P3).
    tumor_outside
        Largest share of a tumor's surroundings that may lie outside all organs.
    logit_offsets
        Added to the logits of these targets: below zero draws them smaller.
    """

    step: float = 0.75
    upsampling: str = "logits"
    largest_only: bool = False
    window_filter: bool = False
    tumor_outside: float = 1.0
    logit_offsets: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.step <= 1:
            raise ValueError(f"step is {self.step}, but must be above 0 and at most 1")
        if self.upsampling not in UPSAMPLINGS:
            known = " or ".join(UPSAMPLINGS)
            raise ValueError(f"upsampling is '{self.upsampling}', but must be {known}")
        if not 0 <= self.tumor_outside <= 1:
            raise ValueError(f"tumor_outside is {self.tumor_outside}, but must be from 0 to 1")
        known_keys = {target.key for target in targets()}
        for key, offset in self.logit_offsets.items():
            if key not in known_keys or not math.isfinite(offset):
                raise ValueError(f"logit_offsets gives {offset} for '{key}'")


@dataclass(frozen=True)
class ModelInfo:
    """Content of `model.json`.

    Attributes
    ----------
    name, version
        Of the model.
    targets
        Keys of the targets in channel order.
    activation
        "softmax" (channel 0 is background) or "sigmoid" (one channel per target).
    network
        The network that segments.
    localiser
        The coarse network that finds the region of interest, or None.
    facts
        Everything for people: training data with licences, licence of the weights, scores.
    inference
        How the model wants to be run.
    """

    name: str
    version: str
    targets: tuple[str, ...]
    activation: str
    network: NetworkEntry
    localiser: NetworkEntry | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    inference: BundleInference = BundleInference()

    @property
    def target_ids(self) -> tuple[int, ...]:
        """FLARE ids of the targets in channel order."""
        ids = {target.key: target.id for target in targets()}
        return tuple(ids[key] for key in self.targets)


def bundled_model() -> Path:
    """Folder of the model that comes with the extension."""
    return resources_folder() / "Models" / DEFAULT_MODEL


def read_info(folder: Path) -> ModelInfo:
    """Read and check `model.json` without touching the weights.

    Raises
    ------
    BundleError
        If it is missing, is not JSON, has an unknown format version or misses an entry.
    """
    path = folder / DESCRIPTION
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleError(
            f"'{folder}' is not a model: it has no model.json. Choose the folder that contains "
            "model.json and the weights."
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BundleError(
            f"'{path}' cannot be read as JSON ({error}). The model is damaged or only partly "
            "copied; copy it again."
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else None
        raise BundleError(
            f"'{path}' has format version {found!r}; this FlareSegment reads version {FORMAT}. "
            "Install the FlareSegment version that made the model, or export the model again."
        )
    try:
        return _info_from_json(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(
            f"'{path}' misses or misstates an entry: {error}. Export the model again."
        ) from error


def _check_axes(key: str, values: list[float]) -> None:
    """Raise `ValueError` unless there is nothing, or one positive number for each axis."""
    if values and (len(values) != 3 or not all(value > 0 for value in values)):
        raise ValueError(f"{key} must be three positive numbers, found {values}")


def _entry_from_json(content: dict[str, Any]) -> NetworkEntry:
    weights = content["weights"]
    if Path(weights).name != weights:
        raise ValueError(f"weights must be a file name, found '{weights}'")
    for key in ("spacing", "patch", "fixed_size"):
        _check_axes(key, content.get(key, []))
    return NetworkEntry(
        name=content["name"],
        arguments=dict(content["arguments"]),
        weights=weights,
        sha256=content["sha256"],
        spacing=tuple(float(x) for x in content["spacing"]),
        patch=tuple(int(x) for x in content["patch"]),
        intensity=IntensityStatistics(**{k: float(v) for k, v in content["intensity"].items()}),
        fixed_size=tuple(int(x) for x in content.get("fixed_size", [])),
    )


def _info_from_json(content: dict[str, Any]) -> ModelInfo:
    known = {target.key for target in targets()}
    unknown = [key for key in content["targets"] if key not in known]
    if unknown:
        raise ValueError(f"unknown targets {', '.join(map(str, unknown))}")
    if content["activation"] not in ("softmax", "sigmoid"):
        raise ValueError(f"activation '{content['activation']}' is not softmax or sigmoid")
    localiser = content.get("localiser")
    return ModelInfo(
        name=str(content["name"]),
        version=str(content["version"]),
        targets=tuple(content["targets"]),
        activation=content["activation"],
        network=_entry_from_json(content["network"]),
        localiser=None if localiser is None else _entry_from_json(localiser),
        facts=dict(content.get("facts", {})),
        inference=BundleInference(**content.get("inference", {})),
    )


def _entry_to_json(entry: NetworkEntry) -> dict[str, Any]:
    content = dict(entry.__dict__)
    content["intensity"] = dict(entry.intensity.__dict__)
    return content


def info_to_json(info: ModelInfo) -> dict[str, Any]:
    """Give the content of `model.json`."""
    return {
        "format": FORMAT,
        "name": info.name,
        "version": info.version,
        "targets": list(info.targets),
        "activation": info.activation,
        "network": _entry_to_json(info.network),
        "localiser": None if info.localiser is None else _entry_to_json(info.localiser),
        "inference": asdict(info.inference),
        "facts": info.facts,
    }
