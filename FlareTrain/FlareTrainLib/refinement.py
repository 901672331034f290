"""From pseudo-labels of several sources to training labels.

Annotated truth always wins. Scores, decisions and labels are left in the run's folder; a case that
is finished is not computed again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.geometry import canonical_volume
from FlareSegmentLib.labels import targets
from FlareSegmentLib.reading import read_label_map
from FlareSegmentLib.volume import Volume
from FlareSegmentLib.writing import write_label_map

from .agreement import organ_agreement, organ_uncertainty, tumor_uncertainty
from .case_choices import apply_choices, read_choices
from .case_loading import load_case
from .dataset import Dataset, DatasetCase
from .label_maps import grid_difference
from .label_merging import merged_labels, pseudo_targets
from .label_values import ORGANS, TUMOR
from .pseudo_sources import Sources
from .refine_settings import RefineSettings
from .selection import (
    CasePlan,
    CaseScores,
    Decision,
    case_kind,
    decisions_csv,
    select_cases,
)
from .settings import read_json, settings_from_json, settings_to_json, write_json
from .whole_files import made_folder, write_text

logger = logging.getLogger(__name__)

LABELS = "labels"
CASES = "cases.json"
SCORES = "scores"
DECISIONS = "decisions"
KNOWN = "sources.json"


@dataclass(frozen=True)
class RefinedCase:
    """A case ready for packing.

    Attributes
    ----------
    name
        Case name.
    annotated
        Targets known by hand, present or absent.
    pseudo
        Targets known from pseudo-labels.
    tumor
        "annotated", "absent", "pseudo" or "unknown".
    """

    name: str
    annotated: tuple[int, ...]
    pseudo: tuple[int, ...]
    tumor: str


def refine_dataset(
    dataset: Dataset, folders: Mapping[str, Path], settings: RefineSettings, output: Path
) -> list[RefinedCase]:
    """Turn truth and pseudo-labels into training labels.

    `output` gets ``labels/<case>.nii.gz`` (255 where nothing is known), ``cases.json``,
    ``decisions.csv`` and ``decisions.json``.

    Raises
    ------
    InputError
        When a source is missing, a label map does not fit its scan, or no case is left.
    """
    sources = Sources(folders, settings, output / KNOWN)
    for folder in (output, output / LABELS, output / SCORES):
        made_folder(folder)
    _forget_other_settings(output, settings, sources)
    _warn_of_too_few(sources, settings)
    sources.warn_of_strangers(dataset.cases)
    scores = [_scores(dataset, case, sources, settings, output) for case in dataset.cases]
    plans, decisions = select_cases(scores, settings)
    plans, chosen = apply_choices(plans, scores, read_choices(dataset.folder))
    decisions += chosen
    refined = []
    for case in dataset.cases:
        if plans[case.name].used:
            result, notes = _refine_case(dataset, case, plans[case.name], sources, settings, output)
            refined.append(result)
            decisions += notes
    write_json(output / f"{DECISIONS}.json", [settings_to_json(d) for d in decisions])
    write_text(output / f"{DECISIONS}.csv", decisions_csv(decisions))
    if not refined:
        raise InputError(
            f"No case is left to train on: all pseudo-labels were rejected. The scores are in "
            f"{output / DECISIONS}.csv; lower the limits in the recipe or add annotated cases."
        )
    write_json(output / CASES, [settings_to_json(case) for case in refined])
    return refined


def read_refined(folder: Path) -> list[RefinedCase]:
    """Cases of a finished refinement."""
    content = read_json(folder / CASES)
    return [settings_from_json(RefinedCase, entry, str(folder / CASES)) for entry in content]


def read_refined_labels(path: Path, scan: Volume) -> np.ndarray:
    """Labels (k, j, i) of a refined case; `scan` is the case in canonical axes."""
    labels, affine = read_label_map(path)
    volume, _ = canonical_volume(Volume(labels, affine, scan.name))
    difference = grid_difference(scan.array.shape, scan.affine, volume.array.shape, volume.affine)
    if difference:
        raise InputError(
            f"{path} does not lie on the grid of its scan any more: {difference}. The scan was "
            "exchanged after the labels were made; start a new run."
        )
    return np.ascontiguousarray(volume.array.astype(np.uint8))


def _warn_of_too_few(sources: Sources, settings: RefineSettings) -> None:
    """Say it when a choice is asked for that the sources cannot give."""
    needed = 1
    if settings.gate is not None or settings.top_fraction < 1:
        needed = 2
    if settings.uncertainty is not None or settings.labels == "majority":
        needed = 3
    trusts_one = settings.gate is not None and settings.gate.uncompared == "pass"
    if needed == 2 and len(sources.names) == 1 and trusts_one:
        logger.warning(
            "There is one source of pseudo-labels only: the agreement gate has nothing to compare "
            "and lets all cases pass (uncompared: pass). A second source, of another model, lets "
            "it find the bad ones (flare-train pseudo)."
        )
    elif len(sources.names) < needed:
        logger.warning(
            "The recipe chooses pseudo-labels by comparing %d sources, but there %s only %d: most "
            "unlabeled scans will be left out. Label them with other models (flare-train pseudo) "
            "into pseudo/<source>/.",
            needed,
            "is" if len(sources.names) == 1 else "are",
            len(sources.names),
        )


def _forget_other_settings(output: Path, settings: RefineSettings, sources: Sources) -> None:
    """Remove scores and labels that were made with other settings or sources."""
    key = {"settings": settings_to_json(settings), "sources": list(sources.names)}
    path = output / "settings.json"
    if path.exists() and read_json(path) == key:
        return
    for folder in (output / LABELS, output / SCORES):
        for file in folder.iterdir():
            file.unlink()
    write_json(path, key)


def _scores(
    dataset: Dataset, case: DatasetCase, sources: Sources, settings: RefineSettings, output: Path
) -> CaseScores:
    """What is known about a case before anything is decided; kept, so computed once."""
    names = sources.of(case.name)
    pair, three = _compared(names, settings)
    organs = [sorted(_common(sources, group)) for group in (pair, three)]
    path = output / SCORES / f"{case.name}.json"
    made_from = {"files": sources.fingerprint(case), "organs": organs}
    if path.exists():
        kept = read_json(path)
        if kept.get("made_from") == made_from:
            return settings_from_json(CaseScores, kept["scores"], str(path))
    found: dict[str, Any] = {"case": case.name, "kind": case_kind(case), "sources": list(names)}
    if pair:
        a, b = _maps(sources, pair, case.name, organs[0])
        agreement = organ_agreement(a, b)
        found["agreement"] = None if agreement != agreement else agreement
    if three:
        y1, y2, y3 = _maps(sources, three, case.name, organs[1])
        found["organ_uncertainty"] = organ_uncertainty(y1, y2, y3)
        if all(TUMOR in sources.known(name) for name in three):
            y1, y2, y3 = _maps(sources, three, case.name, [TUMOR])
            found["tumor_uncertainty"] = tumor_uncertainty(y1, y2, y3)
    write_json(path, {"made_from": made_from, "scores": found})
    return settings_from_json(CaseScores, found, str(path))


def _compared(
    names: tuple[str, ...], settings: RefineSettings
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Two sources for the agreement and three for the uncertainty; none where not asked for."""
    pair: tuple[str, ...] = ()
    three: tuple[str, ...] = ()
    if settings.gate is not None or settings.top_fraction < 1:
        pair = (settings.gate.between if settings.gate else ()) or names[:2]
        pair = pair if len(pair) == 2 and set(pair) <= set(names) else ()
    if len(names) >= 3 and (settings.uncertainty is not None or settings.top_fraction < 1):
        three = names[:3]
    return pair, three


