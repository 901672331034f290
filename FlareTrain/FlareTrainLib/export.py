"""From training runs to a bundle that FlareSegment loads."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from FlareSegmentLib.bundle import IntensityStatistics, ModelInfo, NetworkEntry, save_bundle
from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import target_by_id

from .grid import PackSettings
from .recipe import Inference
from .training_settings import TrainingSettings, completed, settings_of_run


@dataclass(frozen=True)
class TrainedNetwork:
    """A training run, the grid its cases were packed on, and the largest window (k, j, i)."""

    run: Path
    grid: PackSettings
    patch: tuple[int, ...]


def read_run(run: Path) -> tuple[TrainingSettings, dict[str, Tensor], int]:
    """Settings, weights and step of a run: the best validated weights, or the newest averaged.

    Raises
    ------
    InputError
        If the folder holds no checkpoint, or a damaged one.
    """
    best, newest = run / "best.pt", run / "checkpoint.pt"
    if not newest.is_file() or not (run / "run.json").is_file():
        raise InputError(
            f"'{run}' holds no training run: run.json or checkpoint.pt is missing. Choose the "
            "folder that was given as --run when training."
        )
    settings = completed(settings_of_run(run))
    path = best if best.is_file() else newest
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return settings, state["averaged"], int(state["step"])
    except (pickle.UnpicklingError, RuntimeError, KeyError, EOFError) as error:
        raise InputError(
            f"'{path}' is damaged and cannot be read. Start the training again to go on from "
            "nothing, or copy the run anew."
        ) from error


def network_entry(
    settings: TrainingSettings, weights: str, grid: PackSettings, patch: tuple[int, ...]
) -> NetworkEntry:
    """Give a bundle's description of the network that a run trains."""
    return NetworkEntry(
        name=settings.network.name,
        arguments=settings.network.arguments,
        weights=weights,
        sha256="",
        spacing=() if grid.fixed_size else grid.spacing,
        patch=patch,
        intensity=IntensityStatistics(*settings.fit.intensity),
        fixed_size=grid.fixed_size,
    )


def export_bundle(
    folder: Path,
    name: str,
    version: str,
    network: TrainedNetwork,
    localiser: TrainedNetwork | None = None,
    facts: Mapping[str, Any] | None = None,
    weights: Mapping[str, Tensor] | None = None,
    inference: Inference = Inference(),
) -> ModelInfo:
    """Write the weights of a run, and of a localiser's run, as a bundle.

    Parameters
    ----------
    facts
        For people: data, licenses, scores.
    weights
        Of the network, instead of those in its run: for validation while it trains.
    inference
        How the model is run; the bundle carries it.

    Raises
    ------
    InputError
        If a run holds no checkpoint, or the two do not fit together.
    OutputError
        If the folder cannot be written.
    """
    if weights is None:
        settings, weights, step = read_run(network.run)
    else:
        settings, step = completed(settings_of_run(network.run)), 0
    entry, localiser_weights = None, None
    if localiser is not None:
        coarse, localiser_weights, _ = read_run(localiser.run)
        if coarse.targets != settings.targets or coarse.activation != settings.activation:
            raise InputError(
                f"The localiser in {localiser.run} has other targets, or a loss of another kind, "
                f"than the network in {network.run}. Train both with the same ones."
            )
        entry = network_entry(coarse, "localiser.pt", localiser.grid, localiser.patch)
    info = ModelInfo(
        name=name,
        version=version,
        targets=tuple(target_by_id(label).key for label in settings.targets),
        activation=settings.activation,
        network=network_entry(settings, "weights.pt", network.grid, network.patch),
        localiser=entry,
        facts={"steps": step, **(facts or {})},
        inference=inference.for_bundle(),
    )
    return save_bundle(folder, info, weights, localiser_weights)
