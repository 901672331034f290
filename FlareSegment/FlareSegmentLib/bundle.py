"""Model bundles: a folder with `model.json` and the weights, checked before anything is used.

Weights are plain `state_dict` files. Their SHA-256 stands in `model.json`, loading never
unpickles code, and whatever does not fit is refused with a sentence.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from .bundle_info import (
    DESCRIPTION,
    BundleInference,
    IntensityStatistics,
    ModelInfo,
    NetworkEntry,
    bundled_model,
    info_to_json,
    read_info,
)
from .errors import BundleError, OutputError
from .network import build_network

__all__ = [
    "BundleInference",
    "IntensityStatistics",
    "ModelBundle",
    "ModelInfo",
    "NetworkEntry",
    "bundled_model",
    "read_info",
    "save_bundle",
]


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


def save_bundle(
    folder: Path,
    info: ModelInfo,
    weights: Mapping[str, Tensor],
    localiser_weights: Mapping[str, Tensor] | None = None,
    half: bool = True,
) -> ModelInfo:
    """Write a bundle; a model that was in the folder stays until the new one is on the disk.

    `model.json` goes last, so that a half-written bundle is never loaded.

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
        with _parts(folder) as part:
            network = _write_weights(part, info.network, weights, half)
            localiser = info.localiser
            if localiser is not None and localiser_weights is not None:
                localiser = _write_weights(part, localiser, localiser_weights, half)
            info = replace(info, network=network, localiser=localiser)
            text = json.dumps(info_to_json(info), indent=2) + "\n"
            part(DESCRIPTION).write_text(text, encoding="utf-8")
            # Everything has its place on the disk now. Without the old description, whatever
            # happens between the next lines leaves no model rather than a mixed one.
            (folder / DESCRIPTION).unlink(missing_ok=True)
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
    try:
        found = file_sha256(path)
    except OSError as error:
        raise BundleError(
            f"'{path}' cannot be read ({error.strerror or error}). Change its access rights, or "
            "copy the model again."
        ) from error
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


@contextmanager
def _parts(folder: Path) -> Iterator[Callable[[str], Path]]:
    """Give temporary names for files of `folder`, which get their own, in order, at the end."""
    made: dict[str, Path] = {}

    def part(name: str) -> Path:
        return made.setdefault(name, folder / f".{name}.part")

    try:
        yield part
        for name, path in made.items():
            path.replace(folder / name)
    finally:
        for path in made.values():
            path.unlink(missing_ok=True)


def _write_weights(
    part: Callable[[str], Path], entry: NetworkEntry, weights: Mapping[str, Tensor], half: bool
) -> NetworkEntry:
    stored = {
        key: value.detach().cpu().half() if half and value.is_floating_point() else value.cpu()
        for key, value in weights.items()
    }
    # torch reports a full disk as an internal error, so it writes into memory only.
    content = io.BytesIO()
    torch.save(stored, content)
    part(entry.weights).write_bytes(content.getbuffer())
    return replace(entry, sha256=hashlib.sha256(content.getbuffer()).hexdigest())


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
