"""A recipe on a dataset: pseudo-labels, refinement, packing, training, evaluation, bundle.

The run folder holds everything: ``recipe.json``, ``teachers/<name>/`` and ``pseudo/<source>/``,
``refined/`` with the table of decisions, ``localiser/`` and ``network/`` with a training run each,
``latest/`` with the newest bundle and its evaluation, and ``bundle/``, the best one. Every step
can be stopped; the same command goes on where it was, and does nothing when all is done.
"""

from __future__ import annotations

import hashlib
import logging
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from FlareSegmentLib.errors import Cancelled, InputError
from FlareSegmentLib.run_progress import duration_text

from .activity import tell
from .case_split import RunSplit, with_split
from .dataset import Dataset, check_trainable, read_dataset
from .initial_weights import started_from, with_offsets
from .pseudo_labels import JobRunner, label_scans
from .recipe import NetworkStage, Recipe, Teacher, read_recipe
from .refinement import DECISIONS, RefinedCase, refine_dataset
from .run_bundles import BUNDLE, RunBundles
from .settings import read_json, settings_from_json, settings_to_json, write_json
from .teacher_cases import teacher_cases, without_fold
from .validation_check import check_validation
from .whole_files import made_folder

if TYPE_CHECKING:
    from .export import TrainedNetwork
    from .run_bundles import Validation

from .torch_version import check_torch

logger = logging.getLogger(__name__)

RECIPE = "recipe.json"
FINISHED = "finished.json"
DIGEST = "checksums"
"""How packed data is told from other data."""


@dataclass(frozen=True)
class RunArguments:
    """What ``flare-train run`` takes.

    Attributes
    ----------
    recipe
        Name of a shipped recipe, or a JSON file.
    data, run
        Dataset folder and run folder.
    minutes
        Minutes of training in this call, for all networks together; labeling, packing and the
        scores at the end come on top. None trains every schedule to its end.
    steps
        Other length of every schedule, or None for the recipe's.
    device
        "auto", "cpu" or "cuda".
    validate
        Whether bundles are scored on the validation cases.
    runner
        Who labels with the teachers; None labels here.
    initial
        Bundle (folder or name) whose weights network and localiser start with; empty for what the
        recipe says.
    split
        Cases to train on and to judge by; None for the dataset's own.
    """

    recipe: str
    data: Path
    run: Path
    minutes: float | None = None
    steps: int | None = None
    device: str = "auto"
    validate: bool = True
    runner: JobRunner | None = None
    initial: str = ""
    split: RunSplit | None = None


def run_recipe(arguments: RunArguments) -> Path:
    """Make a model from a dataset, or go on making it; the folder of the best bundle.

    Raises
    ------
    InputError
        When the recipe or the dataset cannot be used, or the run was begun with others.
    Cancelled
        When a signal ended a training; everything is saved.
    """
    check_torch()
    recipe = _recipe_of_run(arguments)
    dataset = read_dataset(arguments.data)
    if arguments.split is not None:
        dataset = with_split(dataset, arguments.split)
    check_trainable(dataset)
    for note in dataset.notes:
        logger.warning(note)
    if arguments.validate:
        check_validation(dataset, arguments.run)
    # Not part of recipe.json: they follow from the model and the cases, as the labels do.
    recipe = with_offsets(recipe, {label for case in dataset.cases for label in case.annotated})
    run = _Run(arguments, recipe, dataset)
    sources: dict[str, Path] = {}
    for teacher in recipe.teachers:
        sources |= run.teach(teacher, {**sources, **dataset.sources})
    refined_folder = arguments.run / "refined"
    tell("comparing")
    refined = refine_dataset(dataset, {**sources, **dataset.sources}, recipe.refine, refined_folder)
    logger.info(
        "%d of %d cases are trained on; %s says why",
        len(refined),
        len(dataset.cases),
        refined_folder / f"{DECISIONS}.csv",
    )
    localiser = None
    if recipe.localiser is not None:
        localiser, _ = run.train(
            arguments.run / "localiser", recipe.localiser, refined, refined_folder
        )
    return run.train_final(refined, refined_folder, localiser)


