"""Optimizers and learning-rate schedules by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from .registries import arguments_of, chosen
from .settings import Part


class NovoGrad(torch.optim.Optimizer):
    """Gradients normalised layer by layer (Ginsburg et al. 2019, algorithm 1), used by P2.

    Parameters
    ----------
    betas
        Decay of the first moment and of the layers' squared gradient norms.
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        for group in self.param_groups:
            first, second = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                gradient: Tensor = parameter.grad
                square = gradient.square().sum()
                if not state:
                    # Starting from the first gradient, not from zero, needs no bias correction.
                    state["square"] = square.clone()
                    state["moment"] = torch.zeros_like(parameter)
                else:
                    state["square"].mul_(second).add_(square, alpha=1 - second)
                scaled = gradient / (state["square"].sqrt() + group["eps"])
                scaled = scaled.add(parameter, alpha=group["weight_decay"])
                state["moment"].mul_(first).add_(scaled)
                parameter.add_(state["moment"], alpha=-group["lr"])


OPTIMIZERS: dict[str, tuple[Callable[..., torch.optim.Optimizer], dict[str, Any]]] = {
    "adamw": (torch.optim.AdamW, {"weight_decay": 1e-2, "fused": True}),
    "sgd": (
        torch.optim.SGD,
        {"momentum": 0.99, "nesterov": True, "weight_decay": 3e-5, "fused": True},
    ),
    "adam": (torch.optim.Adam, {"betas": (0.9, 0.99), "weight_decay": 1e-5, "fused": True}),
    "novograd": (NovoGrad, {}),
}
"""Optimizers with their defaults: ours, nnU-Net's (P1, P3, P5), P4's and P2's.

Fused ones read every weight once: a fifth of the time on a CPU, where AdamW else takes a twentieth
of a step (`Testing/Benchmarks/training.py`).
"""


def build_optimizer(
    part: Part, parameters: Iterable[Parameter], learning_rate: float
) -> torch.optim.Optimizer:
    """Optimizer of a recipe.

    Raises
    ------
    InputError
        If name or arguments are unknown.
    """
    build, defaults = chosen(OPTIMIZERS, part.name, "optimizer")
    with arguments_of("optimizer", part.name):
        return build(parameters, lr=learning_rate, **{**defaults, **part.arguments})


def cosine(step: int, steps: int, warm_up: int = 0, floor: float = 0.01) -> float:
    """Linear warm-up, then half a cosine down to `floor`."""
    if step < warm_up:
        return (step + 1) / warm_up
    part = min(1.0, (step - warm_up) / max(1, steps - warm_up))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * part))


def poly(step: int, steps: int, power: float = 0.9) -> float:
    """``(1 - step / steps) ** power`` (P1, P3, P5)."""
    return max(0.0, 1 - step / steps) ** power


def halving(step: int, steps: int, every: float = 0.1) -> float:
    """Halve after each share `every` of the steps (P4: 20 of 200 epochs)."""
    # A hundredth of a step keeps step = 0.3 * steps from falling short of 0.3 by rounding.
    return 0.5 ** int((step + 0.01) / (every * steps))


def constant(step: int, steps: int) -> float:
    """One, always."""
    return 1.0


SCHEDULES: dict[str, Callable[..., float]] = {
    "cosine": cosine,
    "poly": poly,
    "halving": halving,
    "constant": constant,
}
"""Share of the peak learning rate at a step, by name."""


def rate_factor(part: Part, step: int, steps: int) -> float:
    """Share of the peak learning rate at `step`.

    Raises
    ------
    InputError
        If name or arguments are unknown.
    """
    schedule = chosen(SCHEDULES, part.name, "schedule")
    with arguments_of("schedule", part.name):
        return schedule(step, steps, **part.arguments)
