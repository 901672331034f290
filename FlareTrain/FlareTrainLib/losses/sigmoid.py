"""Losses of networks with one sigmoid per target: P1, P2 and P4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from ..label_values import IGNORE
from .annotation import SMOOTH, Annotation, over_processes


@dataclass(frozen=True)
class SigmoidSums:
    """What every loss here is made of; (batch, targets) each, unknown voxels left out.

    Attributes
    ----------
    positive, negative
        Cross-entropy of the voxels of the target, and of all others, summed.
    overlap, predicted, labelled
        Probability inside the target, probability everywhere, voxels of the target.
    voxels
        (batch, 1) known voxels.
    """

    positive: Tensor
    negative: Tensor
    overlap: Tensor
    predicted: Tensor
    labelled: Tensor
    voxels: Tensor

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor, focal: float = 0.0) -> SigmoidSums:
        """Sums of (batch, targets, k, j, i) logits against (batch, k, j, i) labels.

        Everything is first counted as negative and then corrected at labelled voxels: no
        one-hot copy of the labels is made, because memory traffic is the cost.
        """
        x, flat = logits.float().flatten(2), labels.flatten(1)
        batch, targets = x.shape[:2]
        known = (flat != IGNORE).to(x.dtype)
        p = x.sigmoid()
        cost = functional.softplus(x)
        if focal:
            cost = cost * p**focal
        predicted = (p @ known[..., None])[..., 0]
        negative = (cost @ known[..., None])[..., 0]

        inside = ((flat != IGNORE) & (flat > 0)).to(x.dtype)
        channel = torch.where(inside > 0, flat - 1, 0)
        picked = x.gather(1, channel[:, None])[:, 0]
        probability = picked.sigmoid()
        as_positive, as_negative = functional.softplus(-picked), functional.softplus(picked)
        if focal:
            as_positive = as_positive * (1 - probability) ** focal
            as_negative = as_negative * probability**focal
        place = channel + targets * torch.arange(batch, device=x.device)[:, None]

        def collect(values: Tensor) -> Tensor:
            empty = values.new_zeros(batch * targets)
            return empty.index_add(0, place.flatten(), (values * inside).flatten()).view(
                batch, targets
            )

        return cls(
            positive=collect(as_positive),
            negative=negative - collect(as_negative),
            overlap=collect(probability),
            predicted=predicted,
            labelled=collect(torch.ones_like(picked)),
            voxels=known.sum(1, keepdim=True).clamp(min=1),
        )

    def cross_entropy(self) -> Tensor:
        """Mean binary cross-entropy (batch, targets)."""
        return (self.positive + self.negative) / self.voxels

    def dice(self, smooth: float) -> Tensor:
        """Dice of each sample and target (batch, targets)."""
        return (2 * self.overlap + smooth) / (self.predicted + self.labelled + smooth)


def target_weights(logits: Tensor, annotation: Annotation, tumor_weight: float) -> Tensor:
    """Weight of each target (targets,)."""
    weights = torch.ones(logits.shape[1], device=logits.device)
    if annotation.tumor is not None:
        weights[annotation.tumor - 1] = tumor_weight
    return weights


def _mean_over_pairs(terms: list[Tensor], weights: Tensor) -> list[Tensor]:
    """Mean of (batch, targets) terms over the active pairs of the global batch."""
    # Chosen, not multiplied by zero: an infinite term of an inactive pair must not become NaN.
    sums = [torch.where(weights > 0, term * weights, 0.0).sum() for term in terms]
    *sums, total = over_processes([*sums, weights.sum()])
    return [s / total.clamp(min=1e-12) for s in sums]


@dataclass(frozen=True)
class _SigmoidLoss:
    """What the sigmoid losses share.

    Attributes
    ----------
    focal
        Exponent of the focal weighting; 0 for plain cross-entropy.
    tumor_weight
        Weight of the tumor's terms against an organ's.
    smooth
        Added to both sides of the Dice ratio.
    """

    activation: ClassVar[str] = "sigmoid"
    focal: float = 0.0
    tumor_weight: float = 1.0
    smooth: float = SMOOTH

    def sums(
        self, logits: Tensor, labels: Tensor, annotation: Annotation
    ) -> tuple[SigmoidSums, Tensor, Tensor]:
        """Sums of a batch, which pairs of sample and target are annotated, weights of targets.

        Returns
        -------
        sums, known, weights
            (batch, targets) float, 1 where annotated; (targets,).
        """
        weights = target_weights(logits, annotation, self.tumor_weight)
        known = annotation.known.to(weights.dtype)
        return SigmoidSums.of(logits, labels, self.focal), known, weights


@dataclass(frozen=True)
class SelectedPartial(_SigmoidLoss):
    """Selected partial loss (P1, eq. 2), with annotation taken case by case.

    The paper asks per patch whether a tumor is in it, so its tumor channel never sees a
    tumor-free example; here a pair of sample and target counts if the target was annotated in
    the case. Dice is taken over the batch (P1, eq. 1); a target without any voxel in the
    batch is left to the cross-entropy.

    Attributes
    ----------
    paper_exact
        The paper's own behaviour: all organs always count, the tumor only in patches that show
        one; Dice per sample, counted as one where masked.
    """

    paper_exact: bool = False

    def __call__(self, logits: Tensor, labels: Tensor, annotation: Annotation) -> dict[str, Tensor]:
        """Terms "cross_entropy" and "dice" (one minus Dice)."""
        sums, known, weights = self.sums(logits, labels, annotation)
        if self.paper_exact:
            return self._as_published(sums, annotation, weights)
        (cross_entropy,) = _mean_over_pairs([sums.cross_entropy()], known * weights)
        overlap, predicted, labelled = over_processes(
            [(s * known).sum(0) for s in (sums.overlap, sums.predicted, sums.labelled)]
        )
        dice = (2 * overlap + self.smooth) / (predicted + labelled + self.smooth)
        share = torch.where(labelled > 0, weights, 0.0)
        dice_loss = ((1 - dice) * share).sum() / share.sum().clamp(min=1e-12)
        return {"cross_entropy": cross_entropy, "dice": dice_loss}

    def _as_published(
        self, sums: SigmoidSums, annotation: Annotation, weights: Tensor
    ) -> dict[str, Tensor]:
        active = torch.ones_like(sums.overlap)
        if annotation.tumor is not None:
            column = annotation.tumor - 1
            active[:, column] = (sums.labelled[:, column] > 0).to(active.dtype)
        (cross_entropy,) = _mean_over_pairs([sums.cross_entropy()], active * weights)
        dice = torch.where(active > 0, sums.dice(self.smooth), 1.0)
        (dice_loss,) = _mean_over_pairs([1 - dice], weights.expand_as(dice))
        return {"cross_entropy": cross_entropy, "dice": dice_loss}


@dataclass(frozen=True)
class MaskedBceDice(_SigmoidLoss):
    """Masked back-propagation with binary cross-entropy and Dice (P2, section 2.2, Table 1).

    The mean over all pairs of sample and annotated target; Dice per pair, smoothed by one as in
    P2's code.
    """

    smooth: float = 1.0

    def __call__(self, logits: Tensor, labels: Tensor, annotation: Annotation) -> dict[str, Tensor]:
        """Terms "cross_entropy" and "dice" (one minus Dice)."""
        sums, known, weights = self.sums(logits, labels, annotation)
        terms = [sums.cross_entropy(), 1 - sums.dice(self.smooth)]
        cross_entropy, dice_loss = _mean_over_pairs(terms, known * weights)
        return {"cross_entropy": cross_entropy, "dice": dice_loss}


@dataclass(frozen=True)
class BceDice(_SigmoidLoss):
    """Binary cross-entropy and Dice of fully labelled volumes (P4, eq. 1 to 3).

    P4 trains one whole volume at a time, where every target is in view: Dice is the mean over
    the annotated targets that are in the volume, and absent ones are left to the cross-entropy.

    Attributes
    ----------
    paper_exact
        Only the positive term of the cross-entropy, as P4's eq. 2 is printed.
    """

    paper_exact: bool = False

    def __call__(self, logits: Tensor, labels: Tensor, annotation: Annotation) -> dict[str, Tensor]:
        """Terms "cross_entropy" and "dice" (one minus Dice)."""
        sums, known, weights = self.sums(logits, labels, annotation)
        cost = sums.positive / sums.voxels if self.paper_exact else sums.cross_entropy()
        (cross_entropy,) = _mean_over_pairs([cost], known * weights)
        present = torch.where(sums.labelled > 0, known * weights, 0.0)
        (dice_loss,) = _mean_over_pairs([1 - sums.dice(self.smooth)], present)
        return {"cross_entropy": cross_entropy, "dice": dice_loss}
