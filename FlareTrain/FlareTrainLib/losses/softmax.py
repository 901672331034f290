"""Losses of networks with a softmax over background and targets: P3, P5 and ours.

Labels exclude each other, so a target that is not annotated is part of what is labelled
background: its probability (marginal loss) or its logit (merge-max) joins the background's. A
tumor that is not annotated may lie in any organ. It joins the label of each foreground voxel:
"organ" then means "organ or tumor in it", and the tumor is neither taught nor punished. Where
organs are not annotated either, background may be an organ with a tumor in it, and the tumor joins
that too; where all organs are, background is outside of them, and no place for a tumor.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..label_values import IGNORE
from .annotation import Annotation, over_processes, usable_labels
from .fused import Merging, fused_sums
from .softmax_terms import SoftmaxLoss

MERGES = ("logsumexp", "max")

NEVER = -1e9
"""Logit of a channel that is out of the softmax; finite, so no gradient becomes NaN."""


@dataclass(frozen=True)
class CeDice(SoftmaxLoss):
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
class MergeMaxCeDice(SoftmaxLoss):
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
            (batch, sub-voxels, k * j * i), int32 or int64.
        """
        annotation = self._seen(annotation)
        channels = annotation.known.shape[1] + 1
        weights = self._channel_weights(channels, annotation)
        if weights is None:
            weights = torch.ones(channels)
        merging = [
            _merging(organs, annotation.tumor if unknown else None)
            for organs, unknown in zip(
                annotation.unknown_organs(), annotation.tumor_unknown.tolist(), strict=True
            )
        ]
        sums = fused_sums(features, head, labels, _meanings(annotation), weights, merging)
        return self.ratios(sums, annotation)


def _meanings(annotation: Annotation) -> Tensor:
    """Table (batch, 256) of the channel that each label value means, by `_join_background`.

    As a table, because that function takes a dozen passes over a whole volume of labels.
    """
    batch, targets = annotation.known.shape
    values = torch.arange(targets + 1)
    table = torch.full((batch, 256), IGNORE)
    table[:, : targets + 1] = _join_background(values.expand(batch, -1), annotation)
    return table


def _merging(organs: list[int], tumor: int | None) -> Merging:
    """Give the channels that join others in a sample with these organs, and tumors, unknown."""
    background = (*organs, tumor) if organs and tumor is not None else tuple(organs)
    return Merging(background, tumor)


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
    """The larger of label's and tumor's logit wherever an unknown tumor may lie."""
    if annotation.tumor is None or not bool(annotation.tumor_unknown.any()):
        return logits
    joins = annotation.may_hide_tumor(labels)[:, None]
    target = torch.where(labels == IGNORE, 0, labels)[:, None]
    tumor = logits[:, annotation.tumor : annotation.tumor + 1]
    own = logits.gather(1, target)
    merged = logits.scatter(1, target, torch.where(joins, torch.maximum(own, tumor), own))
    rest = torch.where(joins, NEVER, tumor)
    before, after = merged[:, : annotation.tumor], merged[:, annotation.tumor + 1 :]
    return torch.cat([before, rest, after], dim=1)


def _exclusion(logits: Tensor, labels: Tensor, organs: list[list[int]], smooth: float) -> Tensor:
    """Mean Dice overlap of organs that are not annotated with labelled foreground."""
    p = logits.softmax(1).flatten(2)
    labelled = ((labels > 0) & (labels != IGNORE)).flatten(1).to(p.dtype)
    overlap = (p @ labelled[..., None])[..., 0]
    dice = (2 * overlap + smooth) / (p.sum(2) + labelled.sum(1, keepdim=True) + smooth)
    # By shares, not by picking: a process without such organs must take part in the sum, too.
    shares = torch.zeros_like(dice)
    for row, unknown in zip(shares, organs, strict=True):
        row[unknown] = 1
    total, count = over_processes([(dice * shares).sum(), shares.sum()])
    return total / count.clamp(min=1)
