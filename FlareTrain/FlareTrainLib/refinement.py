"""From pseudo-labels of several sources to training labels.

Annotated truth always wins. Scores, decisions and labels are left in the run's folder; a case that
is finished is not computed again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
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

from .agreement import (
    doubtful_organs,
    fuse_tumor,
    majority_vote,
    merge_truth,
    organ_agreement,
    organ_uncertainty,
    tumor_uncertainty,
    tumor_vote,
    unknown_where_different,
    veto_tumor,
)
from .case_choices import apply_choices, read_choices
from .case_loading import LoadedScan, load_case
from .cleaning import find_suspicious, without_suspicious
from .dataset import Dataset, DatasetCase, label_files
from .label_maps import grid_difference, target_ids
from .label_values import IGNORE, ORGANS, TUMOR
from .selection import (
    CasePlan,
    CaseScores,
    Decision,
    RefineSettings,
    decisions_csv,
    select_cases,
)
from .settings import read_json, settings_from_json, settings_to_json, write_json

logger = logging.getLogger(__name__)

LABELS = "labels"
CASES = "cases.json"
SCORES = "scores"
DECISIONS = "decisions"

IDENTITY = {label: label for label in range(1, 15)}
"""Pseudo-labels hold target ids."""


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


class Sources:
    """Pseudo-label folders of a refinement, most trusted first.

    Raises
    ------
    InputError
        When a wanted source is not there.
    """

    def __init__(self, folders: Mapping[str, Path], settings: RefineSettings) -> None:
        wanted = settings.sources or tuple(
            name for name in folders if name not in settings.tumor_sources
        )
        for name in (*wanted, *settings.tumor_sources):
            if name not in folders:
                there = ", ".join(folders) or "none"
                raise InputError(
                    f"There is no pseudo-label source '{name}' (there: {there}). Put its label "
                    "maps into pseudo/<source>/, or name other sources in the recipe."
                )
        self.names = wanted
        self.tumor_sources = settings.tumor_sources
        self._files = {name: label_files(folders[name]) for name in folders}
        self._known: dict[str, frozenset[int]] = {}

    def of(self, case: str) -> tuple[str, ...]:
        """Names of the sources that labeled a case."""
        return tuple(name for name in self.names if case in self._files[name])

    def read(self, name: str, case: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Label map and affine of a source for a case, as stored; None where it has none."""
        path = self._files[name].get(case)
        if path is None:
            return None
        labels, affine = read_label_map(path)
        return target_ids(labels, IDENTITY, path), affine

    def fingerprint(self, case: DatasetCase) -> list[list[Any]]:
        """What the result of a case depends on: its files with sizes and times of change."""
        files = [self._files[name].get(case.name) for name in self._files]
        return [
            [path.name, path.stat().st_size, path.stat().st_mtime_ns]
            for path in (case.scan, case.labels, *files)
            if path is not None
        ]

    def known(self, name: str) -> frozenset[int]:
        """Targets that a source ever gives: of the others it says nothing."""
        if name not in self._known:
            found: set[int] = set()
            for case in self._files[name]:
                content = self.read(name, case)
                if content is not None:
                    found |= {int(v) for v in np.unique(content[0])} - {0, IGNORE}
            self._known[name] = frozenset(found)
        return self._known[name]


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
    sources = Sources(folders, settings)
    for folder in (output, output / LABELS, output / SCORES):
        folder.mkdir(parents=True, exist_ok=True)
    _forget_other_settings(output, settings, sources)
    _warn_of_too_few(sources, settings)
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
    (output / f"{DECISIONS}.csv").write_text(decisions_csv(decisions), encoding="utf-8")
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


def case_kind(case: DatasetCase) -> str:
    """Whether a case is "full" (13 organs annotated), "partial" or "unlabeled"."""
    if set(ORGANS) <= case.known:
        return "full"
    return "partial" if case.annotated else "unlabeled"


def combine_sources(
    maps: Sequence[np.ndarray], settings: RefineSettings, tumors: np.ndarray | None = None
) -> np.ndarray:
    """Pseudo-labels of one case from its sources' maps, most trusted first."""
    primary = maps[0]
    if settings.labels == "majority":
        combined = majority_vote(list(maps))
    elif settings.labels == "certain":
        variants = list(maps[1:]) or [primary]
        combined = unknown_where_different(primary, variants, settings.least_organ_dsc)
    else:
        combined = veto_tumor(primary, list(maps[1:]))
    return combined if tumors is None else fuse_tumor(combined, tumors)


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
    path = output / SCORES / f"{case.name}.json"
    files = sources.fingerprint(case)
    if path.exists():
        kept = read_json(path)
        if kept["files"] == files:
            return settings_from_json(CaseScores, kept["scores"], str(path))
    names = sources.of(case.name)
    found: dict[str, Any] = {"case": case.name, "kind": case_kind(case), "sources": list(names)}
    if settings.gate is not None or settings.top_fraction < 1:
        pair = (settings.gate.between if settings.gate else ()) or names[:2]
        if len(pair) == 2 and set(pair) <= set(names):
            common = (sources.known(pair[0]) & sources.known(pair[1])) & set(ORGANS)
            a, b = (_only(sources, name, case.name, common) for name in pair)
            agreement = organ_agreement(a, b)
            found["agreement"] = None if agreement != agreement else agreement
    if len(names) >= 3 and (settings.uncertainty is not None or settings.top_fraction < 1):
        y1, y2, y3 = (_array(sources, name, case.name) for name in names[:3])
        found["organ_uncertainty"] = organ_uncertainty(y1, y2, y3)
        if all(TUMOR in sources.known(name) for name in names[:3]):
            found["tumor_uncertainty"] = tumor_uncertainty(y1, y2, y3)
    write_json(path, {"files": files, "scores": found})
    return settings_from_json(CaseScores, found, str(path))


