"""Losses on the coarser outputs of a network, as in nnU-Net."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from . import Loss
from .annotation import Annotation


def level_weights(levels: int, coarsest: bool = False) -> list[float]:
    """Weights 1, 1/2, 1/4 ... of the levels, finest first, scaled to a sum of one.

    Parameters
    ----------
    coarsest
        Whether the coarsest level counts; nnU-Net leaves it out.
    """
    weights = [0.5**level for level in range(levels)]
    if levels > 1 and not coarsest:
        weights[-1] = 0.0
    total = sum(weights)
    return [w / total for w in weights]


def deeply_supervised(
    loss: Loss,
    outputs: Tensor | Sequence[Tensor],
    labels: Tensor,
    annotation: Annotation,
    coarsest: bool = False,
) -> dict[str, Tensor]:
    """Terms of `loss`, averaged over the levels of `outputs`.

    Parameters
    ----------
    outputs
        Logits, or logits per level, finest first.
    labels
        (batch, k, j, i) on the grid of the finest level.
    """
    if isinstance(outputs, Tensor):
        return loss(outputs, labels, annotation)
    total: dict[str, Tensor] = {}
    for logits, weight in zip(outputs, level_weights(len(outputs), coarsest), strict=True):
        # A weight of zero is computed too: DistributedDataParallel wants every parameter used.
        terms = loss(logits, coarser(labels, logits.shape[2:]), annotation)
        for name, term in terms.items():
            total[name] = total[name] + weight * term if name in total else weight * term
    return total


def coarser(labels: Tensor, size: Sequence[int]) -> Tensor:
    """Labels (batch, k, j, i) on a coarser grid: the voxel nearest to each coarse centre."""
    steps = [n // m for n, m in zip(labels.shape[1:], size, strict=True)]
    a, b, c = (slice(step // 2, None, step) for step in steps)
    return labels[:, a, b, c]
