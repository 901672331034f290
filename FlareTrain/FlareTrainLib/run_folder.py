"""Training runs of a dataset: made, listed and watched.

Runs lie in ``<dataset>/runs/<name>``; each is a task's folder (see `task_folder`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from FlareSegmentLib.errors import FlareError, InputError

from . import task_folder
from .pipeline import RECIPE
from .recipe import Recipe, read_recipe
from .refinement_task import with_sources
from .settings import read_json, settings_from_json, settings_to_json, write_json

RUNS = "runs"
CHOSEN = "chosen_recipe.json"
_LOG_END = 8192
"""Bytes at the end of a training's log that tell how far it is."""
_FORBIDDEN = '/\\:*?"<>|'


@dataclass(frozen=True)
class RunSettings:
    """What a new run is made from.

    Attributes
    ----------
    data
        Dataset folder.
    recipe
        Name of a shipped recipe, or a JSON file.
    device
        "auto", "cpu" or "cuda".
    minutes
        Time for all trainings of one start together; None trains to the end of the recipe.
    steps
        Other length of every schedule, or None for the recipe's.
    sources
        Pseudo-label sources to use instead of the recipe's; empty for those.
    fold
        1 to 5: this fold of the annotated training cases judges the model instead of the
        validation cases; None for those.
    initial
        Model whose weights the networks start with, a folder; empty for random ones.
    validate, compare
        Whether the model, and the bundled one, are scored on the validation cases.
    validations
        Points of the curve of DSC over a whole training, where the recipe asks for none; 0, or
        fewer steps than that, for scores at the end only.
    """

    data: Path
    recipe: str
    device: str = "auto"
    minutes: float | None = None
    steps: int | None = None
    sources: tuple[str, ...] = ()
    fold: int | None = None
    initial: str = ""
    validate: bool = True
    compare: bool = True
    validations: int = 20


@dataclass(frozen=True)
class RunProgress:
    """How far a run is.

    Attributes
    ----------
    stage
        Network that is being trained, "" before the first.
    step, steps
        Done, and planned, in this network.
    fraction
        Of all networks together, 0 to 1.
    seconds_left
        In this network, None while unknown.
    """

    stage: str = ""
    step: int = 0
    steps: int = 0
    fraction: float = 0.0
    seconds_left: float | None = None


def create_run(settings: RunSettings, name: str = "") -> Path:
    """Make the folder of a run; it is not started.

    Parameters
    ----------
    name
        Its name; recipe and number when empty.

    Raises
    ------
    InputError
        When the recipe is unknown, or there is a run of this name.
    OutputError
        When the folder cannot be made.
    """
    recipe = read_recipe(settings.recipe)
    if not settings.data.is_dir():
        raise InputError(f"There is no dataset folder {settings.data}. Choose one first.")
    if settings.minutes is not None and settings.minutes <= 0:
        raise InputError("The time for a training must be more than 0 minutes.")
    runs = settings.data / RUNS
    name = name.strip() or _free_name(runs, recipe.name)
    if name.startswith(".") or any(letter in _FORBIDDEN for letter in name):
        raise InputError(f"'{name}' cannot be the name of a folder. Leave out {_FORBIDDEN}.")
    folder = runs / name
    if folder.exists():
        raise InputError(f"There is a run '{name}' already. Resume it, or choose another name.")
    task_folder.write_request(folder, "train", {})
    write_json(folder / CHOSEN, settings_to_json(chosen_recipe(settings, recipe)))
    arguments = {**run_arguments(settings), "recipe": str((folder / CHOSEN).resolve())}
    task_folder.write_request(folder, "train", arguments)
    return folder


def chosen_recipe(settings: RunSettings, recipe: Recipe) -> Recipe:
    """Give the recipe as it is run: with the chosen sources, and scores on the way."""
    if settings.sources:
        recipe = with_sources(recipe, settings.sources)
    fit = recipe.network.training.fit
    if fit.validate_every or not (settings.validate and settings.validations):
        return recipe
    every = (settings.steps or fit.steps) // settings.validations
    training = replace(recipe.network.training, fit=replace(fit, validate_every=every))
    return replace(recipe, network=replace(recipe.network, training=training))


def run_arguments(settings: RunSettings) -> dict[str, Any]:
    """Give the settings as they stand in a request."""
    return {
        "data": str(settings.data.resolve()),
        "recipe": recipe_file(settings.recipe),
        "device": settings.device,
        "minutes": settings.minutes,
        "steps": settings.steps,
        "sources": list(settings.sources),
        "fold": settings.fold,
        "initial": settings.initial,
        "validate": settings.validate,
        "compare": settings.compare,
    }


