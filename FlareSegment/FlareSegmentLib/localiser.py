"""Where the abdomen is: one pass of a small network over the whole scan at about 6 mm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .windows import Box

TUBES = ("aorta", "inferior_vena_cava", "esophagus")
"""Organs that run on into chest or pelvis; they do not say where the abdomen is."""

LARGE_ORGANS = ("liver", "right_kidney", "spleen", "stomach", "left_kidney")
"""Organs that are many voxels at 6 mm: a localiser does not miss a piece of them."""

GROUP_REACH = 2
"""Coarse voxels by which organs are widened to see which belong together: gaps of 24 mm."""


@dataclass(frozen=True)
class LocaliserSettings:
    """When and how the region of interest is cut out.

    Attributes
    ----------
    enabled
        False computes the whole scan.
    margin_mm
        Added around the organs found, (k, j, i).
    least_organ_ml
        Coarse organs below this are taken for noise.
    least_total_ml
        With less than this of organs (tubes not counted) the scan shows no abdomen.
    least_agreement
        Both networks must give the same organs the same places: the DSC over voxels with the same
        label. Real scans and phantoms reach 0.6 to 0.9, noise that fools both at most 0.18, parts
        of scans without an organ 0.01 (`Testing/Benchmarks/agreement.py`). Parts that show no more
        than the lower ends of the kidneys, 0.17 to 0.25, are given up with the noise.
    doubtful_agreement
        Below this the result comes with a note. Scans whose header has the wrong directions lie
        below: mirrored 0.62, upside down 0.45, prone 0.32, on the side 0.32, where the same scan
        as it lies has 0.85 (flare-base 0.6.0, the same command). Of 26 whole scans only one of
        55 mm does, with 0.62; the others have 0.76 and more, phantoms 0.72.
    seen_by_both
        Keys of large organs of which the network may keep a small piece only where the localiser
        sees the organ too, see `coarse_support`.
    """

    enabled: bool = True
    margin_mm: tuple[float, float, float] = (36.0, 20.0, 20.0)
    least_organ_ml: float = 3.0
    least_total_ml: float = 40.0
    least_agreement: float = 0.25
    doubtful_agreement: float = 0.70
    seen_by_both: tuple[str, ...] = LARGE_ORGANS


def organ_components(
    labels: np.ndarray, keys: Sequence[str], voxel_ml: float, settings: LocaliserSettings
) -> np.ndarray:
    """Mask of believable organs other than tubes in a coarse label map.

    Parameters
    ----------
    labels
        (k, j, i) uint8 channel numbers, 0 background, n the n-th of `keys`.
    keys
        Target keys in channel order.
    voxel_ml
        Volume of a coarse voxel.

    Returns
    -------
    (k, j, i) bool; all false when the scan shows no abdomen.
    """
    solid = np.isin(labels, [n for n, key in enumerate(keys, start=1) if key not in TUBES])
    components, count = ndimage.label(solid, np.ones((3, 3, 3), bool))
    if count == 0:
        return solid
    sizes = np.bincount(components.ravel())[1:] * voxel_ml
    believable = sizes >= max(settings.least_organ_ml, 0.02 * sizes.max())
    if sizes[believable].sum() < settings.least_total_ml:
        return np.zeros_like(solid)
    large = believable & (sizes >= 0.04 * sizes.max())
    level = _abdominal_level(np.concatenate([[False], large])[components])
    at_level = np.bincount(components[level].ravel(), minlength=count + 1)[1:] * voxel_ml
    inside = at_level >= 0.5 * sizes
    organs: np.ndarray = np.concatenate([[False], large & inside])[components]
    # Small ones do not stretch the region beyond that height; a low kidney may.
    organs[level] |= np.concatenate([[False], believable & inside])[components[level]]
    return organs


def _abdominal_level(organs: np.ndarray) -> slice:
    """Slices from the lowest to the highest of the largest group of neighbouring organs.

    Abdominal organs lie within a few voxels of each other; an "organ" far below them, in the
    pelvis, is a bladder or a bowel loop taken for one.
    """
    near = ndimage.binary_dilation(organs, np.ones((3, 3, 3), bool), iterations=GROUP_REACH)
    groups, _ = ndimage.label(near)
    groups[~organs] = 0
    main = int(np.bincount(groups.ravel())[1:].argmax()) + 1
    heights = np.flatnonzero((groups == main).any(axis=(1, 2)))
    return slice(int(heights[0]), int(heights[-1]) + 1)


def region_of_interest(
    organs: np.ndarray, spacing: Sequence[float], shape: Sequence[int], margin_mm: Sequence[float]
) -> Box:
    """Box in the scan's own voxels around the coarse organ mask.

    Parameters
    ----------
    organs
        (k, j, i) bool, not empty, covering the same box as the scan.
    spacing
        Coarse grid's spacing (k, j, i) mm.
    shape
        Scan's voxels (k, j, i), canonical axes.
    """
    ranges = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        hits = np.flatnonzero(organs.any(axis=others))
        grow = margin_mm[axis] / spacing[axis]
        scale = shape[axis] / organs.shape[axis]
        start = max(0, int(np.floor((hits[0] - grow) * scale)))
        stop = min(shape[axis], int(np.ceil((hits[-1] + 1 + grow) * scale)))
        ranges.append(slice(start, stop))
    return (ranges[0], ranges[1], ranges[2])


def organs_on_grid(
    organs: np.ndarray,
    box: Box,
    shape: Sequence[int],
    size: Sequence[int],
    spacing: Sequence[float],
    margin_mm: float = 30.0,
) -> np.ndarray:
    """The coarse organ mask, widened, on the working grid of the region of interest.

    Parameters
    ----------
    organs
        (k, j, i) bool over the whole scan.
    box, shape
        The region in the scan's voxels, and the scan's size.
    size, spacing
        Working grid of the region: voxels and mm.

    Returns
    -------
    (k, j, i) bool of `size`.
    """
    mask = organs[np.ix_(*coarse_indices(organs.shape, box, shape, size))]
    for axis in range(3):
        reach = int(np.ceil(margin_mm / spacing[axis]))
        mask = ndimage.maximum_filter1d(mask, 2 * reach + 1, axis=axis)
    return mask


def coarse_indices(
    coarse: Sequence[int], box: Box, shape: Sequence[int], size: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each axis the coarse voxel in which the centers of a working grid lie.

    Parameters
    ----------
    coarse
        Voxels (k, j, i) of the coarse grid, which covers the whole scan.
    box, shape
        The region in the scan's voxels, and the scan's size.
    size
        Voxels of the working grid of the region.
    """
    indices = []
    for axis in range(3):
        length = box[axis].stop - box[axis].start
        centre = box[axis].start + (np.arange(size[axis]) + 0.5) * length / size[axis]
        index = (centre * coarse[axis] / shape[axis]).astype(np.int64)
        indices.append(np.minimum(index, coarse[axis] - 1))
    return indices[0], indices[1], indices[2]


