"""A study: recipes and ablations with equal budget and several seeds, resumable at every step.

The folder holds ``study.json``, ``data/`` (made once), ``shared/`` (refined labels, packed cases
and costs that several runs use), ``runs/<variant>-<seed>/`` (run folders as of ``flare-train
run``) and ``results/<variant>-<seed>.json``. What has a result is not done again; what failed is.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from FlareSegmentLib.errors import Cancelled, FlareError, InputError
from FlareSegmentLib.reading import read_label_map

from .dataset import Dataset
from .pack_dataset import pack_refined
from .recipe import Recipe
from .refinement import LABELS, RefinedCase, read_refined, refine_dataset
from .settings import read_json, settings_to_json, write_json
from .study_budget import seconds_per_step, steps_for, with_budget
from .study_data import study_data
from .study_settings import StudySettings, Variant, stages_of
from .whole_files import made_folder

logger = logging.getLogger(__name__)

STUDY = "study.json"
RESULTS = "results"


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study; `base` is the variant whose number of steps it takes."""

    variant: Variant
    base: Variant
    seed: int

    @property
    def name(self) -> str:
        """Name of its files."""
        plain = "".join(c if c.isalnum() else "-" for c in self.variant.name.lower())
        return f"{plain}-{self.seed}"


def planned_runs(settings: StudySettings) -> list[PlannedRun]:
    """All runs: the recipes seed by seed, then the ablations, so that what is left out is last."""
    runs = [PlannedRun(v, v, seed) for seed in settings.seeds for v in settings.recipes]
    return runs + [
        PlannedRun(settings.complete(v), settings.base, seed)
        for seed in settings.seeds
        for v in settings.ablations
    ]


def run_study(
    settings: StudySettings,
    data: Path,
    folder: Path,
    device: str = "auto",
    minutes: float | None = None,
    after_each: Callable[[], None] = lambda: None,
) -> None:
    """Do the runs that have no result yet.

    Parameters
    ----------
    minutes
        No run but the first is begun later than this; None for all.
    after_each
        Called after every run, to write the tables.

    Raises
    ------
    InputError
        When the folder holds another study, or the data cannot be read.
    Cancelled
        When a signal ended a training; everything is saved.
    """
    _claim(settings, folder)
    study = _Study(settings, study_data(data, folder / "data", settings), folder, device)
    after_each()
    begun = time.monotonic()
    for run in [run for run in planned_runs(settings) if not _is_done(folder, run)]:
        study.do(run)
        after_each()
        if minutes is not None and time.monotonic() - begun > minutes * 60:
            logger.info("The time is over after %s; the same command goes on.", run.name)
            return


def _is_done(folder: Path, run: PlannedRun) -> bool:
    """Whether a run has its result; one that failed is tried again."""
    path = folder / RESULTS / f"{run.name}.json"
    return path.exists() and "problem" not in read_json(path)


def _claim(settings: StudySettings, folder: Path) -> None:
    path = folder / STUDY
    content = json.loads(json.dumps(settings_to_json(settings)))
    if path.exists() and read_json(path) != content:
        raise InputError(
            f"{folder} holds another study, or this one with other settings (see {path}). Choose "
            "another folder: results of different budgets do not belong in one table."
        )
    made_folder(folder / RESULTS)
    write_json(path, content)


