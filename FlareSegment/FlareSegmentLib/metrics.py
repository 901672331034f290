"""DSC and NSD per target by FLARE's rules, as the challenge's script computes them or corrected.

FLARE 2023's evaluation script (methods C2) has properties that are defects rather than rules. The
mode ``"flare"`` reproduces them, to compare with published figures; the mode ``"correct"`` is the
default.

============================  ==============================  =================================
rule                          ``"flare"``                     ``"correct"``
============================  ==============================  =================================
absent in both                DSC = NSD = 1                   the same
absent in exactly one         DSC = NSD = 0                   the same
aorta, vena cava, esophagus   cut to the reference's slices,  cut to the reference's slices,
                              without the last; one slice     with the last
                              only: DSC = NSD = NaN
DSC below 0.2                 NSD = 0, not computed           NSD computed
rounding                      4 decimals per case             none
============================  ==============================  =================================
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from .errors import InputError
from .labels import Target, targets
from .surface import nsd

Mode = Literal["correct", "flare"]

IGNORE = 255
"""Label of reference voxels that count neither as right nor as wrong."""

_FLARE_LEAST_DSC = 0.2
"""FLARE's script takes the NSD as 0 where the DSC is below."""


@dataclass(frozen=True)
class Score:
    """How well one target was found in one case.

    Attributes
    ----------
    id
        FLARE id, 1..14.
    dsc, nsd
        0 to 1; NaN only in mode ``"flare"``, for a tube labelled in one slice.
    voxels, reference_voxels
        Voxels of the prediction and of the reference, before any cut, ignored ones left out.
    """

    id: int
    dsc: float
    nsd: float
    voxels: int
    reference_voxels: int


def dsc(prediction: np.ndarray, reference: np.ndarray) -> float:
    """Dice similarity coefficient of two masks, 0 to 1; NaN when both are empty."""
    size = np.count_nonzero(prediction) + np.count_nonzero(reference)
    if size == 0:
        return float("nan")
    return float(2 * np.count_nonzero(np.logical_and(prediction, reference)) / size)


def evaluate_case(
    prediction: np.ndarray,
    reference: np.ndarray,
    spacing: Sequence[float],
    annotated_ids: Collection[int] | None = None,
    mode: Mode = "correct",
    ignore: int | None = IGNORE,
    z_axis: int = 0,
) -> list[Score]:
    """Score a label map against a reference, target by target.

    Parameters
    ----------
    prediction, reference
        Label maps of one shape, integers, FLARE ids. Canonical order ``(k, j, i)``, or another
        one with `z_axis` set; an array as nibabel reads it, ``(i, j, k)``, has 2.
    spacing
        Voxel size along the array axes in mm.
    annotated_ids
        Ids that were annotated in this case; only these are scored. All 14 when None.
    mode
        ``"correct"`` or ``"flare"``, see the module.
    ignore
        Reference voxels with this label are taken out of both maps; None to keep all.
    z_axis
        Array axis that runs along the patient.

    Returns
    -------
    list of Score
        In the order of the ids.

    Raises
    ------
    InputError
        When the shapes differ or an annotated id is none of the 14.
    """
    if prediction.shape != reference.shape:
        raise InputError(
            f"The label maps cannot be compared: the prediction has {_size(prediction)} voxels "
            f"and the reference {_size(reference)}. Both must lie on the grid of the same scan."
        )
    wanted = {target.id for target in targets()} if annotated_ids is None else set(annotated_ids)
    unknown = wanted - {target.id for target in targets()}
    if unknown:
        raise InputError(
            f"The annotated ids {sorted(unknown)} are no targets: the ids are 1 to "
            f"{len(targets())}. Correct the list of annotated ids."
        )
    boxes, reference_boxes = _boxes(prediction), _boxes(reference)
    return [
        _score(
            target,
            *_masks(prediction, reference, target.id, boxes, reference_boxes, ignore),
            spacing,
            mode,
            z_axis,
        )
        for target in targets()
        if target.id in wanted
    ]


def _boxes(labels: np.ndarray) -> list[tuple[slice, ...] | None]:
    last = len(targets())
    if labels.dtype.kind not in "ui":
        raise InputError(f"A label map must hold integers, not {labels.dtype}.")
    # One pass for the boxes of all labels; labels above 14 (255) would only make the list longer.
    found = ndimage.find_objects(labels, max_label=last)
    return list(found) + [None] * (last - len(found))


def _masks(
    prediction: np.ndarray,
    reference: np.ndarray,
    label: int,
    boxes: list[tuple[slice, ...] | None],
    reference_boxes: list[tuple[slice, ...] | None],
    ignore: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Masks of one label in the smallest box that holds both, ignored voxels taken out."""
    box = _union(boxes[label - 1], reference_boxes[label - 1])
    if box is None:
        return np.zeros((0, 0, 0), dtype=bool), np.zeros((0, 0, 0), dtype=bool)
    mask = prediction[box] == label
    if ignore is not None:
        mask &= reference[box] != ignore
    return mask, reference[box] == label


def _union(
    one: tuple[slice, ...] | None, other: tuple[slice, ...] | None
) -> tuple[slice, ...] | None:
    if one is None or other is None:
        return one or other
    return tuple(
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )


def _score(
    target: Target,
    mask: np.ndarray,
    reference: np.ndarray,
    spacing: Sequence[float],
    mode: Mode,
    z_axis: int,
) -> Score:
    voxels, reference_voxels = int(np.count_nonzero(mask)), int(np.count_nonzero(reference))
    if voxels == 0 or reference_voxels == 0:
        both = 1.0 if voxels == reference_voxels else 0.0
        return Score(target.id, both, both, voxels, reference_voxels)
    if target.cut_to_reference:
        mask, reference = _cut(mask, reference, z_axis, include_last=mode == "correct")
    overlap = dsc(mask, reference)
    if mode == "flare":
        surface = _flare_nsd(overlap, mask, reference, spacing, target.nsd_tolerance_mm)
        return Score(target.id, round(overlap, 4), round(surface, 4), voxels, reference_voxels)
    surface = nsd(mask, reference, spacing, target.nsd_tolerance_mm)
    return Score(target.id, overlap, surface, voxels, reference_voxels)


def _cut(
    mask: np.ndarray, reference: np.ndarray, z_axis: int, include_last: bool
) -> tuple[np.ndarray, np.ndarray]:
    others = tuple(axis for axis in range(3) if axis != z_axis)
    slices = np.flatnonzero(reference.any(axis=others))
    stop = int(slices[-1]) + (1 if include_last else 0)
    box = [slice(None)] * 3
    box[z_axis] = slice(int(slices[0]), stop)
    return mask[tuple(box)], reference[tuple(box)]


def _flare_nsd(
    overlap: float,
    mask: np.ndarray,
    reference: np.ndarray,
    spacing: Sequence[float],
    tolerance_mm: float,
) -> float:
    if overlap < _FLARE_LEAST_DSC:
        return 0.0
    return nsd(mask, reference, spacing, tolerance_mm)


def _size(array: np.ndarray) -> str:
    return " x ".join(str(length) for length in array.shape)
