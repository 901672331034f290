"""Other contents of stomach and bowel, so that neither is told by what happens to be in it.

Few training scans show bowel full of fluid beside the liver, and a network that has not seen any
takes it for liver: same density, same place. Nor do they show many meals: a stomach full of food is
lost. What is labelled stays labelled: gas in the stomach is stomach, gas in the colon background,
and so is what takes its place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from FlareSegmentLib.labels import target_by_key

from .label_values import IGNORE, TUMOR
from .random_fields import random_field

GAS_HU = -300.0
"""Below it a voxel counts as gas; the lower density of fat is -120."""

SMALLEST_ML = 0.3
"""Smaller bubbles are left, but in crops in which feces are replaced as a whole."""

BUBBLES_APART = 3
"""Voxels that grow around each bubble to meet the next."""

RIM_MM = 3.0
"""Around the gas: partial volume, and a wall that would stay as a line between equal contents."""

STOMACH = target_by_key("stomach").id

LEAST_STOMACH_ML = 3.0
"""With less of it in the crop there is nothing to fill."""

WALL_MM = (2.0, 5.0)
"""What is left of the stomach inside its border."""

MEAL, LEVEL = 0.6, 0.5
"""Chances of lumps in the stomach, and of gas above a level."""

LIKE_LIVER, LIKE_WATER = 0.5, 0.8
"""Chances, summed up, of a density near the liver's and of one between water and blood; the rest is
oral contrast agent."""


def fill_bowel(
    image: Tensor, labels: Tensor, rng: np.random.Generator, spacing: tuple[float, ...]
) -> Tensor:
    """Fill some of the gas that lies wholly inside a crop; lungs and air around never do.

    Parameters
    ----------
    image, labels
        (k, j, i) float HU and int64 labels of a crop.
    spacing
        (k, j, i) mm.

    Returns
    -------
    The image with all other voxels as they were.
    """
    gas = (image < GAS_HU).cpu().numpy()
    components, count = ndimage.label(gas)
    if not count:
        return image
    sizes = np.bincount(components.ravel())
    feces = rng.random() < 0.5
    suits = sizes * math.prod(spacing) / 1000 >= (0.0 if feces else SMALLEST_ML)
    suits[0] = False
    for axis in range(3):
        for end in (0, -1):
            suits[np.unique(components.take(end, axis))] = False
    suits &= rng.random(len(suits)) < 0.8
    if not suits.any():
        return image
    filled = suits[components]
    boxes = ndimage.find_objects(filled.astype(np.uint8))
    reach = [math.ceil(RIM_MM / s) for s in spacing]
    box = tuple(
        slice(max(0, part.start - n), part.stop + n)
        for part, n in zip(boxes[0], reach, strict=True)
    )
    # A distance in millimetres, because voxels are not cubes.
    lumen = filled[box]
    if feces:
        lumen = ndimage.binary_closing(lumen, iterations=BUBBLES_APART) | lumen
    distance = ndimage.distance_transform_edt(~lumen, spacing)
    share = torch.from_numpy(np.clip(1.5 - distance / RIM_MM, 0, 1).astype(np.float32))
    result = image.clone()
    inside = result[box]
    content = _noise(inside.shape, rng).to(image.device).add_(_density(image, labels, rng))
    # Only up to the density of the wall: fat and gas become content, tissue around stays.
    share = share.to(image.device) * (inside < content)
    result[box] = torch.lerp(inside, content, share)
    return result


def fill_stomach(
    image: Tensor, labels: Tensor, rng: np.random.Generator, spacing: tuple[float, ...]
) -> Tensor:
    """Put fluid, contrast agent or a meal into the stomach, often with gas in front of it.

    Parameters
    ----------
    image, labels
        (k, j, i) float HU and int64 labels of a crop, j towards the back of a patient who lies
        on it.
    spacing
        (k, j, i) mm.

    Returns
    -------
    The image with the wall of the stomach, and all else, as it was.
    """
    stomach = (labels == STOMACH).cpu().numpy()
    if stomach.sum() * math.prod(spacing) / 1000 < LEAST_STOMACH_ML:
        return image
    box = ndimage.find_objects(stomach.astype(np.uint8))[0]
    depth = ndimage.distance_transform_edt(stomach[box], spacing)
    wall = rng.uniform(*WALL_MM)
    share = torch.from_numpy(np.clip((depth - wall) / 2 + 0.5, 0, 1).astype(np.float32))
    content = _noise(depth.shape, rng) + _density(image, labels, rng)
    if rng.random() < MEAL:
        content += _lumps(depth.shape, rng, spacing) * rng.uniform(20, 120)
        # Bubbles in it.
        gas = _lumps(depth.shape, rng, spacing) > rng.uniform(1.0, 3.0)
        content[gas] -= rng.uniform(100, 900)
    if rng.random() < LEVEL:
        front = np.flatnonzero((depth > wall).any((0, 2)))
        if len(front):
            content[:, : int(front[0] + rng.uniform(0, 0.6) * len(front))] = -950.0
    result = image.clone()
    result[box] = torch.lerp(image[box], content.to(image.device), share.to(image.device))
    return result


def _lumps(shape: Sequence[int], rng: np.random.Generator, spacing: tuple[float, ...]) -> Tensor:
    """Random field (k, j, i) with lumps of 4 to 15 mm, deviation about one."""
    lump = rng.uniform(4, 15)
    nodes = [max(2, round(n * s / lump)) for n, s in zip(shape, spacing, strict=True)]
    return random_field(shape, nodes, rng)


def _noise(shape: Sequence[int], rng: np.random.Generator) -> Tensor:
    """Noise (k, j, i) in HU, as smooth as that of a scan brought to another grid."""
    nodes = [max(1, round(n / rng.uniform(1, 2.5))) for n in shape]
    return random_field(shape, nodes, rng) * rng.uniform(3, 15)


def _density(image: Tensor, labels: Tensor, rng: np.random.Generator) -> float:
    """HU of what fills the bowel."""
    kind = rng.random()
    if kind < LIKE_LIVER:
        return _liver_density(image, labels, rng) + rng.normal(0, 12)
    return rng.uniform(0, 50) if kind < LIKE_WATER else rng.uniform(100, 350)


def _liver_density(image: Tensor, labels: Tensor, rng: np.random.Generator) -> float:
    """Median HU of some organ in the crop, the liver where it is in view; 50 without any."""
    liver = image[labels == 1]
    if not len(liver):
        liver = image[(labels > 0) & (labels != IGNORE) & (labels != TUMOR)]
    return float(liver.median()) if len(liver) else 50.0
