"""Networks by name: the only place that turns a bundle's `network` entry into a module.

The house network is a U-Net whose finest features live on a grid coarser than its input: the
stem strides, and the head predicts every class for each of the sub-voxels of a feature voxel
(depth to space). At equal parameters this costs a fifth of a U-Net with full-resolution
features on CPU; `Testing/Benchmarks/networks.py` measures it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .errors import BundleError
from .instance_norm import instance_norm_leaky_relu, suits
from .nnunet_small import PlainUNet, PlainUNetSettings
from .segresnet import TextSegResNet, TextSegResNetSettings
from .two_stage import ResidualUNet, ResidualUNetSettings

Size = tuple[int, int, int]


@dataclass(frozen=True)
class UNetSettings:
    """Arguments of `SubvoxelUNet`.

    Attributes
    ----------
    channels
        Output channels; channel 0 is background when the head is a softmax.
    widths
        Features per level, finest first; each level halves the grid of the one before.
    stem_stride
        Reduction (k, j, i) of the finest features against the input; (1, 1, 1) gives a plain
        U-Net.
    convolutions
        3x3x3 convolutions per encoder level.
    """

    channels: int = 15
    widths: tuple[int, ...] = (32, 64, 128, 256)
    stem_stride: tuple[int, int, int] = (2, 2, 2)
    convolutions: int = 2


class ConvolutionBlock(nn.Sequential):
    """Convolution, instance normalisation, leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: Size, stride: Size) -> None:
        k, j, i = ((k - s + 1) // 2 for k, s in zip(kernel, stride, strict=True))
        super().__init__(
            nn.Conv3d(inputs, outputs, kernel, stride, (k, j, i), bias=False),
            # One group per channel is instance normalisation, but with a channels-last kernel.
            nn.GroupNorm(outputs, outputs),
            nn.LeakyReLU(SLOPE, inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features of `x`."""
        convolution, norm, activation = self
        x = convolution(x)
        if self.training and isinstance(norm, nn.GroupNorm) and suits(x):
            return instance_norm_leaky_relu(x, norm.weight, norm.bias, SLOPE, norm.eps)
        y: Tensor = activation(norm(x))
        return y


SLOPE = 0.01
"""Slope of the leaky ReLU below zero."""


def _level(
    inputs: int,
    outputs: int,
    stride: Size,
    convolutions: int,
    kernel: Size = (3, 3, 3),
) -> nn.Sequential:
    blocks = [ConvolutionBlock(inputs, outputs, kernel, stride)]
    blocks += [
        ConvolutionBlock(outputs, outputs, (3, 3, 3), (1, 1, 1)) for _ in range(convolutions - 1)
    ]
    return nn.Sequential(*blocks)


class SubvoxelUNet(nn.Module):
    """U-Net with a strided stem and a sub-voxel head.

    Maps (batch, 1, k, j, i) normalised intensities to (batch, channels, k, j, i) logits. The
    spatial size must be a multiple of `size_multiple`.
    """

    def __init__(self, settings: UNetSettings = UNetSettings()) -> None:
        super().__init__()
        self.settings = settings
        widths, stem = settings.widths, settings.stem_stride
        self.encoder = nn.ModuleList()
        inputs = 1
        for level, width in enumerate(widths):
            stride: Size = (2, 2, 2)
            kernel: Size = (3, 3, 3)
            if level == 0:
                # Twice the stride wide, so that every input voxel is seen equally often.
                k, j, i = (3 if s == 1 else 2 * s for s in stem)
                stride, kernel = stem, (k, j, i)
            self.encoder.append(_level(inputs, width, stride, settings.convolutions, kernel))
            inputs = width
        self.reduce = nn.ModuleList()
        self.decoder = nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.reduce.append(nn.Conv3d(inputs, width, 1))
            self.decoder.append(_level(2 * width, width, (1, 1, 1), 2))
            inputs = width
        self.head = nn.Conv3d(inputs, settings.channels * stem[0] * stem[1] * stem[2], 1)

    @property
    def size_multiple(self) -> tuple[int, int, int]:
        """Input size must be a multiple of this, (k, j, i) voxels."""
        halvings = 2 ** (len(self.settings.widths) - 1)
        k, j, i = self.settings.stem_stride
        return (k * halvings, j * halvings, i * halvings)

    def features(self, volume: Tensor) -> Tensor:
        """Finest decoder features, (batch, widths[0], k/s, j/s, i/s)."""
        skips = []
        x = volume
        for level in self.encoder:
            x = level(x)
            skips.append(x)
        skips.pop()
        for reduce, level in zip(self.reduce, self.decoder, strict=True):
            skip = skips.pop()
            # Interpolation of the reduced features: transposed convolutions are slow on CPU.
            x = functional.interpolate(reduce(x), size=skip.shape[2:], mode="trilinear")
            x = level(torch.cat([x, skip], dim=1))
        return x

    def forward(self, volume: Tensor) -> Tensor:
        """Logits of `volume`, (batch, channels, k, j, i)."""
        return depth_to_space(self.head(self.features(volume)), self.settings.stem_stride)


def depth_to_space(x: Tensor, stride: Sequence[int]) -> Tensor:
    """Spread sub-voxel channels over space: (b, c*a*b*d, k, j, i) -> (b, c, k*a, j*b, i*d)."""
    a, b, d = stride
    if (a, b, d) == (1, 1, 1):
        return x
    batch, channels, k, j, i = x.shape
    x = x.reshape(batch, channels // (a * b * d), a, b, d, k, j, i)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(batch, -1, k * a, j * b, i * d)


def space_to_depth(x: Tensor, stride: Sequence[int]) -> Tensor:
    """Gather sub-voxels: (b, k*a, j*b, i*d) -> (b, a*b*d, k*j*i), in the order of the head."""
    a, b, d = stride
    batch, k, j, i = x.shape
    x = x.reshape(batch, k // a, a, j // b, b, i // d, d)
    return x.permute(0, 2, 4, 6, 1, 3, 5).reshape(batch, a * b * d, -1)


def _tuples(value: Any) -> Any:
    """JSON's lists as tuples, at every depth."""
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value


def _builder(
    network: Callable[[Any], nn.Module], settings: Callable[..., Any], **defaults: Any
) -> Callable[[dict[str, Any]], nn.Module]:
    def build(arguments: dict[str, Any]) -> nn.Module:
        return network(settings(**{**defaults, **{k: _tuples(v) for k, v in arguments.items()}}))

    return build


NETWORKS: dict[str, Callable[[dict[str, Any]], nn.Module]] = {
    "SubvoxelUNet": _builder(SubvoxelUNet, UNetSettings),
    "PlainUNet": _builder(PlainUNet, PlainUNetSettings),
    "TextSegResNet": _builder(TextSegResNet, TextSegResNetSettings),
    "FusionUNet": _builder(ResidualUNet, ResidualUNetSettings),
    "CoarseUNet": _builder(
        ResidualUNet, ResidualUNetSettings, widths=(8, 16, 32, 64, 128), fusion=False
    ),
}
"""Network builders by the name that stands in `model.json`: ours, and those of the papers."""


def build_network(name: str, arguments: dict[str, Any]) -> nn.Module:
    """Network called `name` with random weights.

    Raises
    ------
    BundleError
        If the name is unknown or the arguments do not fit.
    """
    if name not in NETWORKS:
        known = ", ".join(sorted(NETWORKS))
        raise BundleError(
            f"The model asks for a network called '{name}', which this version does not have "
            f"(known: {known}). Install the version of FlareSegment that made the model."
        )
    try:
        return NETWORKS[name](dict(arguments))
    except (TypeError, ValueError) as error:
        raise BundleError(
            f"The arguments of network '{name}' in model.json do not fit this version: {error}."
        ) from error


def network_arguments(settings: UNetSettings) -> dict[str, Any]:
    """JSON form of the settings, accepted by `build_network`."""
    return asdict(settings)
