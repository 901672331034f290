"""Scans in which an abdominal model must find nothing: heads, legs, noise; and chests.

They teach the localiser and the network what is not an abdomen, and test that nothing is
hallucinated. Everything here is synthetic.
"""

from __future__ import annotations

import numpy as np

from ..volume import Volume
from .acquisition import DEFAULT_SPACING, Spacing, acquired
from .canvas import Canvas, Grid
from .chest import make_chest_only
from .head import make_head
from .legs import make_legs
from .noise import smooth_field
from .region import Array
from .shapes import ellipsoid, tube, turn

__all__ = ["make_chest_only", "make_head", "make_legs", "make_noise"]


def make_noise(
    seed: int,
    spacing: Spacing = DEFAULT_SPACING,
    shape: tuple[int, int, int] = (64, 96, 96),
) -> tuple[Volume, Array]:
    """A volume without anatomy: noise, blobs, a water cylinder or heaps of ellipsoids, by seed.

    Returns
    -------
    Volume (int16 HU, canonical axes) and its labels, uint8 (k, j, i), all 0.
    """
    rng = np.random.default_rng(seed)
    half = [n * s / 2 for n, s in zip(shape, spacing, strict=True)]
    canvas = Canvas(Grid(shape, spacing, (-half[2], -half[1], -half[0])))
    kind = seed % 4
    noise_hu = float(rng.uniform(5, 80))
    if kind == 0:
        canvas.hu[:] = rng.uniform(-900, 200)
        noise_hu = float(rng.uniform(100, 600))
    elif kind == 1:
        grain = float(rng.uniform(6, 60))
        canvas.hu[:] = rng.uniform(-300, 60) + rng.uniform(50, 400) * smooth_field(
            rng, shape, spacing, grain
        )
    elif kind == 2:
        radius = 0.85 * min(half[1:])
        canvas.paint(
            tube([(0, 0, -2 * half[0]), (0, 0, 2 * half[0])], radius), rng.uniform(-100, 100)
        )
        for n in range(8):
            x, y = 0.6 * radius * np.cos(n * np.pi / 4), 0.6 * radius * np.sin(n * np.pi / 4)
            rod = tube([(x, y, -2 * half[0]), (x, y, 2 * half[0])], rng.uniform(4, 0.2 * radius))
            canvas.paint(rod, rng.choice([-1000.0, -100.0, 0.0, 60.0, 120.0, 250.0, 900.0]))
    else:
        for _ in range(int(rng.integers(20, 90))):
            center = rng.uniform(-1, 1, 3) * half[::-1]
            blob = ellipsoid(center, rng.uniform(6, 45, 3), turn(*rng.uniform(0, 180, 3)))
            canvas.paint(blob, rng.uniform(-1000, 300))
    return acquired(canvas, rng, noise_hu, f"noise_{seed}"), canvas.labels
