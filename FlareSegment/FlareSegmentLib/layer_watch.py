"""How far a network is within one pass: a window as large as the abdomen takes a while."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn


class LayerWatch:
    """Calls back before every convolution of a network, so that a pass can be shown and stopped.

    Parameters
    ----------
    network
        On a GPU the layers run later than they are called; the share done is then of little use.
    """

    def __init__(self, network: nn.Module) -> None:
        self._tell: Callable[[float], None] | None = None
        self._done = 0.0
        self._whole = math.inf

        # A function: a copy of the network keeps this watch, where a method would copy it too.
        def before(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            self._begins(layer, arguments[0])

        for module in network.modules():
            if isinstance(module, nn.Conv3d):
                module.register_forward_pre_hook(before)
        self._per_voxel = 0.0

    @contextmanager
    def watching(self, voxels: int, tell: Callable[[float], None] | None = None) -> Iterator[None]:
        """Call `tell` with the share of a pass that is done; what it raises ends the pass.

        Parameters
        ----------
        voxels
            Of the pass's window. The first pass learns what a voxel costs and shows zero.
        """
        self._tell, self._done = tell, 0.0
        self._whole = self._per_voxel * voxels or math.inf
        try:
            yield
            self._per_voxel = self._done / voxels
        finally:
            self._tell = None

    def _begins(self, layer: nn.Module, x: Tensor) -> None:
        if self._tell is not None:
            self._tell(min(1.0, self._done / self._whole))
        if isinstance(layer, nn.Conv3d):
            self._done += x[0, 0].numel() / math.prod(layer.stride) * layer.weight.numel()