class _Run:
    """One call of `run_recipe`."""

    def __init__(self, arguments: RunArguments, recipe: Recipe, dataset: Dataset) -> None:
        self.arguments = arguments
        self.recipe = recipe
        self.dataset = dataset
        self.folder = arguments.run
        self.bundles = RunBundles(
            arguments.run, recipe, dataset, arguments.device, arguments.validate
        )
        shares = [t.network.share * t.folds for t in recipe.teachers] + [recipe.network.share]
        if recipe.localiser is not None:
            shares.append(recipe.localiser.share)
        self._shares = sum(shares)

    def teach(self, teacher: Teacher, sources: Mapping[str, Path]) -> dict[str, Path]:
        """Train a teacher, or its folds, and label every scan; its sources by name."""
        home = self.folder / "teachers" / teacher.name
        refined = refine_dataset(self.dataset, sources, teacher.refine, home / "refined")
        refined = teacher_cases(refined, teacher)
        scans = {case.name: case.scan for case in self.dataset.cases}
        made = {}
        for fold in range(teacher.folds):
            name = teacher.name if teacher.folds == 1 else f"{teacher.name}_{fold}"
            learned = without_fold(refined, teacher, fold)
            bundle = home / name / BUNDLE
            # A teacher whose labels may be there already is not trained further.
            if not (bundle / "model.json").exists():
                trained, _ = self.train(home / name, teacher.network, learned, home / "refined")
                self.bundles.export(bundle, name, trained)
            made[name] = self.folder / "pseudo" / name
            logger.info("teacher %s labels %d scans", name, len(scans))
            label_scans(bundle, scans, made[name], self.arguments.device, self.arguments.runner)
        return made

    def train(
        self,
        folder: Path,
        stage: NetworkStage,
        refined: Sequence[RefinedCase],
        refined_folder: Path,
        minutes: float | None = None,
        validate: Validation | None = None,
    ) -> tuple[TrainedNetwork, float]:
        """Pack the cases and train a network on them, unless that is finished.

        Parameters
        ----------
        minutes
            Of training, what comes before it not counted; None for the stage's share of the
            run's.

        Returns
        -------
        network, minutes
            And the minutes that it was trained for.

        Raises
        ------
        Cancelled
            When a signal ended the training.
        """
        from .export import TrainedNetwork
        from .fit import fit_run
        from .pack_dataset import pack_refined

        trained = TrainedNetwork(folder / "fit", stage.grid, stage.patch)
        packed = folder / "packed"
        pack_refined(self.dataset, refined, refined_folder, packed, stage.grid)
        if not _may_go_on(folder, packed):
            return trained, 0.0
        minutes = self._minutes(stage) if minutes is None else minutes
        steps = stage.training.fit.steps
        limit = "" if minutes is None else f", for at most {duration_text(60 * minutes)}"
        logger.info("training %s: %d steps%s", folder.name, steps, limit)
        result = fit_run(
            trained.run, packed, stage.training, minutes, self.arguments.device, validate
        )
        if result.stopped:
            raise Cancelled(
                f"The training was stopped at step {result.step} and is saved; the same command "
                "goes on from there."
            )
        if result.finished:
            write_json(folder / FINISHED, {"step": result.step})
        else:
            logger.info(
                "the time for %s is over at step %d of %d; the same command goes on from there",
                folder.name,
                result.step,
                steps,
            )
        return trained, result.seconds / 60

    def train_final(
        self,
        refined: Sequence[RefinedCase],
        refined_folder: Path,
        localiser: TrainedNetwork | None,
    ) -> Path:
        """Train the network in legs, export and validate after each; the best bundle's folder."""
        from .export import TrainedNetwork

        stage, folder = self.recipe.network, self.folder / "network"
        trained = TrainedNetwork(folder / "fit", stage.grid, stage.patch)
        validate = self.bundles.validation(trained, localiser)
        left, leg = self._minutes(stage), self.recipe.leg_minutes
        while True:
            minutes = left
            if leg:
                minutes = leg if left is None else min(leg, left)
            _, used = self.train(folder, stage, refined, refined_folder, minutes, validate)
            best = self.bundles.keep_better(trained, localiser, refined)
            if left is not None:
                left -= used
            if (folder / FINISHED).exists() or not leg or (left is not None and left <= 0):
                return best

    def _minutes(self, stage: NetworkStage) -> float | None:
        """Part of the run's minutes of training that a network gets."""
        if self.arguments.minutes is None:
            return None
        return self.arguments.minutes * stage.share / self._shares


def _may_go_on(folder: Path, packed: Path) -> bool:
    """Whether there is something to train; refuse a run whose data changed."""
    begun, finished, digest = folder / "data.json", folder / FINISHED, _digest(packed)
    kept = read_json(begun) if begun.exists() else {}
    # Earlier runs kept the sizes only, from which nothing can be told.
    if kept.get("by") == DIGEST and kept["data"] != digest:
        raise InputError(
            f"The labels or scans changed since the training in {folder} began. Start a new "
            f"run, or remove {folder} to train this network again."
        )
    write_json(begun, {"by": DIGEST, "data": digest})
    return not finished.exists()


def _digest(packed: Path) -> str:
    """Tell packed data from other data: the index and the checksum of every array."""
    digest = hashlib.sha256((packed / "index.json").read_bytes())
    for path in sorted(packed.glob("[!.]*.npz")):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                digest.update(f"{path.name} {member.filename} {member.CRC:08x}\n".encode())
    return digest.hexdigest()


def _recipe_of_run(arguments: RunArguments) -> Recipe:
    """Recipe of the run; that of a run that has begun cannot change."""
    recipe = read_recipe(arguments.recipe)
    if arguments.steps is not None:
        recipe = recipe.with_steps(arguments.steps)
    if arguments.initial:
        recipe = started_from(recipe, arguments.initial)
    kept = arguments.run / RECIPE
    if kept.exists():
        begun = settings_from_json(Recipe, read_json(kept), str(kept))
        if begun != recipe:
            raise InputError(
                f"The run in {arguments.run} was begun with another recipe or other steps "
                f"(see {kept}). Choose another --run, or give {kept} as the recipe to go on."
            )
        return begun
    made_folder(arguments.run)
    write_json(kept, settings_to_json(recipe))
    return recipe
