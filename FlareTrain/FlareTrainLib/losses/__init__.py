"""Losses for partly labelled scans, by name.

Every loss is called as ``loss(logits, labels, annotation)`` and gives named terms whose sum is
minimised. A sigmoid loss has one channel per target; a softmax loss has background first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

from ..registries import arguments_of, chosen
from .annotation import Annotation
from .sigmoid import BceDice, MaskedBceDice, SelectedPartial
from .softmax import CeDice, Marginal, MergeMaxCeDice

__all__ = ["LOSSES", "Annotation", "Loss", "activation", "build_loss", "loss_at"]


class Loss(Protocol):
    """What every loss looks like."""

    def __call__(self, logits: Tensor, labels: Tensor, annotation: Annotation) -> dict[str, Tensor]:
        """Named scalar terms; their sum is the loss."""


LOSSES: dict[str, Callable[..., Loss]] = {
    "selected_partial": SelectedPartial,
    "masked_bce_dice": MaskedBceDice,
    "merge_max_ce_dice": MergeMaxCeDice,
    "bce_dice": BceDice,
    "ce_dice": CeDice,
    "marginal": Marginal,
}
"""Losses by the name that stands in a recipe: P1, P2, P3, P4, P5 and ours."""


def build_loss(name: str, arguments: dict[str, Any]) -> Loss:
    """Loss called `name`.

    Raises
    ------
    InputError
        If the name or an argument is unknown.
    """
    with arguments_of("loss", name):
        return chosen(LOSSES, name, "loss")(**arguments)


def loss_at(loss: Loss, share: float) -> Loss:
    """Give the loss after this share of the run, 0 to 1: class weights may change over it."""
    return loss.at(share) if isinstance(loss, CeDice | MergeMaxCeDice) else loss


def activation(name: str) -> str:
    """Give "sigmoid" or "softmax": what a network trained with this loss ends in."""
    return str(chosen(LOSSES, name, "loss").activation)  # type: ignore[attr-defined]
