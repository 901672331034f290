"""What is known about each sample of a batch, and sums over all processes that share a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed

from ..label_values import IGNORE

SMOOTH = 1e-5
"""Added to both sides of the Dice ratio, as nnU-Net does, so that empty over empty is one."""


@dataclass(frozen=True)
class Annotation:
    """Which targets are labelled, per sample and for the whole case the sample was cut from.

    Attributes
    ----------
    known
        (batch, targets) bool; column t belongs to label value t + 1. True: every voxel of the
        target carries its label, so a crop without that label is a negative example. False:
        nothing is said about the target.
    tumor
        Label value of the tumor, which lies inside organs; None when it is no target.
    """

    known: Tensor
    tumor: int | None = None

    @property
    def tumor_unknown(self) -> Tensor:
        """(batch,) bool: the sample may hold unlabelled tumors."""
        if self.tumor is None:
            return torch.zeros(len(self.known), dtype=torch.bool, device=self.known.device)
        return ~self.known[:, self.tumor - 1]

    def may_hide_tumor(self, labels: Tensor) -> Tensor:
        """Voxels whose label may hide an unlabelled tumor: organs, and what may be an organ.

        Parameters
        ----------
        labels
            (batch, k, j, i) label values.

        Returns
        -------
        (batch, k, j, i) bool.
        """
        organs = self.known.clone()
        if self.tumor is not None:
            organs[:, self.tumor - 1] = True
        anywhere = ~organs.all(dim=1)[:, None, None, None]
        return self.tumor_unknown[:, None, None, None] & ((labels > 0) | anywhere)

    def unknown_organs(self) -> list[list[int]]:
        """Label values of the unlabelled targets other than tumor, per sample."""
        rows = self.known.cpu().tolist()
        return [
            [t + 1 for t, known in enumerate(row) if not known and t + 1 != self.tumor]
            for row in rows
        ]


def usable_labels(labels: Tensor, annotation: Annotation) -> Tensor:
    """Labels in which targets that are not annotated count as unknown voxels."""
    padded = torch.cat([torch.ones_like(annotation.known[:, :1]), annotation.known], dim=1)
    inside = labels != IGNORE
    index = torch.where(inside, labels, 0).flatten(1)
    return torch.where(padded.gather(1, index).view_as(labels) & inside, labels, IGNORE)


class _SumOverProcesses(torch.autograd.Function):
    """All-reduce whose gradient is all-reduced too."""

    @staticmethod
    def forward(context: Any, local: Tensor) -> Tensor:
        total = local.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        # Every process computes the same loss from the same sums, and DistributedDataParallel
        # takes the mean over processes: the sum here makes that the gradient of one loss.
        gradient = gradient.clone()
        distributed.all_reduce(gradient)
        return gradient


def over_processes(sums: Sequence[Tensor]) -> list[Tensor]:
    """Sums over the global batch: the given ones, added up over all processes.

    Ratios such as Dice are not averages over samples, so they must be formed from global sums
    for N processes to train as one process would on the same batch.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return list(sums)
    if distributed.get_world_size() == 1:
        return list(sums)
    flat = torch.cat([s.float().reshape(-1) for s in sums])
    total: Tensor = _SumOverProcesses.apply(flat)  # type: ignore[no-untyped-call]
    parts = torch.split(total, [s.numel() for s in sums])
    return [part.view(s.shape) for part, s in zip(parts, sums, strict=True)]
