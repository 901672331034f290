"""Normalisation by statistics of the training instead of those of the window.

Instance normalisation makes what a network says of a place depend on everything else in the
window: windows of another size than in training cost accuracy, and a scan has to be covered by
overlapping ones. With statistics measured once and kept, a window may be as large as the scan,
so that one pass is enough, and scale and shift become part of the convolution before them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

FIXED_STATISTICS = (".mean", ".variance", ".measured")
"""Ends of the names of what is measured, not learned."""


class FixedNorm(nn.Module):
    """Scale and shift of each channel: by the window's own statistics until others are measured.

    Parameters
    ----------
    channels
        Of the input (batch, channels, k, j, i).
    eps
        Added to the variance.

    Attributes
    ----------
    mean, variance
        (channels,) float32, medians over many windows.
    measured
        Whether they are: a bool tensor, so that it goes with the weights.
    """

    mean: Tensor
    variance: Tensor
    measured: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.register_buffer("measured", torch.tensor(False))
        self._seen: list[tuple[Tensor, Tensor]] | None = None

    @property
    def is_counting(self) -> bool:
        """Whether statistics are being measured."""
        return self._seen is not None

    def line(self) -> tuple[Tensor, Tensor]:
        """Scale and shift of each channel, (channels,), once statistics are measured."""
        scale = self.weight * torch.rsqrt(self.variance + self.eps)
        return scale, self.bias - self.mean * scale

    def forward(self, x: Tensor) -> Tensor:
        """Normalised `x`."""
        if bool(self.measured):
            scale, shift = (v.to(x.dtype)[:, None, None, None] for v in self.line())
            return torch.addcmul(shift, x, scale)
        if self._seen is not None:
            self._count(x)
        return functional.group_norm(x, len(self.weight), self.weight, self.bias, self.eps)

    def _count(self, x: Tensor) -> None:
        assert self._seen is not None
        values = x.detach().float()
        axes = (0, 2, 3, 4)
        self._seen.append((values.mean(axes), values.square().mean(axes)))

    def _end(self, keep: bool) -> None:
        seen, self._seen = self._seen, None
        if keep and seen:
            means, squares = (torch.stack(values) for values in zip(*seen, strict=True))
            mean = means.median(0).values
            # Of the squares about the kept mean; of medians, because a single window of air or
            # noise can outweigh a hundred others.
            around = squares - 2 * mean * means + mean.square()
            self.mean.copy_(mean)
            self.variance.copy_(around.median(0).values.clamp_(min=0))
            self.measured.fill_(True)


def fixed_norms(network: nn.Module) -> list[FixedNorm]:
    """Give the norms of a network that keep statistics."""
    return [module for module in network.modules() if isinstance(module, FixedNorm)]


@contextmanager
def measuring(network: nn.Module) -> Iterator[None]:
    """Measure the statistics of what the network is shown meanwhile, the median window counting.

    The norms work by each window's own statistics until the end. An exception leaves them so.
    """
    norms = [norm for norm in fixed_norms(network) if not bool(norm.measured)]
    for norm in norms:
        norm._seen = []
    complete = False
    try:
        yield
        complete = True
    finally:
        for norm in norms:
            norm._end(complete)
