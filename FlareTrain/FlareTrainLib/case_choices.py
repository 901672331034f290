"""What people decided about single cases, kept beside the dataset; it outranks every score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast, get_args

from .case_words import read_case_words
from .selection import CasePlan, CaseScores, Decision
from .settings import write_json

CHOICES = "choices.json"
Choice = Literal["accepted", "rejected"]


def read_choices(folder: Path) -> dict[str, Choice]:
    """Choices of a dataset by case name; none where nobody chose.

    Raises
    ------
    InputError
        When the file holds another word.
    """
    words = read_case_words(folder / CHOICES, get_args(Choice))
    return {case: cast(Choice, word) for case, word in words.items()}


def write_choice(folder: Path, case: str, choice: Choice | None) -> None:
    """Keep a choice; None leaves the case to the recipe's rules again.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    choices = read_choices(folder)
    choices.pop(case, None)
    if choice is not None:
        choices[case] = choice
    write_json(folder / CHOICES, choices)


def apply_choices(
    plans: Mapping[str, CasePlan], scores: list[CaseScores], choices: Mapping[str, Choice]
) -> tuple[dict[str, CasePlan], list[Decision]]:
    """Put people's choices over the plans; the new plans, and a line for each choice.

    A case that is annotated for all organs, or that no source labeled, has nothing to choose.
    """
    result, lines = dict(plans), []
    for score in scores:
        choice = choices.get(score.case)
        if choice is None or score.kind == "full" or not score.sources:
            continue
        taken = choice == "accepted"
        plan = result[score.case]
        result[score.case] = replace(
            plan,
            used=taken or score.kind == "partial",
            organs=taken,
            tumor=taken and plan.tumor,
        )
        lines.append(
            Decision(score.case, score.kind, "choice", choice, reason="Somebody looked at it.")
        )
    return result, lines
