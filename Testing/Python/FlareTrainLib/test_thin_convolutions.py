"""Convolutions over two slices give what they should, on every processor."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from FlareTrainLib.thin_convolutions import FAULTY_DEPTH, avoid_faulty_depth

DEPTHS = (1, FAULTY_DEPTH, 3, 4)


def _spoil_memory() -> None:
    """Leave NaN in memory that is free again: a kernel that reads what it never wrote meets it."""
    spoiled = [torch.full((size,), torch.nan) for size in range(10_000, 2_000_000, 150_000)]
    del spoiled


def _gradients(convolution: nn.Conv3d, x: Tensor, precision: torch.dtype) -> tuple[Tensor, ...]:
    x = x.clone(memory_format=torch.channels_last_3d).requires_grad_(True)
    convolution.zero_grad()
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        y = convolution(x)
    _spoil_memory()
    y.backward(torch.ones_like(y))
    assert x.grad is not None
    assert convolution.weight.grad is not None
    return y.detach().float(), x.grad.float(), convolution.weight.grad.clone()


@pytest.fixture
def convolution() -> nn.Conv3d:
    torch.manual_seed(0)
    made: nn.Conv3d = nn.Conv3d(64, 64, 3, padding=1).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return made


@pytest.mark.parametrize("depth", DEPTHS)
def test_nothing_but_the_fault_changes(convolution: nn.Conv3d, depth: int) -> None:
    plain = copy.deepcopy(convolution)
    avoid_faulty_depth(convolution)
    assert convolution.state_dict().keys() == plain.state_dict().keys()
    x = torch.randn(1, 64, depth, 9, 11)
    for got, wanted in zip(
        _gradients(convolution, x, torch.float32), _gradients(plain, x, torch.float32), strict=True
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("depth", DEPTHS)
def test_weight_gradient_in_bfloat16_is_that_in_float32(convolution: nn.Conv3d, depth: int) -> None:
    avoid_faulty_depth(convolution)
    torch.manual_seed(1)
    x = torch.randn(1, 64, depth, 14, 16)
    wanted = _gradients(convolution, x, torch.float32)[2]
    for _ in range(6):
        _spoil_memory()
        got = _gradients(convolution, x, torch.bfloat16)[2]
        assert bool(torch.isfinite(got).all())
        assert float((got - wanted).norm() / wanted.norm()) < 0.02


def test_other_convolutions_are_left_alone() -> None:
    network = nn.Sequential(nn.Conv3d(2, 3, 1), nn.Conv3d(3, 2, 3, stride=2, padding=1))
    avoid_faulty_depth(network)
    assert all("_conv_forward" not in vars(layer) for layer in network)