def _array(sources: Sources, name: str, case: str) -> np.ndarray:
    content = sources.read(name, case)
    assert content is not None
    return content[0]


def _only(sources: Sources, name: str, case: str, ids: frozenset[int]) -> np.ndarray:
    """A source's map without the targets that the other source never gives."""
    array = _array(sources, name, case)
    return np.where(np.isin(array, sorted(ids)), array, 0)


def _refine_case(
    dataset: Dataset,
    case: DatasetCase,
    plan: CasePlan,
    sources: Sources,
    settings: RefineSettings,
    output: Path,
) -> tuple[RefinedCase, list[Decision]]:
    pseudo_ids = _pseudo_ids(case, plan, sources)
    refined = RefinedCase(
        case.name, tuple(sorted(case.known)), pseudo_ids, _tumor_state(case, pseudo_ids)
    )
    path = output / LABELS / f"{case.name}.nii.gz"
    notes_path = output / SCORES / f"{case.name}.notes"
    made_from = {"files": sources.fingerprint(case), "case": settings_to_json(refined)}
    if path.exists() and notes_path.exists():
        kept = read_json(notes_path)
        if kept["made_from"] == made_from:
            entries = kept["notes"]
            return refined, [settings_from_json(Decision, e, str(notes_path)) for e in entries]
    scan = load_case(dataset, case)
    notes: list[Decision] = []
    if plan.organs:
        labels = _pseudo_labels(scan, case, plan, sources, settings, notes)
    else:
        labels = np.zeros(scan.volume.array.shape, np.uint8)
        labels = merge_truth(labels, scan.labels, case.annotated)
    write_label_map(path, labels, scan.volume.affine, targets())
    entries = [settings_to_json(note) for note in notes]
    write_json(notes_path, {"made_from": made_from, "notes": entries})
    logger.info(
        "refined %s: %d truth, %d pseudo targets", case.name, len(case.known), len(pseudo_ids)
    )
    return refined, notes


def _pseudo_ids(case: DatasetCase, plan: CasePlan, sources: Sources) -> tuple[int, ...]:
    if not plan.organs:
        return ()
    names = sources.of(case.name)
    known = set(sources.known(names[0])) & set(ORGANS)
    tumor_from = sources.tumor_sources or names[:1]
    if plan.tumor and all(TUMOR in sources.known(name) for name in tumor_from):
        known.add(TUMOR)
    return tuple(sorted(known - case.known))


def _tumor_state(case: DatasetCase, pseudo_ids: tuple[int, ...]) -> str:
    if TUMOR in case.annotated:
        return "annotated"
    if TUMOR in case.absent:
        return "absent"
    return "pseudo" if TUMOR in pseudo_ids else "unknown"


def _pseudo_labels(
    scan: LoadedScan,
    case: DatasetCase,
    plan: CasePlan,
    sources: Sources,
    settings: RefineSettings,
    notes: list[Decision],
) -> np.ndarray:
    """Combined, cleaned pseudo-labels of a case with its truth put over them."""
    names = sources.of(case.name)
    maps = [_on_scan(scan, sources, name, case) for name in names]
    tumors = None
    if sources.tumor_sources and plan.tumor:
        tumors = tumor_vote([_on_scan(scan, sources, name, case) for name in sources.tumor_sources])
    combined = combine_sources(maps, settings, tumors)
    kind = case_kind(case)
    if settings.labels == "certain":
        for organ in doubtful_organs(maps[1:], settings.least_organ_dsc):
            reason = f"The sources overlap too little on organ {organ}: unknown in this case."
            limit = settings.least_organ_dsc
            notes.append(
                Decision(case.name, kind, "doubtful organ", "unknown", None, limit, reason)
            )
    if not plan.tumor:
        # P3: tumor becomes background, and a tumor is cut in where the recipe says so.
        combined[combined == TUMOR] = 0
    if settings.cleaning != "off":
        spacing = scan.volume.spacing
        if settings.cleaning == "apply":
            combined, proposals = without_suspicious(combined, spacing, settings.components)
        else:
            proposals = find_suspicious(combined, spacing, settings.components)
        done = "removed" if settings.cleaning == "apply" else "proposed"
        notes += [
            Decision(case.name, kind, "cleaning", done, float(p.voxels), None, p.reason)
            for p in proposals
        ]
    annotated = tuple(sorted(case.known))
    truth = scan.labels
    if truth is None and case.absent:
        truth = np.zeros(combined.shape, np.uint8)
    return merge_truth(combined, truth, annotated, maps[0])


def _on_scan(scan: LoadedScan, sources: Sources, name: str, case: DatasetCase) -> np.ndarray:
    """A source's map in the scan's canonical axes; it must lie on the scan's grid."""
    content = sources.read(name, case.name)
    if content is None:
        raise InputError(
            f"Source '{name}' has no label map of {case.name}. Label the case with it, or take "
            "the source out of the recipe."
        )
    volume, _ = canonical_volume(Volume(content[0], content[1], case.name))
    difference = grid_difference(
        scan.volume.array.shape, scan.volume.affine, volume.array.shape, volume.affine
    )
    if difference:
        raise InputError(
            f"{case.name}: the label map of source '{name}' does not lie on the grid of the scan: "
            f"{difference}. Make it again on this scan."
        )
    return np.ascontiguousarray(volume.array)
