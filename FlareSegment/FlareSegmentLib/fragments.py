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
    labels: np.ndarray,
    channel: int,
    least_ml: float,
    spacing: Sequence[float],
    boxes: Sequence[Box] | None = None,
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
    boxes
        Where the pieces are, to save time: each lies whole, and off the faces, in one of these.
        None looks everywhere.

    Returns
    -------
    Number of pieces absorbed.
    """
    if boxes is None:
        k, j, i = (slice(0, n) for n in labels.shape)
        boxes = [(k, j, i)]
    least = least_ml * 1000 / float(np.prod(spacing))
    gaps = np.zeros(labels.shape, bool)
    small: list[Box] = []
    for box in boxes:
        # A piece of another box may lie in this one too; then it is marked already.
        small += _mark_small((labels[box] == channel) & ~gaps[box], least, box, gaps)
    for piece in small:
        _fill_from_nearest(labels, gaps, _grown(piece), spacing)
    return len(small)


def _mark_small(mask: np.ndarray, least: float, box: Box, gaps: np.ndarray) -> list[Box]:
    """Mark in `gaps` the pieces of `mask`, which covers `box`, below `least` voxels; their boxes.

    A piece at a face of the box is none: the rest of it lies in another one. At the faces of the
    array all pieces end.
    """
    pieces, count = ndimage.label(mask, STRUCTURE)
    wanted = np.bincount(pieces.ravel(), minlength=count + 1) < least
    wanted[0] = False
    for axis, (part, length) in enumerate(zip(box, gaps.shape, strict=True)):
        faces = np.moveaxis(pieces, axis, 0)
        if part.start > 0:
            wanted[np.unique(faces[0])] = False
        if part.stop < length:
            wanted[np.unique(faces[-1])] = False
    if not wanted.any():
        return []
    gaps[box] |= wanted[pieces]
    places = ndimage.find_objects(pieces)
    return [_within(box, places[number - 1]) for number in np.flatnonzero(wanted)]


def _within(outer: Box, inner: Box) -> Box:
    """Give `inner`, seen from the first voxel of `outer`, in the array's own voxels."""
    k, j, i = (
        slice(a.start + b.start, a.start + b.stop) for a, b in zip(outer, inner, strict=True)
    )
    return (k, j, i)


def lesion_boxes(
    winner: np.ndarray, channel: int, new_size: Sequence[int]
) -> list[tuple[slice, slice, slice]]:
    """Boxes on a grid of `new_size` voxels, each with whole pieces of one channel.

    Parameters
    ----------
    winner
        (k, j, i) uint8 channel numbers on the network's grid, the clean-up done: on the finer
        grid the channel is in cells with a voxel of it at a corner, and nowhere else.
    channel
        Whose pieces.
    new_size
        Voxels (k, j, i) of the finer grid over the same box.
    """
    bounds = ndimage.find_objects(winner, channel)[channel - 1 : channel]
    if not bounds or bounds[0] is None:
        return []
    outer = _grown(_grown(bounds[0]))
    # Those whose cells could touch on the finer grid are one group.
    near = ndimage.binary_dilation(winner[outer] == channel, STRUCTURE)
    groups, _ = ndimage.label(near, STRUCTURE)
    boxes = []
    for found in ndimage.find_objects(groups):
        k, j, i = (
            slice(max(0, (part.start - 1) * m // n), min(m, -(-(part.stop + 1) * m // n)))
            for part, n, m in zip(_within(outer, found), winner.shape, new_size, strict=True)
        )
        boxes.append((k, j, i))
    return boxes


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
