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
"""Feature voxels of a core at a time: their logits take about a megabyte, its own cache."""

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
    meanings: Tensor,
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
        (batch, sub-voxels, k * j * i) int label values, 0 to 255.
    meanings
        (batch, 256) int64: the channel that a value means in a sample, or `IGNORE`.
    channel_weights
        (channels,) weight of a voxel in the cross-entropy by its label.
    merging
        One per sample.
    """
    # In the channels-last layout a view.
    rows = features.permute(0, 2, 3, 4, 1).flatten(1, 3)
    weight = head.weight.flatten(1)
    bias = head.bias if head.bias is not None else weight.new_zeros(len(weight))
    tables = [_ValueTable.of(meaning, channel_weights) for meaning in meanings]
    return LossSums(*_FusedSums.apply(rows, weight, bias, labels, tables, merging))  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class _ValueTable:
    """What the 256 label values mean in a sample; nothing is counted for unknown ones.

    Attributes
    ----------
    channel
        int64; 0 for an unknown value.
    known
        1 or 0.
    weight
        Weight in the cross-entropy.
    """

    channel: Tensor
    known: Tensor
    weight: Tensor

    @classmethod
    def of(cls, meaning: Tensor, channel_weights: Tensor) -> _ValueTable:
        """Give the table of one row of `meanings`."""
        known = meaning != IGNORE
        channel = torch.where(known, meaning, 0)
        return cls(channel, known.float(), channel_weights[channel] * known)


class _Buffers:
    """Arrays of one chunk that serve for all of them: memory fresh from the system is slow."""

    def __init__(self, rows: int, channels: int, voxels: int, dtype: torch.dtype) -> None:
        self._rows, self._channels = rows, channels
        size = rows * voxels
        self._logits = torch.empty(size, dtype=dtype)
        self._floats = torch.empty(2, size)

    def of(self, voxels: int) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (channels * sub-voxels, voxels), and twice float (channels, rest)."""
        size = self._rows * voxels
        p, d = self._floats[:, :size].view(2, self._channels, -1)
        return self._logits[:size].view(self._rows, voxels), p, d


class _FusedSums(torch.autograd.Function):
    """`fused_sums` of features (batch, voxels, features)."""

    @staticmethod
    def forward(
        context: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        labels: Tensor,
        tables: Sequence[_ValueTable],
        merging: Sequence[Merging],
    ) -> tuple[Tensor, ...]:
        channels = len(weight) // labels.shape[1]
        half, offset = weight.to(features.dtype), bias.to(features.dtype)[:, None]
        cost, total = torch.zeros(()), torch.zeros(())
        overlap, predicted, labelled = (torch.zeros(channels) for _ in range(3))
        kept, parts = [], _parts(features.shape[1])
        voxels = parts[0].stop - parts[0].start
        buffers = _Buffers(len(weight), channels, voxels, features.dtype)
        for n, (table, merge) in enumerate(zip(tables, merging, strict=True)):
            counts, sizes = torch.zeros(256), torch.zeros(channels)
            for part in parts:
                x, values = features[n, part], labels[n, :, part].flatten()
                logits, p, _ = buffers.of(len(x))
                torch.addmm(offset, half, x.t(), out=logits)
                torch.softmax(p.copy_(logits.view_as(p)), 0, out=p)
                # Where nothing is known there is no probability: no sum, no gradient.
                p *= table.known.index_select(0, values)
                counts += torch.bincount(values, minlength=256)
                y = table.channel.index_select(0, values)
                joined = _joined(p, y, merge)
                picked = _picked(p, y, joined)
                overlap.index_add_(0, y, picked)
                picked.clamp_(min=TINY)
                cost -= picked.log().dot(table.weight.index_select(0, values))
                sizes += p.sum(1)
                if joined.tumor is not None:
                    # Else moving probability from an organ to the tumor in it would raise the Dice.
                    sizes.index_add_(0, y, joined.tumor)
                kept.append((n, part, p.to(features.dtype, copy=True), values, picked))
            sizes[list(merge.silent)] = 0
            predicted += sizes
            labelled.index_add_(0, table.channel, counts * table.known)
            total += counts.dot(table.weight)
        context.save_for_backward(features, half)
        context.kept, context.tables, context.merging = kept, tables, merging
        context.voxels = voxels
        context.mark_non_differentiable(total, labelled)
        return cost, total, overlap, predicted, labelled

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        features, half = context.saved_tensors
        by_cost, _, by_overlap, by_predicted, _ = gradients
        channels = len(by_overlap)
        to_features = torch.empty_like(features)
        to_weight, to_bias = torch.zeros(half.shape), torch.zeros(len(half))
        buffers = _Buffers(len(half), channels, context.voxels, half.dtype)
        while context.kept:
            n, part, stored, values, picked = context.kept.pop()
            table, merge = context.tables[n], context.merging[n]
            by_size = by_predicted.clone()
            by_size[list(merge.silent)] = 0
            x = features[n, part]
            to_logits, p, d = buffers.of(len(x))
            p.copy_(stored)
            y = table.channel.index_select(0, values)
            joined = _joined(p, y, merge)
            # Gradient with respect to the label's own probability, and to the predicted sizes.
            own = (by_overlap[table.channel] * table.known).index_select(0, values)
            own -= (by_cost * table.weight).index_select(0, values) / picked
            mean = (by_size @ p).add_(own * picked)
            if joined.tumor is not None:
                of_tumor = by_size.index_select(0, y)
                mean += of_tumor * joined.tumor
            torch.sub(by_size[:, None], mean, out=d).mul_(p)
            d.scatter_add_(0, y[None], (own * p.gather(0, y[None])[0])[None])
            if joined.tumor is not None:
                d[merge.tumor] += (own + of_tumor) * joined.tumor
            for channel in merge.background:
                d[channel] += own * p[channel] * (y == 0)
            to_logits.copy_(d.view_as(to_logits))
            to_bias += d.view_as(to_logits).sum(1)
            torch.mm(to_logits.t(), half, out=to_features[n, part])
            to_weight += to_logits @ x
        return to_features, to_weight, to_bias, None, None, None


def _parts(count: int) -> list[slice]:
    """Chunks of `count` feature voxels, the first one the largest."""
    step = CHUNK * torch.get_num_threads()
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


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