def _common(sources: Sources, names: tuple[str, ...]) -> set[int]:
    """Organs that all of these sources give: on the others they cannot be compared."""
    if not names:
        return set()
    return set(ORGANS).intersection(*(sources.known(name) for name in names))


def _maps(sources: Sources, names: tuple[str, ...], case: str, ids: list[int]) -> list[np.ndarray]:
    """The sources' maps of a case, with these targets only.

    Raises
    ------
    InputError
        When they do not lie on one grid.
    """
    maps: list[np.ndarray] = []
    for name in names:
        array, _ = sources.read(name, case)
        if maps and array.shape != maps[0].shape:
            raise InputError(
                f"{case}: the label maps of the sources '{names[0]}' and '{name}' have different "
                "sizes. Make them again on this scan."
            )
        maps.append(np.where(np.isin(array, ids), array, 0).astype(np.uint8))
    return maps


def _refine_case(
    dataset: Dataset,
    case: DatasetCase,
    plan: CasePlan,
    sources: Sources,
    settings: RefineSettings,
    output: Path,
) -> tuple[RefinedCase, list[Decision]]:
    pseudo = pseudo_targets(case, plan, sources, settings)
    refined = RefinedCase(case.name, tuple(sorted(case.known)), pseudo, _tumor_state(case, pseudo))
    path = output / LABELS / f"{case.name}.nii.gz"
    notes_path = output / SCORES / f"{case.name}.notes"
    made_from = {"files": sources.fingerprint(case), "case": settings_to_json(refined)}
    if path.exists() and notes_path.exists():
        kept = read_json(notes_path)
        if kept["made_from"] == made_from:
            entries = kept["notes"]
            return refined, [settings_from_json(Decision, e, str(notes_path)) for e in entries]
    scan = load_case(dataset, case)
    labels, notes = merged_labels(scan, case, plan, sources, settings)
    write_label_map(path, labels, scan.volume.affine, targets())
    entries = [settings_to_json(note) for note in notes]
    write_json(notes_path, {"made_from": made_from, "notes": entries})
    logger.info(
        "refined %s: %d targets annotated, %d from pseudo-labels",
        case.name,
        len(case.known),
        len(pseudo),
    )
    return refined, notes


def _tumor_state(case: DatasetCase, pseudo: tuple[int, ...]) -> str:
    if TUMOR in case.annotated:
        return "annotated"
    if TUMOR in case.absent:
        return "absent"
    return "pseudo" if TUMOR in pseudo else "unknown"
