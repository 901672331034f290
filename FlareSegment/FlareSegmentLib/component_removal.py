"""Clean-up on the logits: what takes a removed component's place is decided before upsampling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from .cleanup import TUMOR, CleanupSettings, stray_voxels
from .coarse_support import CoarseSupport
from .threads import in_threads
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
        (channels, k, j, i) float32, background first; no axis is reduced afterwards, or what was
        removed would spread.
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
    changed: set[int] | None = None
    for last in (False, True):
        stray = stray_voxels(winner, voxel_ml, tuple(keys), settings, support, changed)
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
        # Who only lost pieces has been judged; tumors are judged by what lies around them.
        changed = set(np.unique(winner[stray]).tolist())
        changed |= {n for n, key in enumerate(keys, start=1) if key == TUMOR}
    _keep_near(logits, winner)
    return winner


def _keep_near(logits: Tensor, winner: np.ndarray) -> None:
    """Take every target out of the logits, in place, where no neighbouring voxel is won by it.

    A target that is second in two neighbouring voxels may be first between them. Such slivers
    appear by the dozen at a scan's resolution, and nothing has judged them here. A cell that has
    a voxel of the target at one of its corners keeps all its logits.
    """
    boxes = ndimage.find_objects(winner, len(logits) - 1)

    def keep(channel: int) -> None:
        box = boxes[channel - 1]
        if box is None:
            logits[channel] = REMOVED
            return
        k, j, i = (slice(max(0, part.start - 1), part.stop + 1) for part in box)
        near = ndimage.maximum_filter(winner[k, j, i] == channel, size=3)
        kept = logits[channel, k, j, i].masked_fill(
            torch.from_numpy(~near).to(logits.device), REMOVED
        )
        logits[channel] = REMOVED
        logits[channel, k, j, i] = kept

    in_threads(keep, range(1, len(logits)))
