"""Removal of stray components, at the network's resolution, in millilitres.

A component goes when it is small both in ml and against the largest of its organ; tumors only
when they are too small to be measured, because disease is often multifocal (largest-component
rules delete it).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from .labels import target_by_key

if TYPE_CHECKING:
    from .coarse_support import CoarseSupport

TUMOR = "tumor"
"""The target whose components are judged one by one."""

DEFAULT_LEAST_ML = {
    "liver": 150.0,
    "right_kidney": 30.0,
    "spleen": 40.0,
    "pancreas": 15.0,
    "aorta": 10.0,
    "inferior_vena_cava": 10.0,
    "right_adrenal_gland": 1.0,
    "left_adrenal_gland": 1.0,
    "gallbladder": 8.0,
    "esophagus": 5.0,
    "stomach": 60.0,
    "duodenum": 15.0,
    "left_kidney": 30.0,
    TUMOR: 0.5,
}
"""A tumor of 0.5 ml is a ball of 10 mm, below which RECIST 1.1 takes no lesion for measurable."""

STRUCTURE = np.ones((3, 3, 3), bool)
"""Voxels that touch by a corner belong together."""

DEFAULT_VANISH = {"right_adrenal_gland": 0.3, "left_adrenal_gland": 0.3, "gallbladder": 0.2}
"""Of 14 finds of adrenal glands and gallbladders below these shares in training scans and parts of
them, 12 were of organs that the pseudo-labels do not have there (flare-base 0.1.0). Small finds of
other organs are mostly real: the end of a kidney, say."""


@dataclass(frozen=True)
class CleanupSettings:
    """Which components are kept.

    Attributes
    ----------
    least_ml
        Components at least this large are never removed for being a small share.
    share
        Smaller components stay when they have at least this share of the largest one.
    vanish
        An organ whose largest component is below this share of `least_ml` is removed whole.
    vanish_of
        The same share for single organs.
    largest_only
        Keep only the largest component of every organ (P2, P4); tumors stay exempt.
    tumor_outside
        Largest share of a tumor's surroundings that may lie outside all organs; 1 for no limit.
        For models that were taught tumors inside organs only.
    """

    least_ml: dict[str, float] = field(default_factory=lambda: dict(DEFAULT_LEAST_ML))
    share: float = 0.1
    vanish: float = 0.05
    vanish_of: dict[str, float] = field(default_factory=lambda: dict(DEFAULT_VANISH))
    largest_only: bool = False
    tumor_outside: float = 1.0


def stray_voxels(
    labels: np.ndarray,
    voxel_ml: float,
    keys: tuple[str, ...],
    settings: CleanupSettings = CleanupSettings(),
    support: CoarseSupport | None = None,
    channels: Collection[int] | None = None,
) -> np.ndarray:
    """Mask of the voxels whose component should not be there.

    Parameters
    ----------
    labels
        (k, j, i) uint8 channel numbers: 0 background, n the n-th of `keys`.
    voxel_ml
        Volume of a voxel.
    keys
        Target keys in channel order.
    support
        Where the localiser sees the organs; a component below `least_ml` that lies nowhere
        there goes. Larger ones stay: two networks may well disagree on a kidney in the pelvis.
    channels
        Those that are judged; None for all.

    Returns
    -------
    (k, j, i) bool.
    """
    stray = np.zeros(labels.shape, bool)
    for channel, box in enumerate(ndimage.find_objects(labels, len(keys)), start=1):
        if box is None or (channels is not None and channel not in channels):
            continue
        key = keys[channel - 1]
        components, count = ndimage.label(labels[box] == channel, STRUCTURE)
        sizes = np.bincount(components.ravel(), minlength=count + 1)[1:] * voxel_ml
        remove = ~_kept(sizes, key, settings)
        if key == TUMOR and settings.tumor_outside < 1:
            remove |= _share_outside(labels, channel, box) > settings.tumor_outside
        seen = None if support is None else support.at(channel, box)
        if seen is not None:
            unseen = np.bincount(components[seen], minlength=count + 1)[1:] == 0
            remove |= unseen & (sizes < settings.least_ml.get(key, 0.0))
        if remove.any():
            stray[box] |= np.concatenate([[False], remove])[components]
    return stray


def coarse_labels(
    labels: np.ndarray, voxel_ml: float, keys: tuple[str, ...], settings: CleanupSettings | None
) -> np.ndarray:
    """Labels of a localiser as `settings` want them: P4 keeps one component at both stages.

    For the other systems they stay as they are; shapes as in `stray_voxels`.
    """
    if settings is None or not settings.largest_only:
        return labels
    return np.where(stray_voxels(labels, voxel_ml, keys, settings), np.uint8(0), labels)


def _kept(sizes: np.ndarray, key: str, settings: CleanupSettings) -> np.ndarray:
    least = settings.least_ml.get(key, 0.0)
    if key == TUMOR:
        return sizes >= least
    largest = sizes.max()
    if largest < settings.vanish_of.get(key, settings.vanish) * least:
        return np.zeros(sizes.shape, bool)
    if settings.largest_only:
        return np.arange(len(sizes)) == sizes.argmax()
    return (sizes >= settings.share * largest) | (sizes >= least)


def _share_outside(labels: np.ndarray, channel: int, box: tuple[slice, ...]) -> np.ndarray:
    """Share of background in the shell one voxel thick around each component of a channel.

    `box` holds the whole channel, so the components are numbered as within it.
    """
    wide = tuple(slice(max(0, part.start - 1), part.stop + 1) for part in box)
    around = labels[wide]
    components, count = ndimage.label(around == channel, STRUCTURE)
    shares = np.zeros(count)
    for number, piece in enumerate(ndimage.find_objects(components), start=1):
        piece = tuple(slice(max(0, part.start - 1), part.stop + 1) for part in piece)
        shell = ndimage.binary_dilation(components[piece] == number, STRUCTURE)
        touched = around[piece][shell & (around[piece] != channel)]
        if touched.size:
            shares[number - 1] = np.mean(touched == 0)
    return shares


def check_keys(settings: CleanupSettings) -> None:
    """Raise `InputError` when a key of the settings is not a target."""
    for key in (*settings.least_ml, *settings.vanish_of):
        target_by_key(key)
