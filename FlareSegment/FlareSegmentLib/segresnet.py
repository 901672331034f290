"""Residual encoder-decoder after Myronenko (2018), the light backbone of P2.

Sixteen features and blocks (1, 2, 2, 4) down, (1, 1, 1) up are 4.70 million parameters, as P2
states for its SegResNet (4.69); the text-driven head adds 0.21.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from .text_head import TextDrivenHead


@dataclass(frozen=True)
class TextSegResNetSettings:
    """Arguments of `TextSegResNet`.

    Attributes
    ----------
    classes
        Number of targets, one sigmoid channel each, no background.
    text_features
        Length of a text embedding (CLIP ViT-B/32: 512, MiniLM: 384).
    width
        Features of the finest level; they double with every level.
    blocks
        Residual blocks per encoder level, finest first.
    groups
        Groups of the normalisation.
    hidden
        Features of the text and of the image in the controller.
    """

    classes: int = 14
    text_features: int = 384
    width: int = 16
    blocks: tuple[int, ...] = (1, 2, 2, 4)
    groups: int = 8
    hidden: int = 256


class ResidualBlock(nn.Module):
    """Twice normalisation, ReLU, 3x3x3 convolution; added to the input."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(groups, width),
            nn.ReLU(inplace=False),
            nn.Conv3d(width, width, 3, padding=1, bias=False),
            nn.GroupNorm(groups, width),
            nn.ReLU(inplace=True),
            nn.Conv3d(width, width, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`, (batch, width, k, j, i)."""
        return x + self.body(x)


class TextSegResNet(nn.Module):
    """Residual backbone with the text-driven segmentor of P2.

    Maps (batch, 1, k, j, i) normalised intensities to (batch, classes, k, j, i) logits of
    independent sigmoids. The spatial size must be a multiple of `size_multiple`.
    """

    def __init__(self, settings: TextSegResNetSettings = TextSegResNetSettings()) -> None:
        super().__init__()
        self.settings = settings
        widths = [settings.width * 2**level for level in range(len(settings.blocks))]
        self.stem = nn.Conv3d(1, widths[0], 3, padding=1, bias=False)
        self.encoder = nn.ModuleList()
        for level, (width, count) in enumerate(zip(widths, settings.blocks, strict=True)):
            layers: list[nn.Module] = []
            if level > 0:
                layers.append(nn.Conv3d(width // 2, width, 3, 2, 1, bias=False))
            layers += [ResidualBlock(width, settings.groups) for _ in range(count)]
            self.encoder.append(nn.Sequential(*layers))
        self.reduce = nn.ModuleList()
        self.decoder = nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.reduce.append(nn.Conv3d(2 * width, width, 1, bias=False))
            self.decoder.append(ResidualBlock(width, settings.groups))
        self.head = TextDrivenHead(
            settings.classes, settings.text_features, widths[0], widths[-1], settings.hidden
        )

    @property
    def size_multiple(self) -> tuple[int, int, int]:
        """Input size must be a multiple of this, (k, j, i) voxels."""
        halvings = 2 ** (len(self.settings.blocks) - 1)
        return (halvings, halvings, halvings)

    def forward(self, volume: Tensor) -> Tensor:
        """Logits of `volume`, (batch, classes, k, j, i)."""
        x = self.stem(volume)
        skips = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        deepest = skips.pop()
        for reduce, block in zip(self.reduce, self.decoder, strict=True):
            skip = skips.pop()
            x = functional.interpolate(reduce(x), size=skip.shape[2:], mode="trilinear")
            x = block(x + skip)
        return self.head(x, deepest)
