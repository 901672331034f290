"""Clean-up on the logits: what takes a removed component's place is decided before upsampling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .cleanup import CleanupSettings, stray_voxels
from .coarse_support import CoarseSupport
from .upsampling import largest_channel

REMOVED = -1e4
"""Logit of a channel where its component was removed; finite, so interpolation stays finite."""


def remove_stray_components(
    logits: Tensor,
    voxel_ml: float,
    keys: Sequence[str],
    settings: CleanupSettings | None,
    support: CoarseSupport | None,
) -> np.ndarray:
    """Change, in place, the logits of components that should not be there; the winners then.

    Parameters
    ----------
    logits
        (channels, k, j, i) float32, background first.
    voxel_ml
        Volume of a voxel.
    keys
        Target keys in channel order.
    settings, support
        See `stray_voxels`; without settings nothing is changed.

    Returns
    -------
    (k, j, i) uint8 channel numbers.
    """
    winner = largest_channel(logits)
    if settings is None:
        return winner
    for last in (False, True):
        stray = stray_voxels(winner, voxel_ml, tuple(keys), settings, support)
        if not stray.any():
            break
        # Positions, not a flattened copy: the logits may be a view of a padded array.
        k, j, i = (torch.from_numpy(n).to(logits.device) for n in np.nonzero(stray))
        if last:
            # What takes the place of a stray component may be as stray; then nothing is there.
            logits[0, k, j, i] = -REMOVED
            winner[stray] = 0
            break
        channel = torch.from_numpy(winner[stray].astype(np.int64)).to(logits.device)
        logits[channel, k, j, i] = REMOVED
        winner[stray] = logits[:, k, j, i].argmax(0).to(torch.uint8).cpu().numpy()
    # An organ that is second in two neighbouring voxels may be first between them: where it is
    # nowhere first, that is no find.
    present = np.bincount(winner.ravel(), minlength=len(logits))
    for absent in np.flatnonzero(present[1:] == 0) + 1:
        logits[absent] = REMOVED
    return winner
