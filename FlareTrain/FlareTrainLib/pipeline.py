"""A recipe on a dataset: pseudo-labels, refinement, packing, training, evaluation, bundle.

The run folder holds everything: ``recipe.json``, ``teachers/<name>/`` and ``pseudo/<source>/``,
``refined/`` with the table of decisions, ``localiser/`` and ``network/`` with a training run each,
``latest/`` with the newest bundle and its evaluation, and ``bundle/``, the best one. Every step
can be stopped; the same command goes on where it was, and does nothing when all is done.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from FlareSegmentLib.errors import Cancelled, InputError
from FlareSegmentLib.labels import target_by_id

from .activity import tell
from .case_split import RunSplit, with_split
from .dataset import Dataset, check_trainable, read_dataset
from .evaluation import evaluate_bundle, mean_score
from .initial_weights import started_from
from .pseudo_labels import JobRunner, label_scans
from .recipe import Inference, NetworkStage, Recipe, Teacher, read_recipe
from .refinement import RefinedCase, refine_dataset
from .settings import read_json, settings_from_json, settings_to_json, write_json

if TYPE_CHECKING:
    from torch import Tensor

    from .export import TrainedNetwork

    Validation = Callable[[Mapping[str, Tensor]], dict[str, float]]

logger = logging.getLogger(__name__)

RECIPE = "recipe.json"
BUNDLE = "bundle"
SCORE = "score.json"
FINISHED = "finished.json"


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
        Time budget of this call for all trainings together; None trains every schedule to its end.
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
    recipe = _recipe_of_run(arguments)
    dataset = read_dataset(arguments.data)
    if arguments.split is not None:
        dataset = with_split(dataset, arguments.split)
    check_trainable(dataset)
    for note in dataset.notes:
        logger.warning(note)
    run = _Run(arguments, recipe, dataset)
    sources: dict[str, Path] = {}
    for teacher in recipe.teachers:
        sources |= run.teach(teacher, {**sources, **dataset.sources})
    refined_folder = arguments.run / "refined"
    tell("comparing")
    refined = refine_dataset(dataset, {**sources, **dataset.sources}, recipe.refine, refined_folder)
    localiser = None
    if recipe.localiser is not None:
        localiser = run.train(
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
        shares = [t.network.share * t.folds for t in recipe.teachers] + [recipe.network.share]
        if recipe.localiser is not None:
            shares.append(recipe.localiser.share)
        self._shares = sum(shares)

    def teach(self, teacher: Teacher, sources: Mapping[str, Path]) -> dict[str, Path]:
        """Train a teacher, or its folds, and label every scan; its sources by name."""
        home = self.folder / "teachers" / teacher.name
        refined = refine_dataset(self.dataset, sources, teacher.refine, home / "refined")
        refined = _with_something_known(refined, teacher)
        scans = {case.name: case.scan for case in self.dataset.cases}
        made = {}
        for fold in range(teacher.folds):
            name = teacher.name if teacher.folds == 1 else f"{teacher.name}_{fold}"
            learned = [
                case
                for n, case in enumerate(refined)
                if teacher.folds == 1 or n % teacher.folds != fold
            ]
            if not learned:
                raise InputError(
                    f"Teacher '{teacher.name}' has {len(refined)} cases for {teacher.folds} "
                    "folds. Give it more cases, or fewer folds."
                )
            bundle = home / name / BUNDLE
            # A teacher whose labels may be there already is not trained further.
            if not (bundle / "model.json").exists():
                trained = self.train(home / name, teacher.network, learned, home / "refined")
                self._export(bundle, name, trained, None)
            made[name] = self.folder / "pseudo" / name
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
    ) -> TrainedNetwork:
        """Pack the cases and train a network on them, unless that is finished.

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
        digest = _digest(packed)
        if not self._may_go_on(folder, digest):
            return trained
        result = fit_run(
            trained.run,
            packed,
            stage.training,
            self._minutes(stage) if minutes is None else minutes,
            self.arguments.device,
            validate,
        )
        if result["stopped"]:
            raise Cancelled(
                f"The training was stopped at step {result['step']} and is saved; the same "
                "command goes on from there."
            )
        if result["finished"]:
            write_json(folder / FINISHED, {"step": result["step"]})
        return trained

    def train_final(
        self,
        refined: Sequence[RefinedCase],
        refined_folder: Path,
        localiser: TrainedNetwork | None,
    ) -> Path:
        """Train the network in legs, export and validate after each, keep the best bundle."""
        from .export import TrainedNetwork

        stage, folder = self.recipe.network, self.folder / "network"
        total = self._minutes(stage)
        trained = TrainedNetwork(folder / "fit", stage.grid, stage.patch)
        validate = self._validation(trained, localiser)
        deadline = None if total is None else time.monotonic() + total * 60
        leg = self.recipe.leg_minutes
        while True:
            left = None if deadline is None else max(0.0, (deadline - time.monotonic()) / 60)
            minutes = left
            if leg:
                minutes = leg if left is None else min(leg, left)
            self.train(folder, stage, refined, refined_folder, minutes, validate)
            self._keep_better(trained, localiser, refined)
            if (folder / FINISHED).exists() or not leg:
                return self.folder / BUNDLE
            if deadline is not None and time.monotonic() >= deadline:
                return self.folder / BUNDLE

    def _minutes(self, stage: NetworkStage) -> float | None:
        if self.arguments.minutes is None:
            return None
        return self.arguments.minutes * stage.share / self._shares

    def _may_go_on(self, folder: Path, digest: str) -> bool:
        """Whether there is something to train; refuse a run whose data changed."""
        begun, finished = folder / "data.json", folder / FINISHED
        if begun.exists() and read_json(begun)["data"] != digest:
            raise InputError(
                f"The labels or scans changed since the training in {folder} began. Start a new "
                f"run, or remove {folder} to train this network again."
            )
        write_json(begun, {"data": digest})
        return not finished.exists()

    def _validation(
        self, trained: TrainedNetwork, localiser: TrainedNetwork | None
    ) -> Validation | None:
        """Give the function that scores weights while they are trained, or None."""
        cases = self.dataset.validation
        every = self.recipe.network.training.fit.validate_every
        if not (cases and every and self.arguments.validate):
            return None

        def validate(weights: Mapping[str, Tensor]) -> dict[str, float]:
            from .export import export_bundle

            folder = self.folder / "validation"
            inference = self.recipe.inference
            export_bundle(
                folder / BUNDLE,
                self.recipe.name,
                "0",
                trained,
                localiser,
                weights=weights,
                inference=inference,
            )
            means = self._evaluate(folder / BUNDLE, folder).target_means()
            return {key: mean["dsc"] for key, mean in means.items()}

        return validate

    def _evaluate(self, bundle: Path, output: Path) -> Any:
        return evaluate_bundle(
            bundle,
            self.dataset.validation,
            output,
            self.arguments.device,
            self.dataset.values,
        )

    def _export(
        self,
        folder: Path,
        name: str,
        trained: TrainedNetwork,
        localiser: TrainedNetwork | None,
        facts: Mapping[str, Any] | None = None,
        inference: Inference = Inference(),
    ) -> None:
        from .export import export_bundle

        version = self.recipe.version
        export_bundle(folder, name, version, trained, localiser, facts, inference=inference)

    def _keep_better(
        self,
        trained: TrainedNetwork,
        localiser: TrainedNetwork | None,
        refined: Sequence[RefinedCase],
    ) -> None:
        """Export the newest weights, score them, and keep the bundle if it is the best so far."""
        latest, best = self.folder / "latest", self.folder / BUNDLE
        facts = {
            "recipe": self.recipe.name,
            "about": self.recipe.about,
            "training_cases": len(refined),
            "annotated_cases": sum(bool(case.annotated) for case in self.dataset.cases),
        }
        self._export(
            latest / BUNDLE, self.recipe.name, trained, localiser, facts, self.recipe.inference
        )
        if _same_weights(latest / BUNDLE, best):
            return
        score: dict[str, Any] = {"score": None}
        if self.dataset.validation and self.arguments.validate:
            evaluation = self._evaluate(latest / BUNDLE, latest)
            score = {"score": mean_score(evaluation), **evaluation.summary()}
            facts["validation"] = evaluation.summary()
            self._export(
                latest / BUNDLE, self.recipe.name, trained, localiser, facts, self.recipe.inference
            )
            logger.info("validation: %s", score)
        before = read_json(best / SCORE)["score"] if (best / SCORE).exists() else None
        if before is not None and score["score"] is not None and score["score"] < before:
            logger.info("the bundle of before (%.4f) stays the best", before)
            return
        _replace_folder(latest / BUNDLE, best, score)


