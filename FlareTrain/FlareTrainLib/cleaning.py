"""Suspicious components of a label map, as proposals: nothing is changed without being told.

P3 cleans its training labels of islands below 100 voxels, tumors outside the abdominal region and
tumors far from all organs. In a label map that a person drew, each of these may be right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from FlareSegmentLib.labels import target_by_id

from .label_values import IGNORE, TUMOR


@dataclass(frozen=True)
class CleaningSettings:
    """What counts as suspicious.

    Attributes
    ----------
    least_voxels
        Components below are islands when their target has a larger one (P3: 100).
    far_mm
        Tumors farther than this from every organ are far from all organs.
    margin_mm
        The abdominal region is the box around the organs, enlarged by this.
    """

    least_voxels: int = 100
    far_mm: float = 20.0
    margin_mm: float = 10.0


@dataclass(frozen=True)
class Proposal:
    """One component that may be wrong.

    Attributes
    ----------
    target
        Target id.
    kind
        "island", "outside" (the abdominal region) or "far" (from all organs).
    reason
        A sentence for people.
    voxels, ml
        Size.
    centre
        Its centre, array index (k, j, i).
    """

    target: int
    kind: str
    reason: str
    voxels: int
    ml: float
    centre: tuple[int, int, int]


@dataclass(frozen=True)
class _Component:
    target: int
    box: tuple[slice, ...]
    mask: np.ndarray
    voxels: int

    @property
    def centre(self) -> tuple[int, int, int]:
        k, j, i = (
            round(float(axis.mean())) + part.start
            for axis, part in zip(np.nonzero(self.mask), self.box, strict=True)
        )
        return (k, j, i)


def find_suspicious(
    labels: np.ndarray, spacing: Sequence[float], settings: CleaningSettings | None = None
) -> list[Proposal]:
    """Islands, tumors outside the abdomen and tumors far from all organs.

    Parameters
    ----------
    labels
        (k, j, i) target ids; 255 is looked past.
    spacing
        (k, j, i) mm.
    """
    return [proposal for proposal, _ in _suspicious(labels, spacing, settings)]


def without_suspicious(
    labels: np.ndarray, spacing: Sequence[float], settings: CleaningSettings | None = None
) -> tuple[np.ndarray, list[Proposal]]:
    """Copy of `labels` with the suspicious components as background, and what was removed."""
    result = labels.copy()
    found = _suspicious(labels, spacing, settings)
    for _, component in found:
        result[component.box][component.mask] = 0
    return result, [proposal for proposal, _ in found]


def _suspicious(
    labels: np.ndarray, spacing: Sequence[float], settings: CleaningSettings | None
) -> list[tuple[Proposal, _Component]]:
    settings = settings or CleaningSettings()
    voxel_ml = float(np.prod(spacing)) / 1000
    found = []
    for target in np.unique(labels):
        if target in (0, IGNORE):
            continue
        components = _components(labels, int(target))
        largest = max(component.voxels for component in components)
        for component in components:
            kind, reason = _island(component, largest, settings)
            if not kind and target == TUMOR:
                kind, reason = _stray_tumor(labels, component, spacing, settings)
            if kind:
                size = component.voxels
                proposal = Proposal(
                    int(target), kind, reason, size, size * voxel_ml, component.centre
                )
                found.append((proposal, component))
    return found


def _components(labels: np.ndarray, target: int) -> list[_Component]:
    whole = ndimage.find_objects((labels == target).astype(np.uint8))[0]
    numbers, _ = ndimage.label(labels[whole] == target, np.ones((3, 3, 3), bool))
    components = []
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        mask = numbers[box] == number
        absolute = tuple(
            slice(part.start + outer.start, part.stop + outer.start)
            for part, outer in zip(box, whole, strict=True)
        )
        components.append(_Component(target, absolute, mask, int(mask.sum())))
    return components


def _island(component: _Component, largest: int, settings: CleaningSettings) -> tuple[str, str]:
    """Kind and reason, or two empty texts."""
    if component.voxels >= settings.least_voxels or component.voxels == largest:
        return "", ""
    name = target_by_id(component.target).name
    return "island", (
        f"{name}: an island of {component.voxels} voxels beside a part of {largest} "
        f"(fewer than {settings.least_voxels})."
    )


def _stray_tumor(
    labels: np.ndarray,
    component: _Component,
    spacing: Sequence[float],
    settings: CleaningSettings,
) -> tuple[str, str]:
    """Kind and reason, or two empty texts."""
    organs = (labels > 0) & (labels < TUMOR)
    boxes = ndimage.find_objects(organs.astype(np.uint8))
    if not boxes:
        return "", ""
    margin = [settings.margin_mm / s for s in spacing]
    outside = any(
        centre < box.start - m or centre >= box.stop + m
        for centre, box, m in zip(component.centre, boxes[0], margin, strict=True)
    )
    if outside:
        return "outside", "Tumor: its centre lies outside the region of the abdominal organs."
    # Only the neighbourhood is looked at: a distance map of the whole scan takes seconds.
    reach = tuple(
        slice(
            max(0, part.start - int(settings.far_mm / s) - 1),
            part.stop + int(settings.far_mm / s) + 1,
        )
        for part, s in zip(component.box, spacing, strict=True)
    )
    near = organs[reach]
    if near.any():
        distance = ndimage.distance_transform_edt(~near, sampling=spacing)
        inner = tuple(
            slice(part.start - outer.start, part.stop - outer.start)
            for part, outer in zip(component.box, reach, strict=True)
        )
        if float(distance[inner][component.mask].min()) <= settings.far_mm:
            return "", ""
    return "far", f"Tumor: farther than {settings.far_mm:.0f} mm from every labeled organ."
