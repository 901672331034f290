"""Losses of networks with a softmax over background and targets: P3, P5 and ours.

Labels exclude each other, so a target that is not annotated is part of what is labelled
background: its probability (marginal loss) or its logit (merge-max) joins the background's. A
tumor that is not annotated may also lie in an organ and joins the label of each foreground
voxel: "organ" then means "organ or tumor in it", and the tumor is neither taught nor punished.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from FlareSegmentLib.errors import InputError

from ..label_values import IGNORE
from .annotation import SMOOTH, Annotation, over_processes, usable_labels
from .fused import LossSums, Merging, fused_sums

MERGES = ("logsumexp", "max")

NEVER = -1e9
"""Logit of a channel that is out of the softmax; finite, so no gradient becomes NaN."""


@dataclass(frozen=True)
class _SoftmaxLoss:
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
            joins = unknown[:, None, None, None] & (target > 0)
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


@dataclass(frozen=True)
class CeDice(_SoftmaxLoss):
    """Cross-entropy and Dice as in nnU-Net (P5).

    P5's training cases are completed by pseudo-labels. Where one is not, the softmax runs over
    the annotated channels of that sample only, so no gradient reaches the others.
    """

    def __call__(self, logits: Tensor, labels: Tensor, annotation: Annotation) -> dict[str, Tensor]:
        """Terms "cross_entropy" and "dice" (one minus Dice)."""
        x = logits.float()
        if not bool(annotation.known.all()):
            out = functional.pad(~annotation.known, (1, 0), value=False)
            x = x.masked_fill(out[:, :, None, None, None], NEVER)
        labels = usable_labels(labels, annotation)
        return self.terms(functional.log_softmax(x, dim=1), labels, annotation, tumor_joins=False)


@dataclass(frozen=True)
class MergeMaxCeDice(_SoftmaxLoss):
    """Merge-max operation with cross-entropy and Dice (P3, eq. 1).

    The logits of background and of all organs that are not annotated are replaced by their
    largest, then the usual losses follow: the hardest unlabelled organ is told apart.

    Attributes
    ----------
    merge
        "max" (P3), or "logsumexp", which is the exact marginal loss.
    paper_exact
        P3's own treatment of tumors: a channel of its own always, so that a case not annotated
        for tumor counts as one without.
    exclusion
        Weight of the exclusion term (Shi et al. 2021): overlap of the organs not annotated with
        labelled foreground.
    """

    merge: str = "max"
    paper_exact: bool = False
    exclusion: float = 0.0

    def __post_init__(self) -> None:
        if self.merge not in MERGES:
            raise ValueError(f"merge is '{self.merge}', but must be one of {', '.join(MERGES)}")

    def __call__(self, logits: Tensor, labels: Tensor, annotation: Annotation) -> dict[str, Tensor]:
        """Terms "cross_entropy", "dice" (one minus Dice) and, if weighted, "exclusion"."""
        annotation = self._seen(annotation)
        organs = annotation.unknown_organs()
        x = logits.float()
        labels = _join_background(labels, annotation)
        merged = x
        if any(organs):
            merged = torch.stack([self._merged(s, o) for s, o in zip(x, organs, strict=True)])
        by_sum = self.merge == "logsumexp"
        if not by_sum:
            merged = _hardest_tumor(merged, labels, annotation)
        log_p = functional.log_softmax(merged, dim=1)
        terms = self.terms(log_p, labels, annotation, tumor_joins=by_sum)
        if self.exclusion:
            terms["exclusion"] = self.exclusion * _exclusion(x, labels, organs, self.smooth)
        return terms

    def _seen(self, annotation: Annotation) -> Annotation:
        """Give the annotation as this loss takes it."""
        if not self.paper_exact or annotation.tumor is None:
            return annotation
        known = annotation.known.clone()
        known[:, annotation.tumor - 1] = True
        return Annotation(known, annotation.tumor)

    def _merged(self, logits: Tensor, organs: list[int]) -> Tensor:
        """Logits (channels, k, j, i) with the organs' in the background's channel."""
        if not organs:
            return logits
        group = logits[[0, *organs]]
        joint = group.amax(0) if self.merge == "max" else group.logsumexp(0)
        rest = logits[1:].clone()
        rest[[organ - 1 for organ in organs]] = NEVER
        return torch.cat([joint[None], rest])


@dataclass(frozen=True)
class Marginal(MergeMaxCeDice):
    """Marginal cross-entropy and batch Dice (Shi et al. 2021)."""

    merge: str = "logsumexp"

    @property
    def fusible(self) -> bool:
        """Whether `of_features` can take the place of a call."""
        return self.merge == "logsumexp" and not self.focal and not self.exclusion

    def of_features(
        self, features: Tensor, head: nn.Conv3d, labels: Tensor, annotation: Annotation
    ) -> dict[str, Tensor]:
        """Give what a call gives for the head's logits, without making them.

        Parameters
        ----------
        features
            (batch, features, k, j, i).
        head
            1x1x1 convolution to channels * sub-voxels.
        labels
            (batch, sub-voxels, k * j * i).
        """
        annotation = self._seen(annotation)
        labels = _join_background(labels, annotation)
        channels = annotation.known.shape[1] + 1
        weights = self._channel_weights(channels, annotation)
        if weights is None:
            weights = torch.ones(channels)
        unknown = annotation.tumor_unknown.tolist()
        merging = [
            Merging(tuple(organs), annotation.tumor if tumor else None)
            for organs, tumor in zip(annotation.unknown_organs(), unknown, strict=True)
        ]
        return self.ratios(fused_sums(features, head, labels, weights, merging), annotation)


def _join_background(labels: Tensor, annotation: Annotation) -> Tensor:
    """Labels in which organs that are not annotated are background, which is what they joined.

    A tumor label in a sample whose tumors are unknown says nothing about the organ around it.
    """
    usable = usable_labels(labels, annotation)
    dropped = (usable == IGNORE) & (labels != IGNORE)
    if annotation.tumor is not None:
        dropped &= labels != annotation.tumor
    return torch.where(dropped, 0, usable)


def _hardest_tumor(logits: Tensor, labels: Tensor, annotation: Annotation) -> Tensor:
    """The larger of label's and tumor's logit at organ voxels where tumors are unknown."""
    unknown = annotation.tumor_unknown
    if annotation.tumor is None or not bool(unknown.any()):
        return logits
    organ = (labels > 0) & (labels != IGNORE)
    joins = (organ & unknown[:, None, None, None])[:, None]
    target = torch.where(organ, labels, 0)[:, None]
    tumor = logits[:, annotation.tumor : annotation.tumor + 1]
    own = logits.gather(1, target)
    merged = logits.scatter(1, target, torch.where(joins, torch.maximum(own, tumor), own))
    rest = torch.where(joins, NEVER, tumor)
    before, after = merged[:, : annotation.tumor], merged[:, annotation.tumor + 1 :]
    return torch.cat([before, rest, after], dim=1)


def _exclusion(logits: Tensor, labels: Tensor, organs: list[list[int]], smooth: float) -> Tensor:
    """Mean Dice overlap of organs that are not annotated with labelled foreground."""
    overlap, count = logits.new_zeros(()), logits.new_zeros(())
    for sample, label, unknown in zip(logits, labels, organs, strict=True):
        if not unknown:
            continue
        p = sample.softmax(0)[unknown].flatten(1)
        labelled = ((label > 0) & (label != IGNORE)).flatten().to(p.dtype)
        dice = (2 * p @ labelled + smooth) / (p.sum(1) + labelled.sum() + smooth)
        overlap, count = overlap + dice.sum(), count + len(unknown)
    overlap, count = over_processes([overlap, count])
    return overlap / count.clamp(min=1)