def _same_weights(one: Path, other: Path) -> bool:
    """Whether two bundles hold the same networks."""
    if not (other / "model.json").exists():
        return False

    def hashes(folder: Path) -> list[str | None]:
        model = read_json(folder / "model.json")
        return [(model[part] or {}).get("sha256") for part in ("network", "localiser")]

    return hashes(one) == hashes(other)


def _replace_folder(source: Path, target: Path, score: Mapping[str, Any]) -> None:
    """Copy beside, then rename: a bundle is never half of one and half of another."""
    fresh = target.with_name(f".{target.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(source, fresh)
    write_json(fresh / SCORE, score)
    if target.exists():
        shutil.rmtree(target)
    fresh.rename(target)


def _digest(packed: Path) -> str:
    """Tell packed data from other data: the index and the size of every file."""
    digest = hashlib.sha256((packed / "index.json").read_bytes())
    for path in sorted(packed.glob("*.npz")):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
    return digest.hexdigest()


def _with_something_known(refined: list[RefinedCase], teacher: Teacher) -> list[RefinedCase]:
    wanted = set(teacher.network.training.targets)
    learned = [case for case in refined if wanted & {*case.annotated, *case.pseudo}]
    if not learned:
        keys = ", ".join(target_by_id(label).key for label in sorted(wanted))
        raise InputError(
            f"Teacher '{teacher.name}' has nothing to learn from: no case is annotated for {keys}. "
            "Annotate some, or take the teacher out of the recipe."
        )
    return learned


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
    arguments.run.mkdir(parents=True, exist_ok=True)
    write_json(kept, settings_to_json(recipe))
    return recipe
