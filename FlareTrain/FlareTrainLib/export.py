"""From a run to a bundle that FlareSegment loads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from FlareSegmentLib.bundle import IntensityStatistics, ModelInfo, NetworkEntry, save_bundle
from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import targets
from FlareSegmentLib.network import network_arguments

from .fit import FitSettings


def read_run(run: Path) -> tuple[FitSettings, dict[str, Tensor], int]:
    """Settings, averaged weights and step of a run.

    Raises
    ------
    InputError
        If the folder holds no checkpoint.
    """
    if not (run / "checkpoint.pt").is_file() or not (run / "run.json").is_file():
        raise InputError(
            f"'{run}' holds no training run: run.json or checkpoint.pt is missing. Choose the "
            "folder that was given as --run when training."
        )
    content = json.loads((run / "run.json").read_text(encoding="utf-8"))
    settings = FitSettings(**{k: _tuple(v) for k, v in content.items()})
    state = torch.load(run / "checkpoint.pt", map_location="cpu", weights_only=True)
    return settings, state["averaged"], int(state["step"])


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def network_entry(
    settings: FitSettings, weights: str, spacing: tuple[float, ...], patch: tuple[int, ...]
) -> NetworkEntry:
    """A bundle's description of the network that a run trains."""
    low, high, mean, scale = settings.intensity
    return NetworkEntry(
        name="SubvoxelUNet",
        arguments=network_arguments(settings.network()),
        weights=weights,
        sha256="",
        spacing=spacing,
        patch=patch,
        intensity=IntensityStatistics(low, high, mean, scale),
    )


def export_bundle(
    folder: Path,
    name: str,
    version: str,
    run: Path,
    spacing: tuple[float, ...],
    patch: tuple[int, ...],
    localiser_run: Path | None = None,
    localiser_spacing: tuple[float, ...] = (6.0, 6.0, 6.0),
    localiser_patch: tuple[int, ...] = (192, 128, 128),
    facts: Mapping[str, Any] | None = None,
) -> ModelInfo:
    """Write the averaged weights of a run, and of a localiser's run, as a bundle."""
    settings, weights, step = read_run(run)
    localiser_entry, localiser_weights = None, None
    if localiser_run is not None:
        localiser_settings, localiser_weights, _ = read_run(localiser_run)
        localiser_entry = network_entry(
            localiser_settings, "localiser.pt", localiser_spacing, localiser_patch
        )
    info = ModelInfo(
        name=name,
        version=version,
        targets=tuple(target.key for target in targets()),
        activation="softmax",
        network=network_entry(settings, "weights.pt", spacing, patch),
        localiser=localiser_entry,
        facts={"steps": step, **(facts or {})},
    )
    return save_bundle(folder, info, weights, localiser_weights)
