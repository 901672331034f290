"""One budget for every recipe of a study: how many steps of each network it pays for."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from .packed_cases import load_cases
from .packing import read_index
from .processes import joined
from .recipe import NetworkStage, Recipe
from .sampling import CropSampler
from .study_settings import stages_of
from .trainer import Trainer
from .training_settings import TrainingSettings, completed

WARM_UP = 2
"""Steps before the measured ones: the first prepare kernels and memory."""

MEASURED = 6
"""Measured steps: enough crops that some are deformed and some are not."""

REPEATS = 3
"""Times that each of them is measured; the least counts, as other programs only add to it."""

FEWEST = 2
"""Steps of a network, whatever the budget."""


def seconds_per_step(packed: Path, training: TrainingSettings, device: str) -> float:
    """Seconds that one step costs, batch included; processor time on a CPU.

    Processor time does not count what other programs take from the machine, so a study can run
    beside other work.
    """
    settings = completed(training)
    with joined(device) as processes, tempfile.TemporaryDirectory() as folder:
        cases, spacing = load_cases(packed), read_index(packed)[1]
        sampler = CropSampler.of(cases, spacing, settings, processes.device)
        trainer = Trainer(Path(folder), sampler, settings, processes)
        for step in range(WARM_UP):
            trainer.train_step(trainer.draw(step))
        least = [math.inf] * MEASURED
        for _ in range(REPEATS):
            for step in range(MEASURED):
                start = _now(processes.device)
                trainer.train_step(trainer.draw(step))
                least[step] = min(least[step], _now(processes.device) - start)
        return sum(least) / MEASURED


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()


def steps_for(recipe: Recipe, costs: Mapping[str, float], seconds: float) -> dict[str, int]:
    """Steps of each network of a recipe for a budget, which they share as the recipe says.

    Parameters
    ----------
    costs
        Seconds per step by stage, see `study_settings.stages_of`.
    seconds
        Budget of all networks together.
    """
    folds = {f"teachers/{teacher.name}": teacher.folds for teacher in recipe.teachers}
    stages = stages_of(recipe)
    total = sum(stage.share * folds.get(name, 1) for name, stage in stages.items())
    return {
        name: max(FEWEST, round(seconds * stage.share / total / costs[name]))
        for name, stage in stages.items()
    }


def with_budget(recipe: Recipe, steps: Mapping[str, int], seed: int) -> Recipe:
    """Give the recipe with these steps, this seed, and one validation at the end."""
    teachers = tuple(
        replace(t, network=_stage(t.network, steps[f"teachers/{t.name}"], seed))
        for t in recipe.teachers
    )
    localiser = recipe.localiser
    if localiser is not None:
        localiser = _stage(localiser, steps["localiser"], seed)
    return replace(
        recipe,
        teachers=teachers,
        localiser=localiser,
        network=_stage(recipe.network, steps["network"], seed),
        leg_minutes=0.0,
    )


def _stage(stage: NetworkStage, steps: int, seed: int) -> NetworkStage:
    fit = replace(stage.training.fit, steps=steps, seed=seed, validate_every=0)
    return replace(stage, training=replace(stage.training, fit=fit))
