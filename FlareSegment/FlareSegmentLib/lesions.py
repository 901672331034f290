"""Lesions as objects: which of the reference were found, and which of the prediction are false."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .metrics import IGNORE
from .surface import bounding_box

LEAST_ML = 1.0
"""Reference lesions below this volume are not asked for."""

_TOUCHING = np.ones((3, 3, 3), dtype=bool)
"""Voxels that share a face, an edge or a corner belong to one lesion."""


@dataclass(frozen=True)
class LesionCount:
    """Lesions of one case that was annotated for tumor.

    Attributes
    ----------
    lesions
        Lesions of the reference of at least 1 ml.
    found
        Those of them that the prediction overlaps, by a voxel or more.
    predicted
        Lesions of the prediction, of any size.
    false_positive
        Those of them that touch no lesion of the reference, of any size.
    tumor_free
        True when the reference has no tumor at all.
    """

    lesions: int
    found: int
    predicted: int
    false_positive: int
    tumor_free: bool


def count_lesions(
    prediction: np.ndarray,
    reference: np.ndarray,
    voxel_volume_ml: float,
    label: int,
    ignore: int | None = IGNORE,
) -> LesionCount:
    """Compare the lesions of two label maps of one grid, as connected components.

    Parameters
    ----------
    prediction, reference
        Label maps of one shape, three axes in any order.
    voxel_volume_ml
        Volume of a voxel in ml.
    label
        Label value of the lesions.
    ignore
        Reference voxels with this label count neither way; None to use all.
    """
    predicted = prediction == label
    if ignore is not None:
        predicted &= reference != ignore
    truth = reference == label
    box = bounding_box(predicted | truth)
    if box is None:
        return LesionCount(0, 0, 0, 0, tumor_free=True)
    predicted, truth = predicted[box], truth[box]
    objects, n_objects = ndimage.label(truth, structure=_TOUCHING)
    voxels = np.bincount(objects.ravel(), minlength=n_objects + 1)
    large = set(np.flatnonzero(voxels * voxel_volume_ml >= LEAST_ML).tolist()) - {0}
    found = large & set(np.unique(objects[predicted]).tolist())
    predicted_objects, n_predicted = ndimage.label(predicted, structure=_TOUCHING)
    true_positive = set(np.unique(predicted_objects[truth]).tolist()) - {0}
    return LesionCount(
        lesions=len(large),
        found=len(found),
        predicted=n_predicted,
        false_positive=n_predicted - len(true_positive),
        tumor_free=not n_objects,
    )
