"""Optimizers and schedules against their formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from FlareSegmentLib.errors import InputError
from FlareTrainLib.optimizers import NovoGrad, build_optimizer, rate_factor
from FlareTrainLib.settings import Part


def test_novograd_equals_its_algorithm() -> None:
    """Ginsburg et al. 2019, algorithm 1, in NumPy, for two layers."""
    rng = np.random.default_rng(0)
    start = [rng.normal(size=(3, 2)), rng.normal(size=4)]
    layers = [torch.nn.Parameter(torch.from_numpy(w.copy())) for w in start]
    optimizer = NovoGrad(layers, lr=0.1, betas=(0.9, 0.5), eps=1e-8, weight_decay=0.01)
    weights, moments, squares = [w.copy() for w in start], [0.0, 0.0], [None, None]
    for _ in range(4):
        gradients = [rng.normal(size=w.shape) for w in start]
        for layer, gradient in zip(layers, gradients, strict=True):
            layer.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
        for n, g in enumerate(gradients):
            norm = float((g**2).sum())
            squares[n] = norm if squares[n] is None else 0.5 * squares[n] + 0.5 * norm
            moments[n] = 0.9 * moments[n] + (g / (squares[n] ** 0.5 + 1e-8) + 0.01 * weights[n])
            weights[n] = weights[n] - 0.1 * moments[n]
    for layer, weight in zip(layers, weights, strict=True):
        np.testing.assert_allclose(layer.detach().numpy(), weight, rtol=1e-10)


def test_novograd_minimises() -> None:
    x = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer = NovoGrad([x], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        x.square().sum().backward()
        for group in optimizer.param_groups:
            group["lr"] *= 0.98
        optimizer.step()
    assert float(x.detach().abs().max()) < 0.3


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Part("cosine", {"warm_up": 10, "floor": 0.0}), {0: 0.1, 9: 1.0, 55: 0.5, 100: 0.0}),
        (Part("poly"), {0: 1.0, 50: 0.5**0.9, 100: 0.0, 120: 0.0}),
        (Part("halving"), {0: 1.0, 9: 1.0, 10: 0.5, 29: 0.25, 30: 0.125, 99: 0.5**9}),
        (Part("constant"), {0: 1.0, 99: 1.0}),
    ],
)
def test_schedules(part: Part, expected: dict[int, float]) -> None:
    for step, factor in expected.items():
        assert rate_factor(part, step, 100) == pytest.approx(factor)


def test_defaults_are_the_papers() -> None:
    weights = [torch.nn.Parameter(torch.zeros(2))]
    sgd = build_optimizer(Part("sgd"), weights, 0.01).param_groups[0]
    assert (sgd["momentum"], sgd["nesterov"], sgd["lr"]) == (0.99, True, 0.01)
    adam = build_optimizer(Part("adam"), weights, 1e-4).param_groups[0]
    assert (adam["betas"], adam["weight_decay"]) == ((0.9, 0.99), 1e-5)


def test_unknown_names_and_arguments_are_refused() -> None:
    weights = [torch.nn.Parameter(torch.zeros(2))]
    with pytest.raises(InputError, match="no optimizer 'lion'"):
        build_optimizer(Part("lion"), weights, 0.1)
    with pytest.raises(InputError, match="momentun"):
        build_optimizer(Part("sgd", {"momentun": 0.9}), weights, 0.1)
    with pytest.raises(InputError, match="no schedule 'step'"):
        rate_factor(Part("step"), 0, 10)
    with pytest.raises(InputError, match="powr"):
        rate_factor(Part("poly", {"powr": 1}), 0, 10)
