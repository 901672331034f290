"""Left and right: pieces of paired organs that lie on the wrong side of the patient."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

SIDES = {2: 13, 13: 2, 7: 8, 8: 7}
"""The organ of the other side: kidneys and adrenal glands."""

RIGHT = (2, 7)
BODY_HU = -300
LEAST_ML = 0.1
"""Smaller pieces are not counted."""

BEYOND_MM = 10.0
"""Center of a piece beyond the middle of the body by more than this: on the wrong side."""


def body_middle(scan: np.ndarray) -> float:
    """Column in the middle of the body: median over the slices.

    Parameters
    ----------
    scan
        (k, j, i) HU in canonical order: columns run to the patient's left.
    """
    middles = []
    for plane in scan[:: max(1, len(scan) // 40)]:
        columns = np.flatnonzero((plane > BODY_HU).mean(axis=0) > 0.05)
        if len(columns):
            middles.append((columns[0] + columns[-1]) / 2)
    return float(np.median(middles)) if middles else (scan.shape[2] - 1) / 2


def on_wrong_side(
    labels: np.ndarray, middle: float, column_mm: float, voxel_ml: float
) -> dict[int, float]:
    """Give the ml per organ of pieces whose center lies on the other side of the body.

    Parameters
    ----------
    labels
        (k, j, i) organ ids in canonical order.
    middle
        Column of `body_middle`.
    """
    wrong: dict[int, float] = {}
    boxes = ndimage.find_objects(labels, max(SIDES))
    for organ in SIDES:
        box = boxes[organ - 1]
        if box is None:
            continue
        components, count = ndimage.label(labels[box] == organ, np.ones((3, 3, 3), bool))
        centers = ndimage.center_of_mass(components > 0, components, range(1, count + 1))
        sizes = np.bincount(components.ravel(), minlength=count + 1)[1:] * voxel_ml
        for (_, _, column), ml in zip(centers, sizes, strict=True):
            left_mm = (column + box[2].start - middle) * column_mm
            beyond = left_mm if organ in RIGHT else -left_mm
            if beyond > BEYOND_MM and ml >= LEAST_ML:
                wrong[organ] = wrong.get(organ, 0.0) + float(ml)
    return wrong


def taken_for_other(labels: np.ndarray, reference: np.ndarray, voxel_ml: float) -> dict[int, float]:
    """Give the ml per organ that lie in what the reference calls the organ of the other side."""
    overlap = {
        organ: np.count_nonzero((labels == organ) & (reference == other)) * voxel_ml
        for organ, other in SIDES.items()
    }
    return {organ: float(ml) for organ, ml in overlap.items() if ml >= LEAST_ML}
