"""Fragments of lesions: pieces on the scan's grid that are too small to be called a lesion.

Clean-up judges components on the network's grid. Where the tumor is barely first, interpolation
breaks the rim of one lesion into pieces of a few voxels, and a reader would count each as a
lesion of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from .cleanup import STRUCTURE
from .windows import Box


def absorb_fragments(
    labels: np.ndarray, channel: int, least_ml: float, spacing: Sequence[float]
) -> int:
    """Give small pieces of one channel to what lies nearest to them, in place.

    Parameters
    ----------
    labels
        (k, j, i) uint8 channel numbers.
    channel
        Whose pieces.
    least_ml
        Pieces at least this large stay. Voxels that touch by a corner belong to one piece.
    spacing
        (k, j, i) mm.

    Returns
    -------
    Number of pieces absorbed.
    """
    boxes = ndimage.find_objects(labels, channel)
    if len(boxes) < channel or boxes[channel - 1] is None:
        return 0
    part = labels[_grown(boxes[channel - 1])]
    pieces, count = ndimage.label(part == channel, STRUCTURE)
    least = least_ml * 1000 / float(np.prod(spacing))
    small = np.bincount(pieces.ravel(), minlength=count + 1) < least
    small[0] = False
    gaps = small[pieces]
    places = ndimage.find_objects(pieces)
    for number in np.flatnonzero(small):
        _fill_from_nearest(part, gaps, _grown(places[number - 1]), spacing)
    return int(small.sum())


def _fill_from_nearest(
    labels: np.ndarray, gaps: np.ndarray, box: Box, spacing: Sequence[float]
) -> None:
    """Give the voxels of `box` that are gaps the label of the nearest one that is none."""
    window, gap = labels[box], gaps[box]
    if gap.all():
        window[...] = 0
        return
    nearest = ndimage.distance_transform_edt(
        gap, sampling=spacing, return_distances=False, return_indices=True
    )
    window[...] = window[tuple(nearest)]


def _grown(box: Box) -> Box:
    """Give the box with a voxel more on each side, within the array."""
    k, j, i = (slice(max(0, part.start - 1), part.stop + 1) for part in box)
    return (k, j, i)
