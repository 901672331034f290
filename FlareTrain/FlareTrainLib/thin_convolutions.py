"""Convolutions of volumes two slices deep, without a fault of PyTorch's CPU kernels.

With bfloat16 on processors with AVX512-BF16 but no AMX (seen on an AMD EPYC of 2024, PyTorch 2.13),
the weight gradient of a 3x3x3 convolution over exactly two slices holds memory that was never
written: anything from zero to NaN. Every flat crop brings the deepest level of a U-Net there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

FAULTY_DEPTH = 2
"""Slices at which the fault occurs; 1 and 3 to 8 are right."""


def avoid_faulty_depth(network: nn.Module) -> None:
    """Make the convolutions of `network` compute volumes of two slices as volumes of three.

    The result is the same: the added slice is the zero padding. Weights and their names stay as
    they are.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv3d) and _is_affected(module):
            # Not `forward`: the norm of a block may be part of the weights it is called with.
            module._conv_forward = partial(_forward, module._conv_forward)  # type: ignore[method-assign]


def _is_affected(convolution: nn.Conv3d) -> bool:
    return (
        convolution.kernel_size[0] == 3
        and convolution.stride[0] == 1
        and convolution.padding[0] == 1
        and convolution.padding_mode == "zeros"
    )


Convolve = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def _forward(original: Convolve, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if x.shape[2] != FAULTY_DEPTH or x.device.type != "cpu":
        return original(x, weight, bias)
    deeper = functional.pad(x, (0, 0, 0, 0, 0, 1))
    return original(deeper, weight, bias)[:, :, :FAULTY_DEPTH]
