"""Adds synthetic volumes without an abdomen to a packed folder: what must not be segmented."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from FlareSegmentLib.phantom.negatives import make_head, make_legs, make_noise
from FlareSegmentLib.volume import Volume

from .packing import PackedCase, pack_case, read_index, write_index

MAKERS: tuple[Callable[[int], tuple[Volume, np.ndarray]], ...] = (make_head, make_legs, make_noise)

FIRST_SEED = 1000
"""Training seeds start here; tests use smaller ones, so nothing is tested on what was trained."""


def add_negative_cases(folder: Path, each: int = 6) -> None:
    """Pack `each` heads, legs and noise volumes into `folder`, unless they are there."""
    cases, spacing = read_index(folder)
    known = {case.name for case in cases}
    for maker in MAKERS:
        for seed in range(FIRST_SEED, FIRST_SEED + each):
            volume, labels = maker(seed)
            case = PackedCase(volume.name, tuple(range(1, 15)), (), "absent", "negative")
            if case.name not in known:
                pack_case(folder, case, volume.array, labels, volume.spacing, spacing)
                cases.append(case)
    write_index(folder, cases, spacing)
