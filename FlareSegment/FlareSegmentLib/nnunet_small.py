"""A plain small U-Net in nnU-Net's manner: the network of P1 and of P5's student.

With widths 16 to 256 and cubic kernels it has 5.34 million parameters; P1 states 5.22, P5, whose
decoder uses transposed convolutions, 6.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class PlainUNetSettings:
    """Arguments of `PlainUNet`.

    Attributes
    ----------
    channels
        Output channels; channel 0 is background when the head is a softmax.
    widths
        Features per level, finest first.
    strides
        Reduction (k, j, i) from each level to the next; one fewer than `widths`. Thick slices
        want (1, 2, 2) first: P5's 32x128x192 voxels at (4.0, 1.2, 1.2) mm.
    kernels
        Kernel (k, j, i) per level; empty for 3x3x3 everywhere.
    convolutions
        Convolutions per level, in encoder and decoder.
    transposed
        Enlarge by transposed convolutions, as nnU-Net does, instead of interpolation, which is
        several times faster on CPU.
    deep_supervision
        Give the logits of the coarser decoder levels too while training.
    """

    channels: int = 15
    widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    strides: tuple[Triple, ...] = ((2, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2))
    kernels: tuple[Triple, ...] = ()
    convolutions: int = 2
    transposed: bool = False
    deep_supervision: bool = True

    def __post_init__(self) -> None:
        if len(self.strides) != len(self.widths) - 1:
            raise ValueError(
                f"{len(self.widths)} widths need {len(self.widths) - 1} strides, "
                f"found {len(self.strides)}"
            )
        if self.kernels and len(self.kernels) != len(self.widths):
            raise ValueError(
                f"{len(self.widths)} widths need as many kernels, found {len(self.kernels)}"
            )


class _Stage(nn.Sequential):
    """Convolution, instance normalisation, leaky ReLU, a few times."""

    def __init__(
        self, inputs: int, outputs: int, kernel: Triple, stride: Triple, convolutions: int
    ) -> None:
        layers: list[nn.Module] = []
        k, j, i = kernel
        padding = (k // 2, j // 2, i // 2)
        for number in range(convolutions):
            first = number == 0
            layers += [
                nn.Conv3d(
                    inputs if first else outputs, outputs, kernel, stride if first else 1, padding
                ),
                # One group per channel is instance normalisation, but with a channels-last kernel.
                nn.GroupNorm(outputs, outputs),
                nn.LeakyReLU(0.01, inplace=True),
            ]
        super().__init__(*layers)


class PlainUNet(nn.Module):
    """U-Net with plain convolutions and strided reduction.

    Maps (batch, 1, k, j, i) normalised intensities to (batch, channels, k, j, i) logits. In
    training mode with deep supervision the result is a list of logits, finest first, one per
    decoder level. The spatial size must be a multiple of `size_multiple`.
    """

    def __init__(self, settings: PlainUNetSettings = PlainUNetSettings()) -> None:
        super().__init__()
        self.settings = settings
        widths, strides = settings.widths, settings.strides
        kernels = settings.kernels or ((3, 3, 3),) * len(widths)
        count = settings.convolutions
        self.encoder = nn.ModuleList()
        inputs = 1
        for width, kernel, stride in zip(widths, kernels, ((1, 1, 1), *strides), strict=True):
            self.encoder.append(_Stage(inputs, width, kernel, stride, count))
            inputs = width
        self.enlarge = nn.ModuleList()
        self.decoder = nn.ModuleList()
        self.heads = nn.ModuleList()
        for level in reversed(range(len(widths) - 1)):
            width = widths[level]
            self.enlarge.append(
                nn.ConvTranspose3d(inputs, width, strides[level], strides[level])
                if settings.transposed
                else nn.Conv3d(inputs, width, 1)
            )
            self.decoder.append(_Stage(2 * width, width, kernels[level], (1, 1, 1), count))
            finest = level == 0
            if finest or settings.deep_supervision:
                self.heads.append(nn.Conv3d(width, settings.channels, 1))
            inputs = width

    @property
    def size_multiple(self) -> Triple:
        """Input size must be a multiple of this, (k, j, i) voxels."""
        return total_stride(self.settings.strides)

    def forward(self, volume: Tensor) -> Tensor | list[Tensor]:
        """Logits of `volume`; all levels' in training mode with deep supervision."""
        skips = []
        x = volume
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        skips.pop()
        levels = []
        for enlarge, stage in zip(self.enlarge, self.decoder, strict=True):
            skip = skips.pop()
            x = enlarge(x)
            if not self.settings.transposed:
                x = functional.interpolate(x, size=skip.shape[2:], mode="trilinear")
            x = stage(torch.cat([x, skip], dim=1))
            levels.append(x)
        if self.training and self.settings.deep_supervision:
            outputs = [head(y) for head, y in zip(self.heads, levels, strict=True)]
            return outputs[::-1]
        return self.heads[-1](x)


def total_stride(strides: Sequence[Triple]) -> Triple:
    """Product (k, j, i) of the strides of all levels."""
    k, j, i = 1, 1, 1
    for stride in strides:
        k, j, i = k * stride[0], j * stride[1], i * stride[2]
    return (k, j, i)
