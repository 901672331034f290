"""Cross-entropy and batch Dice of networks with a softmax: what their losses share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from FlareSegmentLib.errors import InputError

from ..label_values import IGNORE
from .annotation import SMOOTH, Annotation, over_processes
from .fused import LossSums


@dataclass(frozen=True)
class SoftmaxLoss:
    """What the softmax losses share.

    Attributes
    ----------
    focal
        Exponent of the focal weighting of the cross-entropy; 0 for none.
    tumor_weight
        Weight of tumor voxels and of the tumor's Dice against an organ's.
    smooth
        Added to both sides of the Dice ratio.
    class_weights
        Weight of a voxel in the cross-entropy by its channel, background first; the mean is
        over weights. Empty for equal ones.
    class_weights_end
        Exponent of `class_weights` at the end of the run, reached linearly from one: with 0 rare
        organs are learned early and their borders are not drawn too wide in the end.
    """

    activation: ClassVar[str] = "softmax"
    focal: float = 0.0
    tumor_weight: float = 1.0
    smooth: float = SMOOTH
    class_weights: Sequence[float] = ()
    class_weights_end: float = 1.0

    def at(self, share: float) -> Self:
        """Give the loss after this share of the run, 0 to 1."""
        if self.class_weights_end == 1 or not self.class_weights:
            return self
        exponent = 1 + share * (self.class_weights_end - 1)
        return replace(self, class_weights=[w**exponent for w in self.class_weights])

    def terms(
        self, log_p: Tensor, target: Tensor, annotation: Annotation, *, tumor_joins: bool
    ) -> dict[str, Tensor]:
        """Cross-entropy and batch Dice of the targets present.

        Parameters
        ----------
        log_p
            (batch, channels, k, j, i) log-probabilities.
        target
            (batch, k, j, i) channel numbers, `IGNORE` where nothing is known.
        tumor_joins
            Add the tumor's probability to the label's in samples whose tumors are unknown.
        """
        known = target != IGNORE
        target = torch.where(known, target, 0)
        weight = known.to(log_p.dtype).flatten()
        picked = log_p.gather(1, target[:, None])[:, 0]
        silent = torch.ones(log_p.shape[:2], dtype=log_p.dtype, device=log_p.device)
        unknown = annotation.tumor_unknown
        if annotation.tumor is not None:
            silent[unknown, annotation.tumor] = 0
        hidden = None
        if tumor_joins and annotation.tumor is not None and bool(unknown.any()):
            joins = annotation.may_hide_tumor(target)
            hidden = torch.where(joins, log_p[:, annotation.tumor].exp(), 0.0)
            picked = torch.where(joins, torch.logaddexp(picked, log_p[:, annotation.tumor]), picked)
        picked = picked.flatten()

        # Overlap and sizes without a one-hot copy: over 15 channels memory traffic is the cost.
        channels = log_p.shape[1]
        flat = target.flatten()
        zeros = picked.new_zeros(channels)
        overlap = zeros.index_add(0, flat, picked.exp() * weight)
        sizes = log_p.exp().flatten(2) @ known.to(log_p.dtype).flatten(1)[..., None]
        predicted = (sizes[..., 0] * silent).sum(0)
        if hidden is not None:
            # Else moving probability from an organ to the tumor in it would raise the Dice.
            predicted = predicted.index_add(0, flat, hidden.flatten() * weight)
        labelled = torch.bincount(flat, weight, channels).to(picked.dtype)

        by_channel = self._channel_weights(channels, annotation)
        if by_channel is not None:
            weight = weight * by_channel.to(weight)[flat]
        cost = -picked
        if self.focal:
            cost = cost * (1 - picked.exp()) ** self.focal
        sums = LossSums((cost * weight).sum(), weight.sum(), overlap, predicted, labelled)
        return self.ratios(sums, annotation)

    def ratios(self, sums: LossSums, annotation: Annotation) -> dict[str, Tensor]:
        """Cross-entropy and batch Dice from the sums of this process's part of the batch."""
        cost, weight, overlap, predicted, labelled = over_processes(
            [sums.cost, sums.weight, sums.overlap, sums.predicted, sums.labelled]
        )
        dice = (2 * overlap + self.smooth) / (predicted + labelled + self.smooth)
        share = (labelled > 0).to(dice.dtype)
        share[0] = 0
        if annotation.tumor is not None:
            share[annotation.tumor] *= self.tumor_weight
        dice_loss = ((1 - dice) * share).sum() / share.sum().clamp(min=1e-12)
        return {"cross_entropy": cost / weight.clamp(min=1), "dice": dice_loss}

    def _channel_weights(self, channels: int, annotation: Annotation) -> Tensor | None:
        """Weights of the cross-entropy by channel; None when all are one."""
        if self.class_weights and len(self.class_weights) != channels:
            raise InputError(
                f"The loss has {len(self.class_weights)} class_weights, but the network has "
                f"{channels} channels. Give one weight per channel, background first."
            )
        if not self.class_weights and self.tumor_weight == 1:
            return None
        weights = torch.tensor(self.class_weights or [1.0] * channels)
        if annotation.tumor is not None:
            weights[annotation.tumor] *= self.tumor_weight
        return weights
