"""What a study trains, as data: recipes and changes of them, seeds, and one budget for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .recipe import NetworkStage, Recipe, recipes_folder
from .settings import read_json, settings_from_json
from .train_resources import named_file, train_resources_folder


@dataclass(frozen=True)
class Variant:
    """One thing that is trained with every seed.

    Attributes
    ----------
    name
        In the tables.
    recipe
        Name of a shipped recipe.
    change
        What is changed in it: an object that is laid over the recipe's JSON, key by key; null
        takes a key out, a list replaces a list.
    about
        What the change means, for the table.
    """

    name: str
    recipe: str
    change: dict[str, Any] = field(default_factory=dict)
    about: str = ""

    def read(self) -> Recipe:
        """Give the changed recipe.

        Raises
        ------
        InputError
            When there is no such recipe, or the change does not fit it.
        """
        path = recipes_folder() / f"{self.recipe}.json"
        content = laid_over(read_json(path), self.change)
        return settings_from_json(Recipe, content, f"The study's recipe '{self.name}'")


@dataclass(frozen=True)
class StudySettings:
    """A study.

    Attributes
    ----------
    name
        Of the study and its tables.
    about
        What the budget is and what was made smaller for it; stands above the tables.
    seconds
        Processor seconds of training per run, all networks of a recipe together; on a GPU, where
        the processor waits, seconds by the clock.
    seeds
        Each variant is trained once with each.
    reduce_mm
        Training scans and label maps are reduced to this spacing once, for all recipes; 0 keeps
        them.
    phantoms
        Synthetic patients added to the training cases, all targets annotated, with tumors.
    recipes
        What is compared.
    ablated
        Name of the one among `recipes` that the ablations change.
    ablations
        Each is `ablated` with one more change; `recipe` stays empty.
    """

    name: str
    about: str
    seconds: float
    seeds: tuple[int, ...]
    recipes: tuple[Variant, ...]
    ablated: str
    ablations: tuple[Variant, ...] = ()
    reduce_mm: float = 0.0
    phantoms: int = 0

    def __post_init__(self) -> None:
        names = [variant.name for variant in (*self.recipes, *self.ablations)]
        if len(set(names)) < len(names):
            raise ValueError("two variants have the same name; give each its own")
        if self.ablated not in [variant.name for variant in self.recipes]:
            raise ValueError(f"ablated is '{self.ablated}', but must be the name of a recipe")
        if self.seconds <= 0 or not self.seeds:
            raise ValueError("seconds must be above 0, and seeds must hold at least one")

    @property
    def base(self) -> Variant:
        """What the ablations change."""
        return next(variant for variant in self.recipes if variant.name == self.ablated)

    def complete(self, ablation: Variant) -> Variant:
        """Give an ablation as a change of the shipped recipe."""
        change = laid_over(self.base.change, ablation.change, keep_null=True)
        return replace(ablation, recipe=self.base.recipe, change=change)


def laid_over(
    content: Mapping[str, Any], change: Mapping[str, Any], keep_null: bool = False
) -> dict[str, Any]:
    """Give `content` with `change` laid over it, object by object (as RFC 7386).

    Parameters
    ----------
    keep_null
        Keep a null, which takes a key out, for the next time: `content` is a change itself.
    """
    result = dict(content)
    for key, value in change.items():
        if value is None and not keep_null:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            below = result.get(key)
            below = below if isinstance(below, Mapping) else {}
            result[key] = laid_over(below, value, keep_null)
        else:
            result[key] = value
    return result


def stages_of(recipe: Recipe) -> dict[str, NetworkStage]:
    """Networks of a recipe by the name of their folder in a run, in the order of training."""
    stages = {f"teachers/{teacher.name}": teacher.network for teacher in recipe.teachers}
    if recipe.localiser is not None:
        stages["localiser"] = recipe.localiser
    return {**stages, "network": recipe.network}


def studies_folder() -> Path:
    """Folder of the studies that come with FlareTrain."""
    return train_resources_folder() / "Studies"


def read_study(name_or_path: str) -> StudySettings:
    """Read a study by the name of a shipped one, or from a JSON file.

    Raises
    ------
    InputError
        When there is none of that name, or it has a setting that is unknown or wrong.
    """
    path = named_file(studies_folder(), name_or_path, "study")
    return settings_from_json(StudySettings, read_json(path), f"The study {path.name}")
