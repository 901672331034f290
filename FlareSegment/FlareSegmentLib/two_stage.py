"""The two networks of P4: a coarse one that finds the organs, a fine one that draws them.

Both see a whole volume, or the region of interest, resampled to one fixed size (160 cubed in
P4). The coarse network takes the place of a bundle's localiser. P4 gives neither equations nor
an ablation for its multi-scale feature fusion: here every encoder level is brought to a decoder
level's grid, reduced to equal channels, added, and smoothed by a convolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class ResidualUNetSettings:
    """Arguments of `ResidualUNet`.

    Attributes
    ----------
    channels
        Output channels, one sigmoid per target.
    widths
        Features per level, finest first: 16 to 256 for the fine stage, 8 to 128 for the coarse.
    dropout
        Share of channels dropped in each convolution while training.
    fusion
        Feed every decoder level with all encoder levels (multi-scale feature fusion).
    """

    channels: int = 14
    widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    dropout: float = 0.1
    fusion: bool = True


class _Unit(nn.Sequential):
    """Convolution, instance normalisation, dropout, ReLU (P4, Fig. 1)."""

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float) -> None:
        super().__init__(
            nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False),
            nn.GroupNorm(outputs, outputs),
            nn.Dropout3d(dropout),
            nn.LeakyReLU(0.01, inplace=True),
        )


class MixedBlock(nn.Module):
    """Both residual connections of P4's Fig. 2 in a row.

    The first has a 1x1x1 convolution on its shortcut and may change width and grid, the second
    adds its input unchanged.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.first = _Unit(inputs, outputs, stride, dropout)
        self.shortcut = nn.Conv3d(inputs, outputs, 1, stride, bias=False)
        self.second = _Unit(outputs, outputs, 1, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, k, j, i) to (batch, outputs, k/stride, j/stride, i/stride)."""
        x = self.first(x) + self.shortcut(x)
        return x + self.second(x)


class FeatureFusion(nn.Module):
    """All encoder levels on one level's grid: reduce, resize, add, smooth."""

    def __init__(self, inputs: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(nn.Conv3d(width, outputs, 1, bias=False) for width in inputs)
        self.smooth = _Unit(outputs, outputs, 1, 0.0)

    def forward(self, levels: list[Tensor], size: torch.Size) -> Tensor:
        """Fused features (batch, outputs, *size)."""
        total: Tensor | None = None
        for reduce, level in zip(self.reduce, levels, strict=True):
            if level.shape[2] > size[0]:
                level = functional.interpolate(level, size=size, mode="area")
            x = reduce(level)
            if x.shape[2:] != size:
                x = functional.interpolate(x, size=size, mode="trilinear")
            total = x if total is None else total + x
        assert total is not None
        return self.smooth(total)


class ResidualUNet(nn.Module):
    """U-Net of mixed blocks, two per encoder and one per decoder level (P4, section 2.3).

    Maps (batch, 1, k, j, i) normalised intensities to (batch, channels, k, j, i) logits of
    independent sigmoids. The spatial size must be a multiple of `size_multiple`.
    """

    def __init__(self, settings: ResidualUNetSettings = ResidualUNetSettings()) -> None:
        super().__init__()
        self.settings = settings
        widths, dropout = settings.widths, settings.dropout
        self.encoder = nn.ModuleList()
        inputs = 1
        for level, width in enumerate(widths):
            self.encoder.append(
                nn.Sequential(
                    MixedBlock(inputs, width, 1 if level == 0 else 2, dropout),
                    MixedBlock(width, width, 1, dropout),
                )
            )
            inputs = width
        self.enlarge = nn.ModuleList()
        self.fusion = nn.ModuleList()
        self.decoder = nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.enlarge.append(nn.Conv3d(inputs, width, 1, bias=False))
            if settings.fusion:
                self.fusion.append(FeatureFusion(widths, width))
            self.decoder.append(MixedBlock(2 * width, width, 1, dropout))
            inputs = width
        self.head = nn.Conv3d(inputs, settings.channels, 1)

    @property
    def size_multiple(self) -> tuple[int, int, int]:
        """Input size must be a multiple of this, (k, j, i) voxels."""
        halvings = 2 ** (len(self.settings.widths) - 1)
        return (halvings, halvings, halvings)

    def forward(self, volume: Tensor) -> Tensor:
        """Logits of `volume`, (batch, channels, k, j, i)."""
        levels: list[Tensor] = []
        x = volume
        for stage in self.encoder:
            x = stage(x)
            levels.append(x)
        for number, (enlarge, stage) in enumerate(zip(self.enlarge, self.decoder, strict=True)):
            skip = levels[-2 - number]
            x = functional.interpolate(enlarge(x), size=skip.shape[2:], mode="trilinear")
            if self.settings.fusion:
                skip = self.fusion[number](levels, skip.shape[2:])
            x = stage(torch.cat([x, skip], dim=1))
        return self.head(x)
