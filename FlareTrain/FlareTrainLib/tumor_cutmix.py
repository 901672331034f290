"""Context-aware tumor objects and CutMix (P3, section 2.2).

Every connected tumor of the training scans is cut out with its surroundings; an object is
pasted, image and complete label, into crops that show no labelled tumor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from .crop_settings import CutMixSettings
from .label_values import IGNORE, TUMOR


@dataclass(frozen=True)
class TumorObject:
    """One tumor with its surroundings.

    Attributes
    ----------
    image, labels
        (k, j, i) int16 HU and uint8 labels of the box.
    spacing
        (k, j, i) mm.
    host
        Target id of the organ the tumor lies in or touches; 0 if none.
    known
        Target ids labelled in the scan it comes from.
    case
        Name of that scan.
    """

    image: Tensor
    labels: Tensor
    spacing: tuple[float, ...]
    host: int
    known: frozenset[int]
    case: str


def extract_objects(
    image: Tensor,
    labels: Tensor,
    spacing: Sequence[float],
    known: frozenset[int],
    case: str,
    rng: np.random.Generator,
    settings: CutMixSettings = CutMixSettings(),
) -> list[TumorObject]:
    """Cut out every connected tumor of a scan with a random margin.

    Parameters
    ----------
    image, labels
        (k, j, i) HU and uint8 labels of a scan whose tumors are annotated.
    spacing
        (k, j, i) mm.
    known
        Target ids labelled in the scan.
    """
    array = labels.cpu().numpy()
    components, _ = ndimage.label(array == TUMOR)
    smallest = settings.smallest_ml * 1000 / float(np.prod(spacing))
    along, across = settings.margin_mm
    objects = []
    for number, box in enumerate(ndimage.find_objects(components), start=1):
        tumor = components[box] == number
        if tumor.sum() < smallest:
            continue
        grown = []
        for axis, part in enumerate(box):
            margin = round(float(rng.uniform(*(along if axis == 0 else across))) / spacing[axis])
            grown.append(
                slice(max(part.start - margin, 0), min(part.stop + margin, array.shape[axis]))
            )
        where = tuple(grown)
        inside = labels[where].clone()
        # One object, one tumor: another one in the box may be cut off by its border.
        other = torch.from_numpy((components[where] > 0) & (components[where] != number))
        inside[other.to(inside.device)] = IGNORE
        objects.append(
            TumorObject(
                image[where].clone(),
                inside,
                tuple(spacing),
                _host(array[where], components[where] == number),
                known,
                case,
            )
        )
    return objects


def _host(labels: np.ndarray, tumor: np.ndarray) -> int:
    """Organ with most voxels next to the tumor, 0 if there is none."""
    shell = ndimage.binary_dilation(tumor, iterations=2) & ~tumor
    counts = np.bincount(labels[shell], minlength=256)
    counts[[0, TUMOR, IGNORE]] = 0
    return int(counts.argmax()) if counts.any() else 0


def paste_object(
    image: Tensor,
    labels: Tensor,
    tumor: TumorObject,
    known: frozenset[int],
    spacing: Sequence[float],
    rng: np.random.Generator,
    settings: CutMixSettings = CutMixSettings(),
) -> tuple[Tensor, Tensor, bool]:
    """Paste an object into a crop (P3, eq. 2).

    Its centre lies in the host organ or within the box around all organs of the crop. A crop
    that shows no organ is left as it is.

    Parameters
    ----------
    image, labels
        (k, j, i) HU float and int64 labels of the crop; not modified.
    known
        Target ids labelled in the crop's scan; unlabelled surroundings of the object that may
        be one of them become unknown.
    spacing
        (k, j, i) mm of the crop.

    Returns
    -------
    image, labels, pasted
        New tensors, and whether the crop now shows the object.
    """
    centre = _centre(labels, tumor.host, rng, settings.match_host)
    if centre is None:
        return image, labels, False
    patch, patch_labels = _resized(tumor, spacing, image.device)
    if not known <= tumor.known:
        patch_labels = torch.where(patch_labels == 0, IGNORE, patch_labels)
    target, source = [], []
    for axis in range(3):
        # An object larger than the crop is cut around its own centre.
        length = min(patch.shape[axis], labels.shape[axis])
        first = (patch.shape[axis] - length) // 2
        start = int(np.clip(centre[axis] - length // 2, 0, labels.shape[axis] - length))
        target.append(slice(start, start + length))
        source.append(slice(first, first + length))
    there, here = tuple(target), tuple(source)
    if not bool((patch_labels[here] == TUMOR).any()):
        return image, labels, False
    image, labels = image.clone(), labels.clone()
    share = _fade([s.stop - s.start for s in target], spacing, settings.feather_mm)
    share = share.to(image.device)
    image[there] = torch.lerp(image[there], patch[here], share)
    labels[there] = patch_labels[here]
    return image, labels, True


def _centre(
    labels: Tensor, host: int, rng: np.random.Generator, match_host: float
) -> np.ndarray | None:
    """Random voxel (k, j, i) of the host, or within the box around all organs."""
    if host and rng.random() < match_host:
        inside = (labels == host).nonzero()
        if len(inside):
            return inside[int(rng.integers(len(inside)))].cpu().numpy()
    organs = ((labels > 0) & (labels != IGNORE)).nonzero()
    if not len(organs):
        return None
    low, high = organs.amin(0).cpu().numpy(), organs.amax(0).cpu().numpy()
    return rng.integers(low, high + 1)


def _resized(
    tumor: TumorObject, spacing: Sequence[float], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Image (float) and labels (int64) of the object on a grid of another spacing."""
    image, labels = tumor.image.to(device).float(), tumor.labels.to(device)
    size = [
        max(1, round(n * a / b))
        for n, a, b in zip(image.shape, tumor.spacing, spacing, strict=True)
    ]
    if size == list(image.shape):
        return image, labels.long()
    image = functional.interpolate(image[None, None], size=size, mode="trilinear")[0, 0]
    resized = functional.interpolate(labels[None, None].float(), size=size, mode="nearest-exact")
    return image, resized[0, 0].long()


def _fade(size: Sequence[int], spacing: Sequence[float], width_mm: float) -> Tensor:
    """Share of the object (k, j, i), rising from the border of its box to one."""
    share = torch.ones(tuple(size))
    if width_mm <= 0:
        return share
    for axis, (length, step) in enumerate(zip(size, spacing, strict=True)):
        position = torch.arange(length, dtype=torch.float32)
        from_border = torch.minimum(position, length - 1 - position) + 0.5
        ramp = (from_border * step / width_mm).clamp(max=1)
        shape = [1, 1, 1]
        shape[axis] = length
        share = torch.minimum(share, ramp.reshape(shape))
    return share
