"""Organs as smooth fields: what a registration of label maps compares.

Positions are millimetres (k, j, i) from the corner of the array, so voxel n of an axis lies at
(n + 0.5) times the spacing, on every grid of the same box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from FlareSegmentLib.geometry import canonical_volume
from FlareSegmentLib.reading import case_name, read_label_map
from FlareSegmentLib.volume import Volume

from .label_values import IGNORE

ORGANS = tuple(range(1, 14))
"""Targets that a registration compares: every one but tumor."""

FIELD_MM = 4.0
"""Spacing of the fields in all axes."""

REACH_MM = 24.0
"""Distances to a surface are cut off here: farther away an organ has no pull."""

BONE_HU = 220


@dataclass(frozen=True, eq=False)
class Shape:
    """Anatomy of one patient.

    Attributes
    ----------
    name
        Of the patient.
    labels
        (k, j, i) uint8, canonical axes, `FIELD_MM` in all axes.
    """

    name: str
    labels: np.ndarray

    @property
    def extent(self) -> np.ndarray:
        """Size (k, j, i) of the box in mm."""
        return np.asarray(self.labels.shape) * FIELD_MM


def shape_of(name: str, labels: np.ndarray, spacing: Sequence[float]) -> Shape:
    """Shape of a (k, j, i) label map in canonical axes; `spacing` (k, j, i) mm."""
    return Shape(name, nearest(labels, spacing))


def read_shape(path: Path) -> Shape:
    """Read another patient's label map.

    Raises
    ------
    InputError
        When it cannot be read.
    """
    array, affine = read_label_map(path)
    volume, _ = canonical_volume(Volume(array, affine))
    return shape_of(case_name(path), volume.array, volume.spacing)


def nearest(array: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Nearest voxels of a (k, j, i) array on the grid of the fields."""
    taken = []
    for size, step in zip(array.shape, spacing, strict=True):
        count = max(1, round(size * step / FIELD_MM))
        index = ((np.arange(count) + 0.5) * (size / count)).astype(int)
        taken.append(np.minimum(index, size - 1))
    return np.ascontiguousarray(array[np.ix_(*taken)])


def distances(labels: np.ndarray, organs: Sequence[int], reach: float = REACH_MM) -> np.ndarray:
    """Signed distances (organ, k, j, i) in mm, float32, negative inside, cut off at `reach` mm.

    An organ that the border of the scan cuts has no surface there.
    """
    result = np.full((len(organs), *labels.shape), reach, np.float32)
    margin = int(np.ceil(reach / FIELD_MM)) + 1
    for n, organ in enumerate(organs):
        inside = labels == organ
        found = ndimage.find_objects(inside.astype(np.uint8))
        if not found:
            continue
        box = tuple(
            slice(max(0, s.start - margin), min(size, s.stop + margin))
            for s, size in zip(found[0], labels.shape, strict=True)
        )
        part = inside[box]
        signed = ndimage.distance_transform_edt(~part) - ndimage.distance_transform_edt(part)
        smooth = ndimage.gaussian_filter(signed * FIELD_MM, 0.7, mode="nearest")
        result[n][box] = np.clip(smooth, -reach, reach)
    return result


def held_tissue(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What must stay where it is: bones, skin and the air around, as weights 0 to 1.

    Parameters
    ----------
    image
        (k, j, i) HU on the grid of the fields.
    labels
        (k, j, i) on the same grid; bright organs are no bone.
    """
    body = _body(image)
    depth = ndimage.distance_transform_edt(np.pad(body, ((0, 0), (1, 1), (1, 1))))
    skin = depth[:, 1:-1, 1:-1] * FIELD_MM < 8.0
    organs = (labels > 0) & (labels != IGNORE)
    bright = (image > BONE_HU) & ~ndimage.binary_dilation(organs, iterations=1)
    components, count = ndimage.label(bright)
    sizes = np.bincount(components.ravel(), minlength=count + 1)
    keep = sizes * FIELD_MM**3 / 1000 > 1.0
    keep[0] = False
    bone = ndimage.binary_closing(keep[components], iterations=1) & ~organs
    return np.maximum(skin.astype(np.float32), bone.astype(np.float32))


def _body(image: np.ndarray) -> np.ndarray:
    """Inside of the largest object, lungs and bowel included."""
    solid = ndimage.binary_opening(image > -300, iterations=1)
    components, count = ndimage.label(solid)
    if count == 0:
        return np.zeros(image.shape, bool)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    body = components == int(sizes.argmax())
    return np.stack([ndimage.binary_fill_holes(slice_) for slice_ in body])
