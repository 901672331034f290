"""What speaks against a run, found out before hours are spent on it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from FlareSegmentLib.errors import FlareError, InputError
from FlareSegmentLib.model_choice import read_choice

from .case_split import split_of, with_split
from .dataset import Dataset, check_trainable, read_dataset
from .initial_weights import find_bundle
from .recipe import NetworkStage, Recipe, read_recipe
from .refinement_task import with_sources
from .room_check import check_room
from .training_settings import completed


def foresee(wanted: dict[str, Any]) -> str:
    """Say what will probably go wrong with a run; "" when nothing is known against it.

    Parameters
    ----------
    wanted
        Arguments of the run, as in its request, and "place", the folder it will lie in.

    Raises
    ------
    InputError
        When the run cannot work at all.
    """
    dataset = read_dataset(Path(wanted["data"]))
    dataset = with_split(dataset, split_of(dataset, wanted.get("fold")))
    check_trainable(dataset)
    recipe = with_sources(read_recipe(wanted["recipe"]), tuple(wanted.get("sources", ())))
    _check_sources(recipe, dataset)
    _check_initial(recipe, wanted.get("initial", ""))
    problem, gpu = _device(wanted.get("device", "auto"))
    room = check_room(recipe, dataset.cases, Path(wanted["place"]), gpu)
    return " ".join(text for text in (room.warning, problem) if text)


def _check_sources(recipe: Recipe, dataset: Dataset) -> None:
    teachers = {teacher.name for teacher in recipe.teachers}
    gone = [name for name in recipe.refine.sources if name not in {*dataset.sources, *teachers}]
    if gone and not recipe.teachers:
        raise InputError(
            f"There is no pseudo-label source '{gone[0]}' in {dataset.folder.name} (there: "
            f"{', '.join(dataset.sources) or 'none'}). Uncheck it among the sources."
        )


def _check_initial(recipe: Recipe, initial: str) -> None:
    """Refuse to start from a model whose networks are not those of the recipe."""
    for stage, part in ((recipe.network, "network"), (recipe.localiser, "localiser")):
        if stage is None or not (initial or stage.training.initial):
            continue
        info = read_choice(find_bundle(initial or stage.training.initial)).info
        theirs = info.get(part if initial else stage.training.initial_part)
        if theirs and not _same_network(stage, theirs):
            raise InputError(
                f"The {part} of the model '{info.get('name')}' is not the one that the recipe "
                f"'{recipe.name}' trains. Choose the recipe that the model was made with, or "
                "another model to start from."
            )


def _same_network(stage: NetworkStage, entry: dict[str, Any]) -> bool:
    """Whether weights fit: same network, and no argument that both name differs."""
    ours = completed(stage.training).network
    theirs = entry.get("arguments", {})
    same = all(
        _plain(theirs[key]) == _plain(ours.arguments[key]) for key in ours.arguments.keys() & theirs
    )
    return bool(ours.name == entry.get("name")) and same


def _plain(value: Any) -> Any:
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _device(name: str) -> tuple[str, int]:
    """Say that there is no such device, and give the bytes of the GPU, 0 when the CPU trains."""
    if name == "cpu" or importlib.util.find_spec("torch") is None:
        return "", 0
    import torch

    from FlareSegmentLib.devices import choose_device

    try:
        device, _note = choose_device(name)
    except FlareError as error:
        return str(error), 0
    there = device.type == "cuda"
    return "", int(torch.cuda.get_device_properties(device).total_memory) if there else 0
