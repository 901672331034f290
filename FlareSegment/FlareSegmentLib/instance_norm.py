"""Instance normalisation and leaky ReLU in one, fast on CPU in the channels-last layout.

PyTorch has fast bfloat16 convolutions for channels-last volumes, but its group normalisation
takes half of a training step there, nearly all of it in the backward pass.
`Testing/Benchmarks/training.py` measures both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

CHUNK = 65536
"""Values at a time: small enough for a core's second-level cache in float32."""


def suits(x: Tensor) -> bool:
    """Whether this form is the faster one for `x`: training, on CPU, channels last."""
    return (
        torch.is_grad_enabled()
        and x.device.type == "cpu"
        and x.is_contiguous(memory_format=torch.channels_last_3d)
        and x.dtype != torch.float64
    )


def instance_norm_leaky_relu(
    x: Tensor, weight: Tensor, bias: Tensor, slope: float, eps: float = 1e-5
) -> Tensor:
    """Normalise each channel of each sample, scale, shift, and apply the leaky ReLU.

    Parameters
    ----------
    x
        (batch, channels, k, j, i).
    weight, bias
        (channels,).
    """
    y: Tensor = _NormActivation.apply(x, weight, bias, slope, eps)  # type: ignore[no-untyped-call]
    return y


def _rows(x: Tensor) -> Tensor:
    """(batch, channels, k, j, i) as (batch, voxels, channels), a view where channels are last."""
    return x.permute(0, 2, 3, 4, 1).flatten(1, 3)


def _volume(rows: Tensor, size: Sequence[int]) -> Tensor:
    """(batch, voxels, channels) as (batch, channels, k, j, i), a view."""
    return rows.view(len(rows), *size, -1).permute(0, 4, 1, 2, 3)


class _NormActivation(torch.autograd.Function):
    """`instance_norm_leaky_relu`, a chunk of rows (voxels, channels) at a time."""

    @staticmethod
    def forward(
        context: Any, x: Tensor, weight: Tensor, bias: Tensor, slope: float, eps: float
    ) -> Tensor:
        rows = _rows(x)
        y = torch.empty_like(rows)
        samples = [
            _forward(one, out, weight.float(), bias.float(), slope, eps)
            for one, out in zip(rows, y, strict=True)
        ]
        statistics = [torch.stack(parts) for parts in zip(*samples, strict=True)]
        context.save_for_backward(rows, y, *statistics)
        context.size, context.slope = x.shape[2:], slope
        return _volume(y, x.shape[2:])

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, y, mean, inverse, scale = context.saved_tensors
        d = torch.empty_like(rows)
        to_weight, to_bias = torch.zeros_like(mean[0]), torch.zeros_like(mean[0])
        given = _rows(gradient)
        for n in range(len(rows)):
            by_weight, by_bias = _backward(
                given[n], rows[n], y[n], d[n], mean[n], inverse[n], scale[n], context.slope
            )
            to_weight += by_weight
            to_bias += by_bias
        return _volume(d, context.size), to_weight, to_bias, None, None


def _parts(rows: Tensor) -> list[slice]:
    count, channels = rows.shape
    step = max(1, CHUNK // channels)
    return [slice(start, start + step) for start in range(0, count, step)]


def _forward(
    x: Tensor, y: Tensor, weight: Tensor, bias: Tensor, slope: float, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Write `y`; mean, inverse standard deviation and scale per channel."""
    count, parts = len(x), _parts(x)
    # Deviations from a rough mean: sums of large squares would cancel.
    rough = x[:4096].float().mean(0)
    first, second = torch.zeros_like(rough), torch.zeros_like(rough)
    for part in parts:
        deviation = x[part] - rough
        first += deviation.sum(0)
        second += deviation.square_().sum(0)
    first /= count
    mean = rough + first
    inverse = ((second / count - first.square()).clamp_(min=0) + eps).rsqrt()
    scale = weight * inverse
    offset = bias - mean * scale
    for part in parts:
        y[part] = functional.leaky_relu_(torch.addcmul(offset, x[part], scale), slope)
    return mean, inverse, scale


def _backward(
    gradient: Tensor,
    x: Tensor,
    y: Tensor,
    d: Tensor,
    mean: Tensor,
    inverse: Tensor,
    scale: Tensor,
    slope: float,
) -> tuple[Tensor, Tensor]:
    """Write the gradient with respect to `x` into `d`; those of weight and bias."""
    count, parts, shift = len(x), _parts(x), -mean * inverse
    to_weight, to_bias = torch.zeros_like(mean), torch.zeros_like(mean)
    for part in parts:
        # The output has the sign of what went into the leaky ReLU.
        before = torch.ops.aten.leaky_relu_backward(gradient[part], y[part], slope, True)
        d[part] = before
        before = before.float()
        to_bias += before.sum(0)
        to_weight += torch.addcmul(shift, x[part], inverse).mul_(before).sum(0)
    by_x = -scale * to_weight / count * inverse
    constant = -scale * (to_bias + to_weight * shift) / count
    for part in parts:
        d[part] = torch.addcmul(constant, x[part], by_x).addcmul_(d[part].float(), scale)
    return to_weight, to_bias
