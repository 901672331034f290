"""Which cases are trained on and which judge: moved by people, or a fold; scans stay put.

A dataset's ``split.json`` names the cases that people moved: ``{"case": "validation"}``. A run
keeps the names it began with, so that moving a case later does not mix what it learned from with
what it is judged by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

from FlareSegmentLib.errors import InputError

from .case_words import read_case_words
from .settings import read_json, write_json

if TYPE_CHECKING:
    from .dataset import Dataset, DatasetCase

SPLIT = "split.json"
FOLDS = 5
Part = Literal["training", "validation"]


@dataclass(frozen=True)
class RunSplit:
    """Names of the cases that a run learns from, and of those that judge it."""

    training: tuple[str, ...]
    validation: tuple[str, ...]


def read_moves(folder: Path) -> dict[str, Part]:
    """Give the cases that people moved, by name; none where nobody did.

    Raises
    ------
    InputError
        When the file holds another word.
    """
    words = read_case_words(folder / SPLIT, get_args(Part))
    return {case: cast(Part, word) for case, word in words.items()}


def move_case(folder: Path, case: str, part: Part) -> None:
    """Keep which part a case belongs to; no scan is touched.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    write_json(folder / SPLIT, {**read_moves(folder), case: part})


def moved(
    cases: list[DatasetCase], validation: list[DatasetCase], moves: Mapping[str, Part]
) -> tuple[list[DatasetCase], list[DatasetCase]]:
    """Give training and validation cases after the moves, by name.

    A case of which nothing is annotated judges nothing: it stays in training.
    """
    parts: dict[str, list[DatasetCase]] = {"training": [], "validation": []}
    for home, members in (("training", cases), ("validation", validation)):
        for case in members:
            part = moves.get(case.name, home)
            if part == "validation" and home == "training" and case.labels is None:
                part = home
            parts[part].append(case)
    training, judges = (sorted(parts[part], key=_name) for part in ("training", "validation"))
    return training, judges


def split_of(dataset: Dataset, fold: int | None = None, folds: int = FOLDS) -> RunSplit:
    """Give the dataset's own split, or one whose validation cases are a fold of the training's.

    Parameters
    ----------
    fold
        1 to `folds`: every `folds`-th case with a label map judges instead of the validation
        cases, which are then neither trained on nor judged by. None keeps the dataset's split.

    Raises
    ------
    InputError
        When there is no such fold, or a fold would be empty.
    """
    names = tuple(case.name for case in dataset.cases)
    if fold is None:
        return RunSplit(names, tuple(case.name for case in dataset.validation))
    if not 1 <= fold <= folds:
        raise InputError(f"There is no fold {fold} of {folds}.")
    drawn = sorted(case.name for case in dataset.cases if case.labels is not None)
    if len(drawn) < folds:
        raise InputError(
            f"{folds} folds need {folds} cases with a label map, and {dataset.folder.name} has "
            f"{len(drawn)}. Annotate more cases, or train without folds."
        )
    judges = tuple(drawn[fold - 1 :: folds])
    return RunSplit(tuple(name for name in names if name not in judges), judges)


def with_split(dataset: Dataset, split: RunSplit) -> Dataset:
    """Give the dataset as a run sees it: cases that came later are left out.

    Raises
    ------
    InputError
        When a case is not there any more.
    """
    known = {case.name: case for case in (*dataset.cases, *dataset.validation)}
    gone = [name for name in (*split.training, *split.validation) if name not in known]
    if gone:
        raise InputError(
            f"The case {gone[0]}, which the run was begun with, is not in {dataset.folder} any "
            "more. Put it back, or start a new run."
        )
    notes = dataset.notes
    if split.validation:
        notes = tuple(note for note in notes if not note.startswith("There are no validation"))
    return replace(
        dataset,
        cases=tuple(known[name] for name in split.training),
        validation=tuple(known[name] for name in split.validation),
        notes=notes,
    )


def read_split(path: Path) -> RunSplit | None:
    """Give the split that a run was begun with, None before that."""
    if not path.is_file():
        return None
    content = read_json(path)
    return RunSplit(tuple(content["training"]), tuple(content["validation"]))


def write_split(path: Path, split: RunSplit) -> None:
    """Keep the split of a run."""
    content = {"training": list(split.training), "validation": list(split.validation)}
    write_json(path, content)


def _name(case: DatasetCase) -> str:
    return case.name