def agreement(
    coarse: np.ndarray, fine: np.ndarray, box: Box, shape: Sequence[int], keys: Sequence[str]
) -> float:
    """DSC between the localiser's and the network's organs, counting equal labels only.

    Parameters
    ----------
    coarse
        (k, j, i) uint8 channel numbers of the localiser, over the whole scan.
    fine
        (k, j, i) uint8 channel numbers of the network, over `box`.
    box, shape
        The region in the scan's voxels, and the scan's size.
    keys
        Target keys in channel order; tubes are not counted.

    Returns
    -------
    0..1; 0 when neither found anything.
    """
    inside, picked = [], []
    for axis in range(3):
        centre = (np.arange(coarse.shape[axis]) + 0.5) * shape[axis] / coarse.shape[axis]
        part = (centre - box[axis].start) / (box[axis].stop - box[axis].start)
        within = np.flatnonzero((part >= 0) & (part < 1))
        inside.append(within)
        picked.append((part[within] * fine.shape[axis]).astype(np.int64))
    a, b = coarse[np.ix_(*inside)], fine[np.ix_(*picked)]
    solid = [n for n, key in enumerate(keys, start=1) if key not in TUBES]
    of_a, of_b = np.isin(a, solid), np.isin(b, solid)
    total = int(of_a.sum()) + int(of_b.sum())
    return 2.0 * int((of_a & (a == b)).sum()) / total if total else 0.0
