"""The same patient as another scanner or export would give it: changed scans, changed labels.

All functions take and give scans in canonical order (k, j, i) with their labels on one grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from FlareSegmentLib.geometry import AxisOrder
    from FlareSegmentLib.volume import Volume

AIR_HU = -1024
NOISE_SD_HU = 30.0
SHIFT_HU = 30


@dataclass(frozen=True)
class Labeled:
    """A scan and its reference labels on one grid."""

    scan: Volume
    labels: np.ndarray


Transformation = Callable[[Labeled], Labeled]


def resliced(case: Labeled, thickness_mm: float) -> Labeled:
    """Give slices of another thickness over the same extent.

    Thicker slices are the mean of what they cover, thinner ones are interpolated. A voxel's label
    is the one with most of its volume.
    """
    weights = _slice_weights(len(case.scan.array), case.scan.spacing[0], thickness_mm)
    array = np.tensordot(weights, case.scan.array.astype(np.float32), axes=1)
    labels = np.zeros(array.shape, np.uint8)
    most = np.zeros(array.shape, np.float32)
    for label in np.unique(case.labels):
        share = np.tensordot(weights, (case.labels == label).astype(np.float32), axes=1)
        larger = share > most
        labels[larger], most[larger] = label, share[larger]
    scale = thickness_mm / case.scan.spacing[0]
    affine = case.scan.affine.copy()
    # The new slices lie in the middle of the old extent; position in old slices of the first.
    first = (len(case.scan.array) - len(weights) * scale) / 2 + scale / 2 - 0.5
    affine[:3, 3] += affine[:3, 2] * first
    affine[:3, 2] *= scale
    array = np.rint(array).astype(np.int16)
    return Labeled(replace(case.scan, array=array, affine=affine), labels)


def _slice_weights(count: int, spacing_mm: float, thickness_mm: float) -> np.ndarray:
    """Give the share of each old slice in each new one, (new, old); rows sum to 1."""
    scale = thickness_mm / spacing_mm
    new = int(count / scale + 1e-6)
    start = (count - new * scale) / 2 + np.arange(new) * scale
    old = np.arange(count)
    if scale > 1:
        ends = np.minimum(start[:, None] + scale, old + 1), np.maximum(start[:, None], old)
        weights = np.clip(ends[0] - ends[1], 0, None)
    else:
        center = np.clip(start + scale / 2 - 0.5, 0, count - 1)
        weights = np.clip(1 - np.abs(center[:, None] - old), 0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def reordered(case: Labeled, order: AxisOrder) -> Labeled:
    """Give the same anatomy stored along other axes."""
    from FlareSegmentLib.geometry import canonical_affine

    affine = canonical_affine(case.scan.affine, case.scan.array.shape, order)
    scan = replace(case.scan, array=order.apply(case.scan.array), affine=affine)
    return Labeled(scan, order.apply(case.labels))


def brightened(case: Labeled, shift_hu: int = SHIFT_HU) -> Labeled:
    """Add to every HU."""
    return replace(case, scan=replace(case.scan, array=case.scan.array + np.int16(shift_hu)))


def noisy(case: Labeled, sd_hu: float = NOISE_SD_HU, seed: int = 5) -> Labeled:
    """Add white noise."""
    noise = np.random.default_rng(seed).normal(0.0, sd_hu, case.scan.array.shape)
    array = np.rint(case.scan.array + noise).clip(AIR_HU, None).astype(np.int16)
    return replace(case, scan=replace(case.scan, array=array))


def transformations() -> dict[str, Transformation]:
    """Give what is tried, by the name it has in the table."""
    from FlareSegmentLib.geometry import AxisOrder

    flipped = AxisOrder((0, 1, 2), (True, True, False))
    sagittal = AxisOrder((2, 0, 1), (False, True, False))
    return {
        "1 mm slices": lambda case: resliced(case, 1.0),
        "2.5 mm slices": lambda case: resliced(case, 2.5),
        "5 mm slices": lambda case: resliced(case, 5.0),
        "flipped axes": lambda case: reordered(case, flipped),
        "permuted axes": lambda case: reordered(case, sagittal),
        f"+{SHIFT_HU} HU": brightened,
        f"noise of {NOISE_SD_HU:.0f} HU": noisy,
    }
