"""How well pseudo-labels of one scan agree: the numbers that selection is made by."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence

import numpy as np
from scipy import ndimage

from .label_values import IGNORE, ORGANS, TUMOR

VALUES = 256
"""Values of a label map."""


def organ_dscs(a: np.ndarray, b: np.ndarray) -> dict[int, float]:
    """DSC of each organ of two label maps; NaN where both lack it."""
    together = np.zeros(VALUES * VALUES, np.int64)
    for one, other in zip(a, b, strict=True):
        # All organs in one pass, slice by slice: a scan's worth of pairs would take a gigabyte.
        pairs = one.astype(np.uint16) * VALUES + other
        together += np.bincount(pairs.ravel(), minlength=VALUES * VALUES)
    table = together.reshape(VALUES, VALUES)
    sizes = table.sum(axis=0) + table.sum(axis=1)
    return {
        organ: 2 * float(table[organ, organ]) / float(sizes[organ]) if sizes[organ] else math.nan
        for organ in ORGANS
    }


def organ_agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Mean DSC over the 13 organs of two label maps (P1); organs absent in both do not count.

    NaN when neither holds any organ. P1 does not say how the classes are reduced; methods A1 1.2
    settles it.
    """
    known = [score for score in organ_dscs(a, b).values() if not math.isnan(score)]
    return float(np.mean(known)) if known else math.nan


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
    maps: Sequence[np.ndarray], least_dsc: float, known: Sequence[Collection[int]] = ()
) -> np.ndarray:
    """The first of some label maps, with doubtful voxels and doubtful organs unknown.

    Voxels where another map differs are doubtful, but not a voxel's width at a boundary, where
    sources always differ. An organ is doubtful in the whole scan when two maps overlap less than
    `least_dsc`.

    Parameters
    ----------
    known
        Targets that each map's source ever gives; empty where all give all. Background says
        nothing about a target that a source never gives.
    """
    primary = maps[0]
    labels = primary.copy()
    doubtful = np.zeros(primary.shape, bool)
    for number, other in enumerate(maps[1:], start=1):
        differs = other != primary
        if known:
            foreign = [target for target in (*ORGANS, TUMOR) if target not in known[number]]
            differs &= (other != 0) | ~np.isin(primary, foreign)
        doubtful |= differs
    labels[ndimage.binary_opening(doubtful, np.ones((1, 3, 3), bool))] = IGNORE
    for organ in doubtful_organs(maps, least_dsc, known):
        for drawn in maps:
            labels[drawn == organ] = IGNORE
    return labels


def doubtful_organs(
    maps: Sequence[np.ndarray], least_dsc: float, known: Sequence[Collection[int]] = ()
) -> list[int]:
    """Organs whose worst DSC among pairs of maps is below `least_dsc`.

    Parameters
    ----------
    known
        As in `unknown_where_different`: a pair counts for the organs that both sources give.
    """
    worst = dict.fromkeys(ORGANS, 1.0)
    for (n, a), (m, b) in itertools.combinations(enumerate(maps), 2):
        for organ, score in organ_dscs(a, b).items():
            both = not known or (organ in known[n] and organ in known[m])
            if both and not math.isnan(score):
                worst[organ] = min(worst[organ], score)
    return [organ for organ, score in worst.items() if score < least_dsc]


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
