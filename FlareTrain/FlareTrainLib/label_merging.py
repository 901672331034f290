"""One label map from truth and pseudo-labels of several sources; the truth always wins."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import target_by_id

from .agreement import (
    doubtful_organs,
    fuse_tumor,
    majority_vote,
    merge_truth,
    tumor_vote,
    unknown_where_different,
    veto_tumor,
)
from .case_loading import LoadedScan
from .cleaning import find_suspicious, without_suspicious
from .dataset import DatasetCase
from .label_values import IGNORE, ORGANS, TUMOR
from .pseudo_sources import Sources
from .refine_settings import RefineSettings
from .selection import CasePlan, Decision, case_kind


def combine_sources(
    maps: Sequence[np.ndarray],
    settings: RefineSettings,
    tumors: np.ndarray | None = None,
    known: Sequence[Collection[int]] = (),
) -> np.ndarray:
    """Pseudo-labels of one case from its sources' maps, most trusted first.

    Parameters
    ----------
    tumors
        Tumors that are put over the organs; None to leave the maps' own.
    known
        Targets that each map's source gives; empty where all give all.
    """
    if settings.labels == "majority":
        combined = majority_vote(list(maps))
    elif settings.labels == "certain":
        combined = unknown_where_different(maps, settings.least_organ_dsc, known)
    else:
        combined = veto_tumor(maps[0], list(maps[1:]))
    return combined if tumors is None else fuse_tumor(combined, tumors)


def pseudo_targets(
    case: DatasetCase, plan: CasePlan, sources: Sources, settings: RefineSettings
) -> tuple[int, ...]:
    """Targets that a case knows from pseudo-labels and not from people."""
    if not plan.organs:
        return ()
    names = sources.of(case.name)
    # In a vote, a source that never gives an organ would always vote against it.
    asked = names if settings.labels == "majority" else names[:1]
    known = set(ORGANS).intersection(*(sources.known(name) for name in asked))
    tumor_from = sources.tumor_sources or names[:1]
    if plan.tumor and all(TUMOR in sources.known(name) for name in tumor_from):
        known.add(TUMOR)
    return tuple(sorted(known - case.known))


def merged_labels(
    scan: LoadedScan,
    case: DatasetCase,
    plan: CasePlan,
    sources: Sources,
    settings: RefineSettings,
) -> tuple[np.ndarray, list[Decision]]:
    """Training labels of a case, and what was decided about single organs and components.

    Returns
    -------
    labels
        (k, j, i) uint8 in canonical axes, 255 where nothing is known.
    """
    if not plan.organs:
        nothing = np.zeros(scan.volume.array.shape, np.uint8)
        return merge_truth(nothing, scan.labels, case.annotated), []
    names = sources.of(case.name)
    if settings.labels == "majority" and len(names) < 3:
        raise InputError(
            f"{case.name} was accepted, but the recipe lets three sources vote, and {len(names)} "
            "labeled it. Label it with more models, or take the choice back."
        )
    maps = [sources.on_scan(name, case.name, scan) for name in names]
    known = [sources.known(name) for name in names]
    tumors = None
    if sources.tumor_sources and plan.tumor:
        tumors = tumor_vote(
            [sources.on_scan(name, case.name, scan) for name in sources.tumor_sources]
        )
    combined = combine_sources(maps, settings, tumors, known)
    notes: list[Decision] = []
    if settings.labels == "certain":
        notes += _doubts(case, doubtful_organs(maps, settings.least_organ_dsc, known), settings)
    if not plan.tumor:
        # P3 says background, and cuts a tumor in elsewhere. Without that choice nothing is known
        # there: background would teach that an organ ends where its tumor begins.
        chosen = settings.tumor == "certain" and settings.uncertainty is not None
        combined[combined == TUMOR] = 0 if chosen else IGNORE
    combined, cleaned = _cleaned(combined, case, scan, settings)
    truth = scan.labels
    if truth is None and case.absent:
        truth = np.zeros(combined.shape, np.uint8)
    return merge_truth(combined, truth, tuple(sorted(case.known)), maps[0]), notes + cleaned


def _doubts(case: DatasetCase, organs: list[int], settings: RefineSettings) -> list[Decision]:
    """Lines of the table about organs that are unknown in a case."""
    return [
        Decision(
            case.name,
            case_kind(case),
            "doubtful organ",
            "unknown",
            None,
            settings.least_organ_dsc,
            f"{target_by_id(organ).name}: the sources overlap too little; unknown in this case.",
        )
        for organ in organs
    ]


def _cleaned(
    labels: np.ndarray, case: DatasetCase, scan: LoadedScan, settings: RefineSettings
) -> tuple[np.ndarray, list[Decision]]:
    """Labels without suspicious components, if the recipe says so, and lines about them."""
    if settings.cleaning == "off":
        return labels, []
    spacing = scan.volume.spacing
    done = "proposed"
    if settings.cleaning == "apply":
        labels, proposals = without_suspicious(labels, spacing, settings.components)
        done = "removed"
    else:
        proposals = find_suspicious(labels, spacing, settings.components)
    kind = case_kind(case)
    return labels, [
        Decision(case.name, kind, "cleaning", done, float(p.voxels), None, p.reason)
        for p in proposals
    ]
