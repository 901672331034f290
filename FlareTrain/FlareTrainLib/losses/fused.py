"""Head, softmax and loss sums of a sub-voxel network in one pass over the features.

The logits of 15 channels at full resolution are by far the largest arrays of a training step; on
a CPU, writing and reading them a dozen times costs more than the network. Here a few thousand
feature voxels at a time go through head, softmax and sums while they are in the cache, and the
gradient is written down by hand. `Testing/Benchmarks/training.py` measures what it saves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..label_values import IGNORE

CHUNK = 2048
"""Feature voxels at a time: their logits take about a megabyte, a core's second-level cache."""

TINY = 1e-12
"""Smallest probability of a label."""


@dataclass(frozen=True)
class Merging:
    """Channels of one sample whose probability counts for another label (marginal loss).

    Attributes
    ----------
    background
        Channels that join the background: organs that are not annotated, and the tumor with them.
    tumor
        Channel that joins every foreground label: a tumor that is not annotated; None for none.
    """

    background: tuple[int, ...] = ()
    tumor: int | None = None

    @property
    def silent(self) -> tuple[int, ...]:
        """Channels whose predicted size does not count in the Dice."""
        return self.background if self.tumor is None else (*self.background, self.tumor)


@dataclass(frozen=True)
class LossSums:
    """Sums over voxels of which cross-entropy and batch Dice are made.

    Attributes
    ----------
    cost, weight
        Weighted cross-entropy and weights, scalars.
    overlap, predicted, labelled
        (channels,) sums of p * g, p and g.
    """

    cost: Tensor
    weight: Tensor
    overlap: Tensor
    predicted: Tensor
    labelled: Tensor


def fused_sums(
    features: Tensor,
    head: torch.nn.Conv3d,
    labels: Tensor,
    channel_weights: Tensor,
    merging: Sequence[Merging],
) -> LossSums:
    """Sums of the loss, differentiable with respect to features and head.

    Parameters
    ----------
    features
        (batch, features, k, j, i), what the head is applied to.
    head
        1x1x1 convolution to channels * sub-voxels, channel first.
    labels
        (batch, sub-voxels, k * j * i) channel numbers or `IGNORE`.
    channel_weights
        (channels,) weight of a voxel in the cross-entropy by its label.
    merging
        One per sample.
    """
    sums: list[tuple[Tensor, ...]] = []
    weight = head.weight.flatten(1)
    bias = head.bias if head.bias is not None else weight.new_zeros(len(weight))
    for sample, label, merge in zip(features, labels, merging, strict=True):
        # In either memory layout this is a view: the matrix product takes both.
        flat = sample.permute(1, 2, 3, 0).flatten(0, 2).t()
        sums.append(_FusedSums.apply(flat, weight, bias, label, channel_weights, merge))  # type: ignore[no-untyped-call]
    return LossSums(*(torch.stack(part).sum(0) for part in zip(*sums, strict=True)))


class _FusedSums(torch.autograd.Function):
    """`fused_sums` of one sample; see there for the shapes."""

    @staticmethod
    def forward(
        context: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        labels: Tensor,
        channel_weights: Tensor,
        merge: Merging,
    ) -> tuple[Tensor, ...]:
        channels = len(channel_weights)
        half, offset = weight.to(features.dtype), bias.to(features.dtype)[:, None]
        cost, total = torch.zeros(()), torch.zeros(())
        overlap, predicted, labelled = (torch.zeros(channels) for _ in range(3))
        chunks = []
        for part, known, y in _chunks(features, labels):
            logits = torch.addmm(offset, half, features[:, part]).view(channels, -1)
            p = torch.softmax(logits, 0, dtype=torch.float32)
            joined = _joined(p, y, merge)
            picked = _picked(p, y, joined).clamp_(min=TINY)
            share = channel_weights[y] * known
            cost -= (picked.log() * share).sum()
            total += share.sum()
            overlap.index_add_(0, y, picked * known)
            predicted += p @ known
            if joined.tumor is not None:
                # Else moving probability from an organ to the tumor in it would raise the Dice.
                predicted.index_add_(0, y, joined.tumor * known)
            labelled.index_add_(0, y, known)
            chunks.append((part, p.to(features.dtype), known, y, share, picked))
        predicted[list(merge.silent)] = 0
        context.save_for_backward(features, half)
        context.chunks, context.merge = chunks, merge
        context.mark_non_differentiable(total, labelled)
        return cost, total, overlap, predicted, labelled

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        features, half = context.saved_tensors
        merge = context.merge
        by_cost, _, by_overlap, by_predicted, _ = gradients
        by_predicted = by_predicted.clone()
        by_predicted[list(merge.silent)] = 0
        to_features = torch.empty_like(features)
        to_weight, to_bias = torch.zeros(half.shape), torch.zeros(len(half))
        while context.chunks:
            part, p, known, y, share, picked = context.chunks.pop()
            p = p.float()
            joined = _joined(p, y, merge)
            # Gradient with respect to the label's own probability, and to the predicted sizes.
            own = by_overlap[y] * known - by_cost * share / picked
            mean = (by_predicted @ p) * known + own * picked
            if joined.tumor is not None:
                of_tumor = by_predicted[y] * known
                mean += of_tumor * joined.tumor
            d = p * (by_predicted[:, None] * known - mean)
            d.scatter_add_(0, y[None], (own * p.gather(0, y[None])[0])[None])
            if joined.tumor is not None:
                d[merge.tumor] += (own + of_tumor) * joined.tumor
            for channel in merge.background:
                d[channel] += own * p[channel] * (y == 0)
            d = d.view(len(half), -1)
            to_bias += d.sum(1)
            d = d.to(half.dtype)
            to_features[:, part] = half.t() @ d
            to_weight += (d @ features[:, part].t()).float()
        return to_features, to_weight, to_bias, None, None, None


@dataclass(frozen=True)
class _Joined:
    """Probabilities that count for the label besides its own, per voxel; None for none."""

    tumor: Tensor | None
    background: Tensor | None


def _joined(p: Tensor, y: Tensor, merge: Merging) -> _Joined:
    tumor = p[merge.tumor] * (y > 0) if merge.tumor is not None else None
    background = None
    if merge.background:
        background = p[list(merge.background)].sum(0) * (y == 0)
    return _Joined(tumor, background)


def _picked(p: Tensor, y: Tensor, joined: _Joined) -> Tensor:
    picked = p.gather(0, y[None])[0]
    for extra in (joined.tumor, joined.background):
        if extra is not None:
            picked = picked + extra
    return picked


def _chunks(features: Tensor, labels: Tensor) -> Any:
    """Slices of feature voxels with (voxels,) float mask of known ones, and labels."""
    for start in range(0, features.shape[1], CHUNK):
        part = slice(start, start + CHUNK)
        y = labels[:, part].flatten().long()
        known = y != IGNORE
        yield part, known.float(), torch.where(known, y, 0)