class _Study:
    """What all runs of a study share."""

    def __init__(
        self, settings: StudySettings, dataset: Dataset, folder: Path, device: str
    ) -> None:
        self.settings = settings
        self.dataset = dataset
        self.folder = folder
        self.device = device

    def do(self, run: PlannedRun) -> None:
        """Train and score; a run that fails has its sentence as result."""
        logger.info("study: %s", run.name)
        path = self.folder / RESULTS / f"{run.name}.json"
        result: dict[str, Any] = {"variant": run.variant.name, "seed": run.seed}
        try:
            write_json(path, {**result, **self._result(run)})
        except Cancelled:
            raise
        except FlareError as error:
            logger.warning("%s failed: %s", run.name, error)
            write_json(path, {**result, "problem": str(error)})

    def _result(self, run: PlannedRun) -> dict[str, Any]:
        recipe = run.variant.read()
        refined, labels = self._refined(recipe)
        steps = self._steps(run.base)
        recipe = with_budget(recipe, steps, run.seed)
        signature = _signature(recipe, refined, labels)
        twin = self._twin(run, signature)
        if twin:
            return {"same_as": twin, "signature": signature}
        home = self.folder / "runs" / run.name
        self._share(home, recipe, refined, labels)
        used = self._train(home, recipe)
        evaluation = read_json(home / "latest" / "evaluation.json")
        return {
            "signature": signature,
            "steps": steps,
            "cases": len(refined),
            "processor_seconds": round(used, 1),
            "summary": evaluation["summary"],
            "targets": _in_view(evaluation["cases"]),
        }

    def _train(self, home: Path, recipe: Recipe) -> float:
        """Run the recipe as `flare-train run` does; processor seconds of this call."""
        from .pipeline import RunArguments, run_recipe

        path = home.with_suffix(".json")
        write_json(path, settings_to_json(recipe))
        start = time.process_time()
        run_recipe(RunArguments(str(path), self.dataset.folder, home, device=self.device))
        return time.process_time() - start

    def _refined(self, recipe: Recipe) -> tuple[list[RefinedCase], Path]:
        """Refined cases of a recipe without teachers, made once for all that refine alike."""
        if recipe.teachers:
            # They are made of teachers that the run trains itself.
            return [], Path()
        key = _digest(settings_to_json(recipe.refine))
        folder = self.folder / "shared" / "refined" / key
        if not (folder / "cases.json").exists():
            refine_dataset(self.dataset, self.dataset.sources, recipe.refine, folder)
        return read_refined(folder), folder

    def _packed(self, recipe: Recipe, stage: str) -> Path:
        refined, labels = self._refined(recipe)
        grid = stages_of(recipe)[stage].grid
        key = _digest([labels.name, settings_to_json(grid)])
        packed = self.folder / "shared" / "packed" / key
        if not (packed / "index.json").exists():
            pack_refined(self.dataset, refined, labels, packed, grid)
        return packed

    def _share(self, home: Path, recipe: Recipe, refined: list[RefinedCase], labels: Path) -> None:
        """Put links to what other runs made where the run looks for it."""
        if not refined:
            return
        _link_folder(labels, home / "refined")
        for stage in stages_of(recipe):
            _link_folder(self._packed(recipe, stage), home / stage / "packed")

    def _steps(self, base: Variant) -> dict[str, int]:
        """Steps of every network of a variant, measured once."""
        path = self.folder / "shared" / "costs" / f"{_digest(settings_to_json(base))}.json"
        recipe = base.read()
        if not path.exists():
            if recipe.teachers:
                raise InputError(
                    f"The study's recipe '{base.name}' trains teachers, whose labels are not "
                    'there when the budget is shared out. Take them out ("teachers": null) and '
                    "name the data's pseudo-labels as sources."
                )
            costs = {
                name: seconds_per_step(self._packed(recipe, name), stage.training, self.device)
                for name, stage in stages_of(recipe).items()
            }
            made_folder(path.parent)
            write_json(path, costs)
        return steps_for(recipe, read_json(path), self.settings.seconds)

    def _twin(self, run: PlannedRun, signature: str) -> str:
        """Name of a variant whose finished run is the same, to the letter; "" for none."""
        for other in planned_runs(self.settings):
            path = self.folder / RESULTS / f"{other.name}.json"
            if other.name != run.name and path.exists():
                result = read_json(path)
                if result.get("signature") == signature and "summary" in result:
                    return other.variant.name
        return ""


def _in_view(cases: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean DSC and NSD per target over the scans whose reference has it.

    A target that is absent in both counts one by FLARE's rule: a model that draws nothing would
    be flattered.
    """
    found: dict[str, list[Mapping[str, float]]] = {}
    for case in cases:
        for key, score in case["targets"].items():
            if score["reference_voxels"]:
                found.setdefault(key, []).append(score)
    return {
        key: {what: statistics.mean(s[what] for s in scores) for what in ("dsc", "nsd")}
        for key, scores in found.items()
    }


def _signature(recipe: Recipe, refined: list[RefinedCase], labels: Path) -> str:
    """Tell runs apart by what decides their result: labels and training, not words or rules."""
    plain = replace(recipe, name="-", about="", version="", refine=Recipe("-").refine)
    digest = hashlib.sha256(json.dumps(settings_to_json(plain), sort_keys=True).encode())
    for part in _content(refined, labels):
        digest.update(part)
    return digest.hexdigest()


def _content(refined: list[RefinedCase], labels: Path) -> Iterator[bytes]:
    for case in refined:
        yield json.dumps(settings_to_json(case)).encode()
        array, _ = read_label_map(labels / LABELS / f"{case.name}.nii.gz")
        yield array.tobytes()


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _link_folder(source: Path, target: Path) -> None:
    """Link a folder; where the system has no links the run makes its own."""
    if target.exists():
        return
    made_folder(target.parent)
    try:
        os.symlink(source.resolve(), target, target_is_directory=True)
    except OSError:
        logger.info("%s cannot be a link: made anew", target)