def follow_dataset(run: Path) -> None:
    """Let a run know where its dataset is now, when it was moved with its runs in it.

    Raises
    ------
    InputError
        When the run's request cannot be read.
    OutputError
        When it cannot be written.
    """
    kind, wanted = task_folder.read_request(run)
    data = run.resolve().parent.parent
    if run.resolve().parent.name != RUNS or wanted.get("data") == str(data):
        return
    wanted["data"] = str(data)
    if (run / CHOSEN).is_file():
        wanted["recipe"] = str((run / CHOSEN).resolve())
    task_folder.write_request(run, kind, wanted)


def recipe_file(name_or_path: str) -> str:
    """Give what names the recipe from any folder: a shipped one's name, or a whole path."""
    path = Path(name_or_path)
    return str(path.resolve()) if path.is_file() else name_or_path


def list_runs(data: Path) -> list[Path]:
    """Folders of the runs of a dataset, the newest first."""
    found = (data / RUNS).glob(f"*/{task_folder.REQUEST}")
    return [path.parent for path in sorted(found, key=_age)]


def _age(request: Path) -> tuple[float, str]:
    return -request.stat().st_mtime, request.parent.name


def progress(run: Path) -> RunProgress:
    """Tell how far a run is, from its logs."""
    if not (run / RECIPE).is_file():
        return RunProgress()
    recipe = settings_from_json(Recipe, read_json(run / RECIPE), str(run / RECIPE))
    networks = stages(run, recipe)
    total = sum(share for _, _, _, share in networks)
    current, fraction = RunProgress(), 0.0
    for name, fit, steps, share in networks:
        entries = [entry for entry in _last_entries(fit) if "step" in entry]
        if not entries:
            continue
        step = min(entries[-1]["step"], steps)
        if (fit.parent / "finished.json").exists():
            step = steps
        fraction += share / total * step / max(steps, 1)
        paces = [e["seconds_per_step"] for e in entries[-5:] if "seconds_per_step" in e]
        left = (steps - step) * sum(paces) / len(paces) if paces else None
        current = RunProgress(name, step, steps, 0.0, left)
    return RunProgress(
        current.stage, current.step, current.steps, min(fraction, 1.0), current.seconds_left
    )


def worst_cases(evaluation: Path) -> list[tuple[str, float]]:
    """Cases of an ``evaluation.json`` by their mean DSC over annotated targets, worst first."""
    found = []
    for case in read_json(evaluation)["cases"]:
        values = [s["dsc"] for s in case["targets"].values() if s["dsc"] is not None]
        if values:
            found.append((case["case"], sum(values) / len(values)))
    return sorted(found, key=lambda pair: pair[1])


def score_rows(run: Path) -> list[dict[str, Any]]:
    """DSC and NSD per target of the run's newest model and of the bundled one."""
    ours = _target_means(run / "latest" / "evaluation.json")
    bundled = _target_means(run / "bundled" / "evaluation.json")
    return [
        {
            "key": key,
            "cases": mean["cases"],
            "dsc": mean["dsc"],
            "nsd": mean["nsd"],
            "bundled_dsc": bundled.get(key, {}).get("dsc"),
            "bundled_nsd": bundled.get(key, {}).get("nsd"),
        }
        for key, mean in ours.items()
    ]


def _target_means(path: Path) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        return {}
    try:
        return dict(read_json(path)["targets"])
    except FlareError:  # being written at this moment
        return {}


def _last_entries(fit: Path) -> list[dict[str, Any]]:
    """Newest lines of a log, whatever its length: this is asked every second."""
    path = fit / "log.jsonl"
    if not path.is_file():
        return []
    with path.open("rb") as file:
        whole = path.stat().st_size <= _LOG_END
        file.seek(0 if whole else path.stat().st_size - _LOG_END)
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    entries = []
    for line in lines if whole else lines[1:]:
        try:
            entries.append(json.loads(line))
        except ValueError:  # being written at this moment
            continue
    return entries


def stages(run: Path, recipe: Recipe) -> Sequence[tuple[str, Path, int, float]]:
    """Name, folder of the log, steps and share of every network in the order of training."""
    found = []
    for teacher in recipe.teachers:
        for fold in range(teacher.folds):
            name = teacher.name if teacher.folds == 1 else f"{teacher.name}_{fold}"
            folder = run / "teachers" / teacher.name / name / "fit"
            found.append((name, folder, teacher.network.training.fit.steps, teacher.network.share))
    if recipe.localiser is not None:
        fit = recipe.localiser.training.fit
        found.append(("localiser", run / "localiser" / "fit", fit.steps, recipe.localiser.share))
    fit = recipe.network.training.fit
    found.append(("network", run / "network" / "fit", fit.steps, recipe.network.share))
    return found


def _free_name(runs: Path, recipe: str) -> str:
    number = 1
    while (runs / f"{recipe} {number}").exists():
        number += 1
    return f"{recipe} {number}"
