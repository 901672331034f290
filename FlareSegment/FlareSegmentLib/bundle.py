"""Model bundles: a folder with `model.json` and the weights, checked before anything is used.

Weights are plain `state_dict` files. Their SHA-256 stands in `model.json`, loading never
unpickles code, and whatever does not fit is refused with a sentence.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .errors import BundleError, OutputError
from .labels import targets
from .network import build_network
from .resources import resources_folder

FORMAT = 1
"""Version of `model.json`; raised when an older FlareSegment could misread a newer bundle."""

DEFAULT_MODEL = "flare-base"


@dataclass(frozen=True)
class IntensityStatistics:
    """How HU become network input: ``(clip(x, lowest, highest) - mean) / scale``."""

    lowest: float
    highest: float
    mean: float
    scale: float

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
        Largest window (k, j, i) voxels.
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
    """

    step: float = 0.75
    upsampling: str = "logits"
    largest_only: bool = False
    window_filter: bool = False
    tumor_outside: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.step <= 1:
            raise ValueError(f"step is {self.step}, but must be above 0 and at most 1")
        if self.upsampling not in UPSAMPLINGS:
            known = " or ".join(UPSAMPLINGS)
            raise ValueError(f"upsampling is '{self.upsampling}', but must be {known}")
        if not 0 <= self.tumor_outside <= 1:
            raise ValueError(f"tumor_outside is {self.tumor_outside}, but must be from 0 to 1")


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


class ModelBundle:
    """A verified bundle with its networks ready to build."""

    def __init__(
        self,
        info: ModelInfo,
        weights: Mapping[str, Tensor],
        localiser_weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.info = info
        self._weights = weights
        self._localiser_weights = localiser_weights

    @property
    def name(self) -> str:
        """Name and version, for reports."""
        return f"{self.info.name} {self.info.version}"

    @property
    def sha256(self) -> str:
        """Hash of the main network's weights, for reports."""
        return self.info.network.sha256

    def network(self) -> nn.Module:
        """The segmenting network in float32, in evaluation mode."""
        return _filled(self.info.network, self._weights)

    def localiser(self) -> nn.Module | None:
        """The localising network in float32, in evaluation mode, if the bundle has one."""
        if self.info.localiser is None or self._localiser_weights is None:
            return None
        return _filled(self.info.localiser, self._localiser_weights)

    @classmethod
    def load(cls, folder: Path | str) -> ModelBundle:
        """Load and verify the bundle in `folder`.

        Raises
        ------
        BundleError
            If a file is missing, unreadable, altered, of another format version, or does not fit
            the network it is for.
        """
        folder = Path(folder)
        info = read_info(folder)
        bundle = cls(
            info,
            _read_weights(folder, info.network),
            None if info.localiser is None else _read_weights(folder, info.localiser),
        )
        # Shapes are checked here, not in the middle of a run.
        bundle.network()
        bundle.localiser()
        return bundle


def bundled_model() -> Path:
    """Folder of the model that comes with the extension."""
    return resources_folder() / "Models" / DEFAULT_MODEL


def model_folders() -> list[Path]:
    """Folders of all models that come with the extension."""
    return sorted(path.parent for path in (resources_folder() / "Models").glob("*/model.json"))


def read_info(folder: Path) -> ModelInfo:
    """Read and check `model.json` without touching the weights.

    Raises
    ------
    BundleError
        If it is missing, is not JSON, has an unknown format version or misses an entry.
    """
    path = folder / "model.json"
    if not path.is_file():
        raise BundleError(
            f"'{folder}' is not a model: it has no model.json. Choose the folder that contains "
            "model.json and the weights."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
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
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"'{path}' misses or misstates an entry: {error}. Export the model again."
        ) from error


def save_bundle(
    folder: Path,
    info: ModelInfo,
    weights: Mapping[str, Tensor],
    localiser_weights: Mapping[str, Tensor] | None = None,
    half: bool = True,
) -> ModelInfo:
    """Write a bundle; `model.json` goes last, so that a half-written bundle is never loaded.

    Parameters
    ----------
    folder
        Made when missing; an existing bundle in it is replaced.
    info
        `sha256` entries are filled in here.
    half
        Store floating-point weights in float16: half the size. They are loaded as float32.

    Returns
    -------
    The info with its hashes.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.json").unlink(missing_ok=True)
        network = _write_weights(folder, info.network, weights, half)
        localiser = info.localiser
        if localiser is not None and localiser_weights is not None:
            localiser = _write_weights(folder, localiser, localiser_weights, half)
        info = replace(info, network=network, localiser=localiser)
        temporary = folder / ".model.json.part"
        temporary.write_text(json.dumps(_info_to_json(info), indent=2) + "\n", encoding="utf-8")
        temporary.replace(folder / "model.json")
    except OSError as error:
        raise OutputError(
            f"The model cannot be written to '{folder}': {error.strerror or error}. Choose a "
            "folder that is writable and has free space."
        ) from error
    return info


def _filled(entry: NetworkEntry, weights: Mapping[str, Tensor]) -> nn.Module:
    network = build_network(entry.name, entry.arguments)
    floats = {k: v.float() if v.is_floating_point() else v for k, v in weights.items()}
    try:
        network.load_state_dict(floats)
    except RuntimeError as error:
        reason = str(error).split("\n")[1].strip() if "\n" in str(error) else str(error)
        raise BundleError(
            f"The weights in '{entry.weights}' do not fit the network '{entry.name}' that "
            f"model.json describes: {reason} Copy the whole model folder again."
        ) from error
    return network.eval()


def _read_weights(folder: Path, entry: NetworkEntry) -> dict[str, Tensor]:
    path = folder / entry.weights
    if not path.is_file():
        raise BundleError(
            f"The model in '{folder}' is incomplete: '{entry.weights}' is missing. Copy the "
            "whole folder again."
        )
    found = file_sha256(path)
    if found != entry.sha256:
        raise BundleError(
            f"'{path}' is not the file the model was published with: its SHA-256 starts with "
            f"{found[:12]}, model.json says {entry.sha256[:12]}. It is damaged, half written or "
            "altered; copy the model again."
        )
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError) as error:
        raise BundleError(
            f"'{path}' is not a plain weights file and was not loaded, because such a file can "
            "run code. Export the model as a state_dict."
        ) from error
    if not isinstance(weights, dict) or not all(isinstance(v, Tensor) for v in weights.values()):
        raise BundleError(
            f"'{path}' holds something else than named tensors. Export the model as a state_dict."
        )
    return weights


def _write_weights(
    folder: Path, entry: NetworkEntry, weights: Mapping[str, Tensor], half: bool
) -> NetworkEntry:
    stored = {
        key: value.detach().cpu().half() if half and value.is_floating_point() else value.cpu()
        for key, value in weights.items()
    }
    temporary = folder / f".{entry.weights}.part"
    torch.save(stored, temporary)
    sha256 = file_sha256(temporary)
    temporary.replace(folder / entry.weights)
    return NetworkEntry(**{**entry.__dict__, "sha256": sha256})


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entry_from_json(content: dict[str, Any]) -> NetworkEntry:
    weights = content["weights"]
    if Path(weights).name != weights:
        raise ValueError(f"weights must be a file name, found '{weights}'")
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


def _info_to_json(info: ModelInfo) -> dict[str, Any]:
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
