"""Networks by name: the only place that turns a bundle's `network` entry into a module.

The house network is a U-Net whose finest features live on a grid coarser than its input: the
stem strides, and the head predicts every class for each of the sub-voxels of a feature voxel
(depth to space). At equal parameters this costs a fifth of a U-Net with full-resolution
features on CPU; `Testing/Benchmarks/networks.py` measures it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional

from .errors import BundleError
from .fixed_norm import FixedNorm
from .instance_norm import instance_norm_leaky_relu, suits
from .nnunet_small import PlainUNet, PlainUNetSettings
from .segresnet import TextSegResNet, TextSegResNetSettings
from .threads import in_threads
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
    norm
        "instance" normalises by what is in the window, "fixed" by what was in training's windows
        (see `fixed_norm`), so that windows may be of any size.
    """

    channels: int = 15
    widths: tuple[int, ...] = (32, 64, 128, 256)
    stem_stride: tuple[int, int, int] = (2, 2, 2)
    convolutions: int = 2
    norm: str = "instance"

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise ValueError(f"norm is '{self.norm}', but must be one of {', '.join(NORMS)}")


# One group per channel is instance normalisation, but with a channels-last kernel.
NORMS: dict[str, Callable[[int], nn.Module]] = {
    "instance": lambda channels: nn.GroupNorm(channels, channels),
    "fixed": FixedNorm,
}


class ConvolutionBlock(nn.Sequential):
    """Convolution, normalisation, leaky ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: Size, stride: Size, norm: str = "instance"
    ) -> None:
        k, j, i = ((k - s + 1) // 2 for k, s in zip(kernel, stride, strict=True))
        super().__init__(
            nn.Conv3d(inputs, outputs, kernel, stride, (k, j, i), bias=False),
            NORMS[norm](outputs),
            nn.LeakyReLU(SLOPE, inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features of `x`."""
        convolution, norm, activation = self._convolution, self[1], self[2]
        if isinstance(norm, FixedNorm) and bool(norm.measured):
            weight, shift = _folded(convolution, norm)
            y: Tensor = activation(convolution._conv_forward(x, weight, shift))
            return y
        x = convolution(x)
        if self.training and _is_instance_norm(norm) and suits(x):
            return instance_norm_leaky_relu(x, norm.weight, norm.bias, SLOPE, norm.eps)
        y = activation(norm(x))
        return y

    @property
    def _convolution(self) -> nn.Conv3d:
        convolution = self[0]
        assert isinstance(convolution, nn.Conv3d)
        return convolution

    def fold(self) -> None:
        """Make a measured norm part of the convolution; for inference, it does not come back."""
        convolution, norm = self._convolution, self[1]
        if isinstance(norm, FixedNorm) and bool(norm.measured):
            weight, shift = _folded(convolution, norm)
            convolution.weight = nn.Parameter(weight.detach())
            convolution.bias = nn.Parameter(shift.detach())
            self[1] = nn.Identity()


def _is_instance_norm(norm: nn.Module) -> TypeGuard[nn.GroupNorm | FixedNorm]:
    """Whether it normalises by the window's own statistics, and nobody reads them meanwhile."""
    return isinstance(norm, nn.GroupNorm) or (isinstance(norm, FixedNorm) and not norm.is_counting)


def _folded(convolution: nn.Conv3d, norm: FixedNorm) -> tuple[Tensor, Tensor]:
    """Weights and bias that do what the convolution and its measured norm do."""
    scale, shift = norm.line()
    return convolution.weight * scale[:, None, None, None, None], shift


SLOPE = 0.01
"""Slope of the leaky ReLU below zero."""


def _level(
    inputs: int,
    outputs: int,
    stride: Size,
    convolutions: int,
    kernel: Size = (3, 3, 3),
    norm: str = "instance",
) -> nn.Sequential:
    blocks = [ConvolutionBlock(inputs, outputs, kernel, stride, norm)]
    blocks += [
        ConvolutionBlock(outputs, outputs, (3, 3, 3), (1, 1, 1), norm)
        for _ in range(convolutions - 1)
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
        for depth, width in enumerate(widths):
            stride: Size = (2, 2, 2)
            kernel: Size = (3, 3, 3)
            if depth == 0:
                # Twice the stride wide, so that every input voxel is seen equally often.
                k, j, i = (3 if s == 1 else 2 * s for s in stem)
                stride, kernel = stem, (k, j, i)
            level = _level(inputs, width, stride, settings.convolutions, kernel, settings.norm)
            self.encoder.append(level)
            inputs = width
        self.reduce = nn.ModuleList()
        self.decoder = nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.reduce.append(nn.Conv3d(inputs, width, 1))
            self.decoder.append(_level(2 * width, width, (1, 1, 1), 2, norm=settings.norm))
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

    def logits_on_cpu(self, volume: Tensor) -> Tensor:
        """Float32 logits (channels, k, j, i) of one `volume` (1, 1, k, j, i).

        Those of `forward`, but for rounding, in half of the time: slice by slice, so that the
        sub-voxels of a slice are spread while they are in the cache.
        """
        features = self.features(volume)[0]
        weight, bias = self.head.weight.flatten(1), self.head.bias
        assert bias is not None
        a, b, d = self.settings.stem_stride
        k, j, i = features.shape[1:]
        logits = torch.empty((self.settings.channels, k * a, j * b, i * d))
        spread = logits.view(-1, k, a, j, b, i, d)

        def fill(n: int) -> None:
            rows = features[:, n].permute(1, 2, 0).flatten(0, 1)
            of_slice = torch.addmm(bias[:, None], weight, rows.T).view(-1, a, b, d, j, i)
            for x, y, z in itertools.product(range(a), range(b), range(d)):
                spread[:, n, x, :, y, :, z] = of_slice[:, x, y, z]

        in_threads(fill, range(k))
        return logits

    def fold_norms(self) -> None:
        """Make measured norms part of the convolutions; for inference only."""
        for module in self.modules():
            if isinstance(module, ConvolutionBlock):
                module.fold()


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
