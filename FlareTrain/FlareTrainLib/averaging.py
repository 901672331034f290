"""The mean of several models' weights as a model of its own.

Weights of one training at different steps, or of trainings that went on from the same model, lie in
one basin: their mean is often a little better than each (Izmailov et al. 2018, Wortsman et al.
2022). Weights of trainings that began apart have nothing to do with each other, and their mean is
noise; nothing here can tell, so the result is to be evaluated like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from FlareSegmentLib.bundle import ModelBundle, ModelInfo, save_bundle
from FlareSegmentLib.bundle_info import DESCRIPTION
from FlareSegmentLib.errors import InputError


def average_bundles(
    bundles: Sequence[Path], output: Path, name: str, version: str = "1"
) -> ModelInfo:
    """Write a bundle with the mean weights of others; all else is the first one's.

    Parameters
    ----------
    bundles
        Two or more; the localiser is taken from the first.
    output
        Folder of the new bundle, without a model in it.

    Returns
    -------
    Its description.

    Raises
    ------
    InputError
        If there are fewer than two, they are not of a kind, or `output` holds a model.
    BundleError
        If one of them is damaged.
    OutputError
        If the folder cannot be written.
    """
    if len(bundles) < 2:
        raise InputError(f"An average needs two models or more; {len(bundles)} was given.")
    if (output / DESCRIPTION).exists():
        raise InputError(f"'{output}' holds a model already. Choose another folder.")
    loaded = [ModelBundle.load(bundle) for bundle in bundles]
    first = loaded[0]
    for folder, other in zip(bundles[1:], loaded[1:], strict=True):
        _check_kind(first, other, bundles[0], folder)
    states = [bundle.network().state_dict() for bundle in loaded]
    localiser = first.localiser()
    parts = [{"name": b.name, "sha256": b.sha256} for b in loaded]
    info = replace(first.info, name=name, version=version, facts={"average_of": parts})
    return save_bundle(
        output, info, _mean(states), None if localiser is None else localiser.state_dict()
    )


def _check_kind(first: ModelBundle, other: ModelBundle, one: Path, two: Path) -> None:
    """Raise InputError where two bundles differ in more than their weights."""
    ours, theirs = (asdict(replace(b.info.network, sha256="")) for b in (first, other))
    ours["targets"], theirs["targets"] = first.info.targets, other.info.targets
    ours["activation"], theirs["activation"] = first.info.activation, other.info.activation
    for key, value in ours.items():
        if theirs[key] != value:
            raise InputError(
                f"The models in '{one}' and '{two}' differ in {key}: {value} and {theirs[key]}. "
                "Only models of the same kind, from one training, can be averaged."
            )


def _mean(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    mean = {}
    for key, value in states[0].items():
        values = torch.stack([state[key] for state in states])
        # What is no number, such as whether norms were measured, is the same or the models differ.
        if value.is_floating_point():
            mean[key] = values.mean(0)
        elif bool((values == value).all()):
            mean[key] = value
        else:
            raise InputError(
                f"The models differ in '{key}', which cannot be averaged: of one the norms are "
                "fixed, of another they are not yet. Take models from later in the training."
            )
    return mean
