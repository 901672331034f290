"""Parts of a scan as another field of view would show them: above the organs, below, thin slabs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

TUBES = (5, 6, 10)
"""Aorta, vena cava and esophagus run on into the chest: where they end says nothing."""

LIVER = 1
LEAST_SLICES = 8
"""Thinner volumes are refused by the engine."""

LEAST_MM = 40.0
SPECK = 0.1
"""Components below this share of the largest are no part of the organ."""

SLAB_MM = 55.0
GAPS_MM = (10.0, 30.0)
SLAB_HEIGHTS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Piece:
    """Slices of a scan in canonical order.

    Attributes
    ----------
    group
        What the piece is, the same word for all scans.
    slices
        First slice and the one after the last, counted from the feet.
    """

    group: str
    slices: slice


def main_parts(labels: np.ndarray) -> np.ndarray:
    """Give the labels without the specks that pseudo-labels have far from the organ.

    Tubes stay whole: pseudo-labels often have them in several parts.
    """
    result = np.where(np.isin(labels, TUBES), labels, 0).astype(np.uint8)
    for organ, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None or organ in TUBES:
            continue
        components, count = ndimage.label(labels[box] == organ, np.ones((3, 3, 3), bool))
        sizes = np.bincount(components.ravel(), minlength=count + 1)[1:]
        large = np.concatenate([[False], sizes >= SPECK * sizes.max()])
        result[box][large[components]] = organ
    return result


def pieces(labels: np.ndarray, slice_mm: float) -> list[Piece]:
    """Give the parts of a scan worth asking for.

    Parameters
    ----------
    labels
        (k, j, i) organ ids in canonical order, of `main_parts`.
    slice_mm
        Distance of the slices.
    """
    count = len(labels)
    solid = _heights(labels, [n for n in range(1, 14) if n not in TUBES])
    liver = _heights(labels, [LIVER])
    found = []
    for gap_mm in GAPS_MM:
        gap = int(np.ceil(gap_mm / slice_mm))
        found.append(Piece(f"{gap_mm:.0f} mm above the organs", slice(solid.stop + gap, count)))
        found.append(Piece(f"{gap_mm:.0f} mm below the liver", slice(0, liver.start - gap)))
        found.append(Piece(f"{gap_mm:.0f} mm below the organs", slice(0, solid.start - gap)))
    half = max(LEAST_SLICES, round(SLAB_MM / slice_mm)) / 2
    for share in SLAB_HEIGHTS:
        middle = liver.start + share * (liver.stop - liver.start)
        start = max(0, round(middle - half))
        slab = slice(start, min(count, start + round(2 * half)))
        found.append(Piece(f"slab of {SLAB_MM:.0f} mm", slab))
    return [piece for piece in found if _large_enough(piece.slices, slice_mm)]


def _heights(labels: np.ndarray, ids: list[int]) -> slice:
    found = np.flatnonzero(np.isin(labels, ids).any(axis=(1, 2)))
    return slice(int(found[0]), int(found[-1]) + 1)


def _large_enough(part: slice, slice_mm: float) -> bool:
    count = part.stop - part.start
    return part.start >= 0 and count >= LEAST_SLICES and count * slice_mm >= LEAST_MM


def organs_near(labels: np.ndarray, part: slice, slice_mm: float, reach_mm: float) -> set[int]:
    """Give the organs in the slices and up to `reach_mm` beyond their ends."""
    reach = int(np.ceil(reach_mm / slice_mm))
    near = labels[max(0, part.start - reach) : part.stop + reach]
    return set(np.unique(near).tolist()) - {0}
