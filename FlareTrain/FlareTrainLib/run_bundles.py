"""The bundles of a run: the newest is scored as users run it, and the best so far is kept."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from FlareSegmentLib.evaluation_report import Evaluation

from .dataset import Dataset
from .evaluation import evaluate_bundle, mean_score
from .recipe import Inference, Recipe
from .refinement import RefinedCase
from .settings import read_json
from .whole_files import copy_folder

if TYPE_CHECKING:
    from torch import Tensor

    from .export import TrainedNetwork

    Validation = Callable[[Mapping[str, Tensor]], dict[str, float]]

logger = logging.getLogger(__name__)

BUNDLE = "bundle"
SCORE = "score.json"
LATEST = "latest"
"""Newest bundle and its evaluation, below the run's folder."""


class RunBundles:
    """Exports and scores what a run trains.

    Parameters
    ----------
    run
        Folder of the run.
    device
        "auto", "cpu" or "cuda".
    judge
        Whether bundles are scored on the dataset's validation cases.
    """

    def __init__(
        self, run: Path, recipe: Recipe, dataset: Dataset, device: str, judge: bool
    ) -> None:
        self.run = run
        self.recipe = recipe
        self.dataset = dataset
        self.device = device
        self.judge = judge and bool(dataset.validation)

    def export(
        self,
        folder: Path,
        name: str,
        trained: TrainedNetwork,
        localiser: TrainedNetwork | None = None,
        facts: Mapping[str, Any] | None = None,
        inference: Inference = Inference(),
        weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Write a training's weights as a bundle; see `export.export_bundle`."""
        from .export import export_bundle

        version = self.recipe.version
        export_bundle(folder, name, version, trained, localiser, facts, weights, inference)

    def validation(
        self, trained: TrainedNetwork, localiser: TrainedNetwork | None
    ) -> Validation | None:
        """Give the function that scores weights while they are trained; None for none."""
        if not (self.judge and self.recipe.network.training.fit.validate_every):
            return None

        def validate(weights: Mapping[str, Tensor]) -> dict[str, float]:
            folder = self.run / "validation"
            name, inference = self.recipe.name, self.recipe.inference
            self.export(
                folder / BUNDLE, name, trained, localiser, inference=inference, weights=weights
            )
            means = self._evaluate(folder).target_means()
            return {key: mean["dsc"] for key, mean in means.items()}

        return validate

    def keep_better(
        self,
        trained: TrainedNetwork,
        localiser: TrainedNetwork | None,
        refined: Sequence[RefinedCase],
    ) -> Path:
        """Export the newest weights, score them, and keep the bundle if it is the best so far.

        Returns
        -------
        Folder of the best bundle.
        """
        latest, best = self.run / LATEST, self.run / BUNDLE
        name, inference = self.recipe.name, self.recipe.inference
        facts: dict[str, Any] = {
            "recipe": name,
            "about": self.recipe.about,
            "training_cases": len(refined),
            "annotated_cases": sum(bool(case.annotated) for case in self.dataset.cases),
        }
        self.export(latest / BUNDLE, name, trained, localiser, facts, inference)
        if _same_weights(latest / BUNDLE, best):
            return best
        score: dict[str, Any] = {"score": None}
        if self.judge:
            evaluation = self._evaluate(latest)
            facts["validation"] = evaluation.summary()
            score = {"score": mean_score(evaluation), **facts["validation"]}
            self.export(latest / BUNDLE, name, trained, localiser, facts, inference)
            logger.info("the model on the validation cases:\n%s", evaluation.as_table())
        before = read_json(best / SCORE)["score"] if (best / SCORE).exists() else None
        if before is not None and score["score"] is not None and score["score"] < before:
            logger.info(
                "its mean DSC is %.4f; the model of before, with %.4f, stays the best",
                score["score"],
                before,
            )
            return best
        copy_folder(latest / BUNDLE, best, {SCORE: json.dumps(score, indent=1) + "\n"})
        return best

    def _evaluate(self, folder: Path) -> Evaluation:
        """Score the bundle in a folder; predictions and tables are left there."""
        dataset = self.dataset
        return evaluate_bundle(
            folder / BUNDLE, dataset.validation, folder, self.device, dataset.values
        )


def _same_weights(one: Path, other: Path) -> bool:
    """Whether two bundles hold the same networks."""
    if not (other / "model.json").exists():
        return False

    def hashes(folder: Path) -> list[str | None]:
        model = read_json(folder / "model.json")
        return [(model[part] or {}).get("sha256") for part in ("network", "localiser")]

    return hashes(one) == hashes(other)
