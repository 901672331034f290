"""Weights of a bundle as the start of a training, so that a model is tuned instead of made anew."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from FlareSegmentLib.bundle_info import DESCRIPTION
from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import target_by_id
from FlareSegmentLib.model_choice import available_models

from .training_settings import TrainingSettings

if TYPE_CHECKING:
    from torch import Tensor

    from FlareSegmentLib.bundle import ModelBundle, NetworkEntry

    from .recipe import NetworkStage, Recipe

logger = logging.getLogger(__name__)


def find_bundle(folder_or_name: str) -> Path:
    """Folder of a bundle that is given as a path, or by the folder name of an available model.

    Raises
    ------
    InputError
        When there is none.
    """
    folder = Path(folder_or_name)
    if (folder / DESCRIPTION).is_file():
        return folder.resolve()
    models = available_models()
    for model in models:
        if folder_or_name in (model.folder.name, model.name):
            return model.folder
    names = ", ".join(model.folder.name for model in models) or "none"
    raise InputError(
        f"There is no model '{folder_or_name}'. Give a folder with {DESCRIPTION}, or the name of "
        f"an available model ({names})."
    )


def initial_weights(
    settings: TrainingSettings, expected: Mapping[str, Tensor], spacing: tuple[float, ...] = ()
) -> dict[str, Tensor]:
    """Weights that a training starts with, in float32.

    Parameters
    ----------
    settings
        Of the training; `initial` is not empty.
    expected
        State of the network that they are for: names and shapes.
    spacing
        Grid (k, j, i) mm of the training, for a warning; empty for none.

    Raises
    ------
    InputError
        When there is no such bundle, or its targets, activation or shapes do not fit.
    BundleError
        When the bundle is damaged.
    """
    from FlareSegmentLib.bundle import ModelBundle
    from FlareSegmentLib.fixed_norm import FIXED_STATISTICS

    bundle = ModelBundle.load(find_bundle(settings.initial))
    _check_targets(settings, bundle)
    entry = bundle.info.network
    network = bundle.network()
    if settings.initial_part == "localiser":
        localiser, entry_or_none = bundle.localiser(), bundle.info.localiser
        if localiser is None or entry_or_none is None:
            raise InputError(
                f"The model '{bundle.name}' has no localiser to start from. Leave its 'initial' "
                "setting out: it is then trained from nothing."
            )
        network, entry = localiser, entry_or_none
    weights = {key: value.detach().clone() for key, value in network.state_dict().items()}
    for key in expected.keys() - weights.keys():
        if key.endswith(FIXED_STATISTICS):
            # The model has instance norms, the network to train will keep their statistics.
            weights[key] = expected[key].clone()
    _check_shapes(settings, entry, weights, expected)
    _warn_of_differences(settings, entry, spacing)
    return weights


def started_from(recipe: Recipe, folder_or_name: str) -> Recipe:
    """Give the recipe with its network, and its localiser where the bundle has one, tuned.

    Raises
    ------
    InputError
        When there is no such bundle.
    """
    from FlareSegmentLib.bundle import read_info

    folder = find_bundle(folder_or_name)
    network = _start(recipe.network, folder, "network")
    localiser = recipe.localiser
    if localiser is not None:
        if read_info(folder).localiser is not None:
            localiser = _start(localiser, folder, "localiser")
        else:
            logger.warning("%s has no localiser: the recipe's is trained from nothing", folder)
    return replace(recipe, network=network, localiser=localiser)


def with_offsets(recipe: Recipe, annotated: Collection[int]) -> Recipe:
    """Give the recipe the logit offsets of the model that its network starts with.

    They answer to how the labels that the model learned from were drawn. Where people drew a
    target by hand for this training, theirs are followed and its offset is not taken over. A
    recipe with offsets of its own keeps these.

    Parameters
    ----------
    annotated
        Target ids that are annotated in some training case.

    Raises
    ------
    InputError
        When there is no such model.
    """
    from FlareSegmentLib.bundle import read_info

    training = recipe.network.training
    if not training.initial or training.initial_part != "network":
        return recipe
    if recipe.inference.logit_offsets:
        return recipe
    theirs = read_info(find_bundle(training.initial)).inference.logit_offsets
    drawn = {target_by_id(label).key for label in annotated}
    kept = {key: value for key, value in theirs.items() if key not in drawn}
    if not kept:
        return recipe
    logger.info(
        "kept the logit offsets of the model to start from for %s, which nobody annotated here",
        ", ".join(kept),
    )
    return replace(recipe, inference=replace(recipe.inference, logit_offsets=kept))


def _start(stage: NetworkStage, folder: Path, part: str) -> NetworkStage:
    training = replace(stage.training, initial=str(folder), initial_part=part)  # type: ignore[arg-type]
    return replace(stage, training=training)


def _check_targets(settings: TrainingSettings, bundle: ModelBundle) -> None:
    wanted = tuple(target_by_id(label).key for label in settings.targets)
    if bundle.info.targets != wanted:
        raise InputError(
            f"The model '{bundle.name}' segments {', '.join(bundle.info.targets)}, but the "
            f"training is for {', '.join(wanted)}. Start from a model with the same targets in the "
            "same order, or give the training the model's targets."
        )
    if bundle.info.activation != settings.activation:
        raise InputError(
            f"The model '{bundle.name}' was trained with a {bundle.info.activation} loss, but "
            f"'{settings.loss.name}' needs {settings.activation}. Choose a loss of its kind, or "
            "another model to start from."
        )


def _check_shapes(
    settings: TrainingSettings,
    entry: NetworkEntry,
    weights: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
) -> None:
    if settings.network.name != entry.name:
        raise InputError(
            f"The model to start from is a {entry.name}, but the training is for a "
            f"{settings.network.name}. Choose a recipe with its network, or another model."
        )
    for key in [*expected, *weights]:
        ours = tuple(expected[key].shape) if key in expected else "nothing"
        theirs = tuple(weights[key].shape) if key in weights else "nothing"
        if ours != theirs:
            raise InputError(
                f"The model to start from has {theirs} where the network to train has {ours} "
                f"('{key}'). Give the network the model's arguments ({entry.arguments}), or start "
                "from another model."
            )


def _warn_of_differences(
    settings: TrainingSettings, entry: NetworkEntry, spacing: tuple[float, ...]
) -> None:
    intensity = entry.intensity
    theirs = (intensity.lowest, intensity.highest, intensity.mean, intensity.scale)
    if theirs != tuple(settings.fit.intensity):
        logger.warning(
            "The model to start from saw intensities as %s, the training shows them as %s: the "
            "first steps will have to undo that.",
            theirs,
            tuple(settings.fit.intensity),
        )
    if spacing and entry.spacing and tuple(spacing) != tuple(entry.spacing):
        logger.warning(
            "The model to start from works at %s mm, the training at %s mm.",
            tuple(entry.spacing),
            tuple(spacing),
        )
