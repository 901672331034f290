"""The fused normalisation gives what PyTorch's own layers give, forward and backward."""

from __future__ import annotations

import copy

import pytest
import torch

from FlareSegmentLib.instance_norm import instance_norm_leaky_relu, suits
from FlareSegmentLib.network import ConvolutionBlock

SLOPE = 0.01


def inputs(batch: int, channels: int) -> torch.Tensor:
    # A large mean over a small spread: sums of squares would cancel.
    x = torch.randn(batch, channels, 9, 10, 11) * 3 + 50
    return x.to(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("channels", [5, 32])
def test_values_and_gradients_are_those_of_group_norm_and_leaky_relu(
    batch: int, channels: int
) -> None:
    torch.manual_seed(0)
    norm = torch.nn.GroupNorm(channels, channels)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    data, gradient = inputs(batch, channels), inputs(batch, channels) - 50
    x = data.clone().requires_grad_()
    y = instance_norm_leaky_relu(x, norm.weight, norm.bias, SLOPE, norm.eps)
    y.backward(gradient)
    ours = [y.detach(), x.grad, norm.weight.grad, norm.bias.grad]
    exact = copy.deepcopy(norm).double()
    exact.zero_grad()
    z = data.double().requires_grad_()
    w = torch.nn.functional.leaky_relu(exact(z), SLOPE)
    w.backward(gradient.double())
    plain = [w.detach(), z.grad, exact.weight.grad, exact.bias.grad]
    for one, other in zip(ours, plain, strict=True):
        assert one is not None
        assert other is not None
        torch.testing.assert_close(one.double(), other, rtol=1e-3, atol=1e-3)


def test_bfloat16_stays_near_float32() -> None:
    torch.manual_seed(1)
    weight, bias = torch.rand(16) + 0.5, torch.randn(16)
    x = inputs(1, 16)
    near = instance_norm_leaky_relu(x.bfloat16(), weight, bias, SLOPE)
    exact = instance_norm_leaky_relu(x.bfloat16().float(), weight, bias, SLOPE)
    assert near.dtype == torch.bfloat16
    torch.testing.assert_close(near.float(), exact, rtol=0.02, atol=0.02)


def test_block_takes_the_fast_form_in_training_only() -> None:
    torch.manual_seed(2)
    block = ConvolutionBlock(1, 8, (3, 3, 3), (1, 1, 1)).to(memory_format=torch.channels_last_3d)
    x = inputs(1, 1)
    trained = block.train()(x)
    assert type(trained.grad_fn.next_functions[0][0]).__name__ != "LeakyReluBackward1"
    with torch.no_grad():
        assert not suits(x)
        torch.testing.assert_close(block.eval()(x), trained, rtol=1e-3, atol=1e-3)
