"""How well pseudo-labels of one scan agree: the numbers that selection is made by."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from FlareSegmentLib.metrics import dsc

from .label_values import IGNORE, ORGANS, TUMOR


def organ_agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Mean DSC over the 13 organs of two label maps (P1); organs absent in both do not count.

    NaN when neither holds any organ. P1 does not say how the classes are reduced; methods A1 1.2
    settles it.
    """
    scores = [dsc(a == organ, b == organ) for organ in ORGANS]
    known = [score for score in scores if not math.isnan(score)]
    return float(np.mean(known)) if known else math.nan


def organ_dsc(a: np.ndarray, b: np.ndarray, organ: int) -> float:
    """DSC of one organ; one when it is absent in both."""
    score = dsc(a == organ, b == organ)
    return 1.0 if math.isnan(score) else score


def uncertainty(y1: np.ndarray, y2: np.ndarray, y3: np.ndarray) -> float:
    """Disagreement of three label maps, P3: u = 1/2 [ |y1!=y2| / |y2>0| + |y2!=y3| / |y3>0| ].

    A term whose two maps are both empty is 0; one whose denominator alone is empty is infinite.
    """
    return 0.5 * (_disagreement(y1, y2) + _disagreement(y2, y3))


def organ_uncertainty(y1: np.ndarray, y2: np.ndarray, y3: np.ndarray) -> float:
    """`uncertainty` of the organs: tumor counts as background."""
    return uncertainty(*(_organs(y) for y in (y1, y2, y3)))


def tumor_uncertainty(y1: np.ndarray, y2: np.ndarray, y3: np.ndarray) -> float:
    """`uncertainty` of the tumors: organs count as background."""
    return uncertainty(y1 == TUMOR, y2 == TUMOR, y3 == TUMOR)


def majority_vote(maps: list[np.ndarray]) -> np.ndarray:
    """Label that more than half of three or more maps give; unknown where there is none.

    Tumor needs every map that has an opinion: where one says tumor and another an organ, the
    organ stands (tumor veto, P3's merging rule).

    Raises
    ------
    ValueError
        With fewer than three maps: two cannot outvote each other.
    """
    if len(maps) < 3:
        raise ValueError(f"a majority needs at least three label maps, not {len(maps)}")
    vetoed = [veto_tumor(own, [m for m in maps if m is not own]) for own in maps]
    stack = np.stack(vetoed)
    result = np.full(maps[0].shape, IGNORE, np.uint8)
    for label in np.unique(stack):
        votes = (stack == label).sum(axis=0)
        result[votes * 2 > len(maps)] = label
    return result


def veto_tumor(own: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
    """Where `own` says tumor and another map an organ, the first such organ; else `own`."""
    result = own.copy()
    for other in others:
        organ = (result == TUMOR) & (other > 0) & (other < TUMOR)
        result[organ] = other[organ]
    return result


def tumor_vote(maps: list[np.ndarray]) -> np.ndarray:
    """Tumor (14) where more than half of the maps say so, else 0."""
    votes = np.sum([m == TUMOR for m in maps], axis=0)
    return np.where(votes * 2 > len(maps), TUMOR, 0).astype(np.uint8)


def fuse_tumor(organs: np.ndarray, tumors: np.ndarray) -> np.ndarray:
    """Organs of one map, tumors of another; tumor has priority (P5)."""
    result = _organs(organs)
    result[tumors == TUMOR] = TUMOR
    return result


def unknown_where_different(
    primary: np.ndarray, variants: list[np.ndarray], least_dsc: float
) -> np.ndarray:
    """The primary map, with doubtful voxels and doubtful organs unknown.

    Voxels where a variant differs are doubtful, but not a voxel's width at a boundary, where
    sources always differ. An organ is doubtful in the whole scan when two variants overlap less
    than `least_dsc`.
    """
    labels = primary.copy()
    doubtful = np.zeros(primary.shape, bool)
    for variant in variants:
        doubtful |= variant != primary
    labels[ndimage.binary_opening(doubtful, np.ones((1, 3, 3), bool))] = IGNORE
    for organ in doubtful_organs(variants, least_dsc):
        for variant in variants:
            labels[variant == organ] = IGNORE
    return labels


def doubtful_organs(variants: list[np.ndarray], least_dsc: float) -> list[int]:
    """Organs whose worst pairwise DSC among the variants is below `least_dsc`."""
    pairs = [(a, b) for n, a in enumerate(variants) for b in variants[n + 1 :]]
    return [
        organ
        for organ in ORGANS
        if min((organ_dsc(a, b, organ) for a, b in pairs), default=1.0) < least_dsc
    ]


def merge_truth(
    pseudo: np.ndarray,
    truth: np.ndarray | None,
    annotated: tuple[int, ...],
    primary: np.ndarray | None = None,
) -> np.ndarray:
    """Pseudo-labels corrected by every annotated target: the truth always wins.

    A pseudo-label of an annotated target that the truth does not confirm becomes background; with
    `primary`, the map before doubtful voxels were made unknown, those voxels too.
    """
    labels = pseudo.copy()
    if truth is None:
        return labels
    for target in annotated:
        claimed = labels == target
        if primary is not None:
            claimed |= primary == target
        labels[claimed & (truth != target)] = 0
    for target in annotated:
        labels[truth == target] = target
    labels[truth == IGNORE] = IGNORE
    return labels


def _disagreement(a: np.ndarray, b: np.ndarray) -> float:
    size = int(np.count_nonzero(b))
    if size == 0:
        return 0.0 if not np.any(a) else math.inf
    return int(np.count_nonzero(a != b)) / size


def _organs(labels: np.ndarray) -> np.ndarray:
    return np.where(labels == TUMOR, 0, labels).astype(np.uint8)
