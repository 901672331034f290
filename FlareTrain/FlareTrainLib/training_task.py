"""A training run from its request: the recipe, then the bundled model on the same cases."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from FlareSegmentLib.errors import FlareError

from .activity import told_in
from .case_split import SPLIT, read_split, split_of, with_split, write_split
from .dataset import read_dataset
from .pipeline import RECIPE, RunArguments, run_recipe
from .run_bundles import BUNDLE

logger = logging.getLogger(__name__)

BUNDLED = "bundled"
"""Folder of the evaluation of the bundled model in a run's folder."""


def train(folder: Path, wanted: dict[str, Any]) -> str:
    """Train, or go on; a sentence about what is there then."""
    with told_in(folder):
        return _train(folder, wanted)


def _train(folder: Path, wanted: dict[str, Any]) -> str:
    begun = folder / RECIPE
    split = read_split(folder / SPLIT)
    if split is None:
        split = split_of(read_dataset(Path(wanted["data"])), wanted.get("fold"))
        write_split(folder / SPLIT, split)
    arguments = RunArguments(
        recipe=str(begun) if begun.is_file() else wanted["recipe"],
        data=Path(wanted["data"]),
        run=folder,
        minutes=wanted.get("minutes"),
        steps=None if begun.is_file() else wanted.get("steps"),
        device=wanted.get("device", "auto"),
        validate=wanted.get("validate", True),
        initial="" if begun.is_file() else wanted.get("initial", ""),
        split=split,
    )
    run_recipe(arguments)
    if arguments.validate and wanted.get("compare", True):
        _evaluate_bundled(folder, arguments)
    return "The model is ready."


def _evaluate_bundled(folder: Path, arguments: RunArguments) -> None:
    """Score the bundled model on the same cases, once; a run is not lost when that fails."""
    from FlareSegmentLib.bundle import bundled_model

    from .evaluation import evaluate_bundle

    output = folder / BUNDLED
    if (output / "evaluation.json").is_file():
        return
    dataset = read_dataset(arguments.data)
    if arguments.split is not None:
        dataset = with_split(dataset, arguments.split)
    if not dataset.validation:
        return
    try:
        model = bundled_model()
        evaluate_bundle(model, dataset.validation, output, arguments.device, values=dataset.values)
    except FlareError as error:
        logger.warning("The bundled model was not compared: %s", error)


def bundle_of(folder: Path) -> Path:
    """Where the run's best bundle is, or will be."""
    return folder / BUNDLE
