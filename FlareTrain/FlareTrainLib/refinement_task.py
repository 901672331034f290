"""Pseudo-labels by chosen models, then the decisions about them, for people to look at.

The result lies in ``<dataset>/refinement``; a training run makes its own from the same sources,
rules and choices.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from FlareSegmentLib.errors import InputError

from .dataset import read_dataset
from .recipe import Recipe, read_recipe
from .refinement import DECISIONS, SCORES, refine_dataset
from .settings import read_json, write_json

logger = logging.getLogger(__name__)

REFINEMENT = "refinement"
WORKLIST = "worklist.json"


@dataclass(frozen=True)
class WorklistRow:
    """One case in the order in which it should be looked at.

    Attributes
    ----------
    case, kind
        Its name; "full", "partial" or "unlabeled".
    sources
        Sources that labeled it.
    agreement, organ_uncertainty, tumor_uncertainty
        Scores, None where they need more sources than there are.
    use
        What training takes of it.
    choice
        "accepted" or "rejected" by a person, or "".
    reason
        Sentences that led to it.
    """

    case: str
    kind: str
    sources: tuple[str, ...]
    agreement: float | None
    organ_uncertainty: float | None
    tumor_uncertainty: float | None
    use: str
    choice: str
    reason: str

    @property
    def doubt(self) -> float:
        """The higher, the sooner a person should look; -1 without a score."""
        if self.organ_uncertainty is not None:
            return self.organ_uncertainty
        return -1.0 if self.agreement is None else 1.0 - self.agreement


def refine(folder: Path, wanted: dict[str, Any]) -> str:
    """Label with the chosen models, then refine; a sentence about what came out."""
    from .pseudo_labels import label_scans

    data = Path(wanted["data"])
    dataset = read_dataset(data)
    scans = {case.name: case.scan for case in dataset.cases}
    names = list(wanted["sources"])
    for name, bundle in wanted["models"].items():
        label_scans(Path(bundle), scans, data / "pseudo" / name, wanted.get("device", "auto"))
        names.append(name)
    dataset = read_dataset(data)
    names = list(dict.fromkeys(names))
    if not names:
        raise InputError("There is no source to refine. Check a model or a folder of label maps.")
    missing = [name for name in names if name not in dataset.sources]
    if missing:
        raise InputError(f"The source {missing[0]} is not in {data / 'pseudo'} any more.")
    settings = with_sources(read_recipe(wanted["recipe"]), tuple(names)).refine
    refined = refine_dataset(dataset, dataset.sources, settings, folder)
    write_json(folder / WORKLIST, [asdict(row) for row in _rows(folder)])
    return f"{len(refined)} of {len(dataset.cases)} cases are used."


def with_sources(recipe: Recipe, names: tuple[str, ...]) -> Recipe:
    """Give a recipe the chosen sources; one with teachers makes its own and keeps them."""
    if recipe.teachers or not names:
        return recipe
    settings = recipe.refine
    gate = settings.gate
    if gate is not None and not set(gate.between) <= set(names):
        gate = replace(gate, between=())
    tumor = tuple(name for name in settings.tumor_sources if name in names)
    return replace(recipe, refine=replace(settings, sources=names, gate=gate, tumor_sources=tumor))


def worklist(folder: Path) -> list[WorklistRow]:
    """Read the worklist of the last finished refinement, empty when there was none."""
    path = folder / WORKLIST
    if not path.is_file():
        return []
    return [WorklistRow(**{**row, "sources": tuple(row["sources"])}) for row in read_json(path)]


def _rows(folder: Path) -> list[WorklistRow]:
    """Gather decisions and scores of all cases: what should be looked at first, first."""
    path = folder / f"{DECISIONS}.json"
    lines: dict[str, list[dict[str, Any]]] = {}
    for decision in read_json(path):
        lines.setdefault(decision["case"], []).append(decision)
    rows = []
    for case, decisions in lines.items():
        scores = read_json(folder / SCORES / f"{case}.json")["scores"]
        by_step = {d["step"]: d["decision"] for d in decisions}
        reasons = [
            d["reason"] for d in decisions if d["reason"] and d["step"] not in ("use", "cleaning")
        ]
        choice = by_step.get("choice", "")
        use = by_step.get("use", "")
        if choice == "accepted":
            use = "pseudo organs"
        elif choice == "rejected":
            use = "truth only" if scores["kind"] == "partial" else "left out"
        rows.append(
            WorklistRow(
                case,
                scores["kind"],
                tuple(scores["sources"]),
                scores.get("agreement"),
                scores.get("organ_uncertainty"),
                scores.get("tumor_uncertainty"),
                use,
                choice,
                " ".join(reasons),
            )
        )
    return sorted(rows, key=lambda row: (-row.doubt, row.case))
