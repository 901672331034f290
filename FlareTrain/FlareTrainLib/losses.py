"""Losses for partly labelled scans."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .packing import IGNORE

SMOOTH = 1e-5
"""Added to both sides of the Dice ratio, as nnU-Net does, so that empty over empty is one."""


def marginal_cross_entropy_and_dice(
    logits: Tensor, labels: Tensor, tumor_unknown: Tensor, tumor: int = 14
) -> tuple[Tensor, Tensor]:
    """Softmax cross-entropy and batch Dice where some scans may hold unlabelled tumors.

    In a scan whose tumors are unknown, "organ" means "organ or tumor in it": the probability of
    the tumor is added to that of the label (marginal loss, Shi et al. 2021), so the network is
    neither taught nor punished for a tumor there.

    Parameters
    ----------
    logits
        (batch, channels, k, j, i) float.
    labels
        (batch, k, j, i) int64; `IGNORE` where nothing is known.
    tumor_unknown
        (batch,) bool.

    Returns
    -------
    cross_entropy, dice_loss
        Scalars; the second is one minus the mean Dice of the classes present.
    """
    known = labels != IGNORE
    target = torch.where(known, labels, 0)
    log_p = functional.log_softmax(logits.float(), dim=1)
    if bool(tumor_unknown.any()):
        merged = torch.logaddexp(log_p, log_p[:, tumor : tumor + 1])
        merged = torch.cat([log_p[:, :1], merged[:, 1:]], dim=1)
        log_p = torch.where(tumor_unknown[:, None, None, None, None], merged, log_p)
    weight = known.to(log_p.dtype).flatten()
    picked = log_p.gather(1, target[:, None]).flatten()
    cross_entropy = -(picked * weight).sum() / weight.sum().clamp(min=1)

    # Overlap and sizes without a one-hot copy: over 15 channels memory traffic is the cost.
    channels = logits.shape[1]
    overlap = picked.new_zeros(channels).index_add(0, target.flatten(), picked.exp() * weight)
    silent = torch.ones(log_p.shape[:2], dtype=log_p.dtype, device=log_p.device)
    silent[tumor_unknown, tumor] = 0
    sums = log_p.exp().flatten(2) @ known.to(log_p.dtype).flatten(1)[..., None]
    size_p = (sums[..., 0] * silent).sum(0)
    size_t = torch.bincount(target.flatten(), weight, channels)
    dice = (2 * overlap + SMOOTH) / (size_p + size_t + SMOOTH)
    present = size_t[1:] > 0
    if not bool(present.any()):
        return cross_entropy, dice.sum() * 0
    return cross_entropy, 1 - dice[1:][present].mean()
