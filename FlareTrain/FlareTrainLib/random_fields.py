"""Smooth random fields: what noise, lumps and borders that nobody drew are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def random_field(shape: Sequence[int], nodes: Sequence[int], rng: np.random.Generator) -> Tensor:
    """Normal numbers at `nodes` (k, j, i), deviation one, interpolated to `shape`; float32."""
    coarse = torch.from_numpy(rng.normal(size=(1, 1, *nodes)).astype(np.float32))
    return functional.interpolate(coarse, size=tuple(shape), mode="trilinear")[0, 0]
