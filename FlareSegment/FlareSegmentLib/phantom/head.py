"""A head: nothing in it is a target."""

from __future__ import annotations

import numpy as np

from ..volume import Volume
from .acquisition import (
    AIR_HU,
    CORTEX_HU,
    DEFAULT_SPACING,
    FAT_HU,
    MARROW_HU,
    MUSCLE_HU,
    SKIN_HU,
    WATER_HU,
    Spacing,
    acquired,
    field_of_view,
)
from .canvas import Canvas
from .noise import smooth_field
from .region import Array
from .shapes import Shape, box, difference, ellipsoid, intersection, tube, union


def make_head(
    seed: int, spacing: Spacing = DEFAULT_SPACING, noise_hu: float = 12.0
) -> tuple[Volume, Array]:
    """A head with skull, brain, air sinuses and neck; no target is in it.

    Returns
    -------
    Volume (int16 HU, canonical axes) and its labels, uint8 (k, j, i), all 0.
    """
    rng = np.random.default_rng(seed)
    neck = float(rng.uniform(20, 130))
    canvas = field_of_view(rng, spacing, (-115, -130, -90 - neck), (115, 130, 105))
    size = float(rng.uniform(0.9, 1.08))
    enhanced = 120.0 * float(rng.random() < 0.4)
    _paint_neck(canvas, size, enhanced)
    _paint_face(canvas, size)
    _paint_cranium(canvas, rng, size, enhanced)
    head_rest = tube([(-150, 115, -40), (0, 122, -40), (150, 115, -40)], 6)
    canvas.paint(head_rest, -700.0)
    return acquired(canvas, rng, noise_hu, f"head_{seed}"), canvas.labels


def _paint_neck(canvas: Canvas, size: float, enhanced: float) -> None:
    s = size
    canvas.paint(
        tube([(0, 15, -20), (0, 18, -110 * s), (0, 25, -300)], [62 * s, 58 * s, 95 * s]), FAT_HU
    )
    canvas.paint(
        tube([(0, 15, -20), (0, 18, -110 * s), (0, 25, -300)], [54 * s, 50 * s, 84 * s]), MUSCLE_HU
    )
    for side in (-1, 1):
        canvas.paint(tube([(side * 38, 22, -40), (side * 12, -30, -190)], 4), FAT_HU)
        canvas.paint(tube([(side * 24, 12, -40), (side * 26, 5, -240)], 4.5), 45 + enhanced * 1.6)
        canvas.paint(tube([(side * 32, 14, -40), (side * 34, 8, -240)], 5.5), 42 + enhanced)
        canvas.paint(ellipsoid((side * 20, -18, -150), (9, 11, 22)), 105 + enhanced * 0.4)
    for n in range(12):
        z = -45.0 - 18 * n
        canvas.paint(box((0, 28, z), (10, 9, 7), 3), CORTEX_HU * 0.55)
        canvas.paint(box((0, 28, z), (7.5, 6.5, 5), 3), MARROW_HU)
        canvas.paint(box((0, 28, z - 9), (9, 8, 2.5), 2), 90.0)
        ring = difference(ellipsoid((0, 46, z), (17, 12, 6)), ellipsoid((0, 45, z), (11, 8, 9)))
        canvas.paint(ring, CORTEX_HU * 0.6)
        canvas.paint(box((0, 62, z - 5), (2.5, 9, 4), 2), CORTEX_HU * 0.5)
    canvas.paint(tube([(0, 45, -30), (0, 45, -300)], 6), 35.0)
    airway = tube([(0, -12, -75), (0, 2, -105), (0, -14, -150), (0, -2, -300)], [9, 6, 8, 9])
    canvas.paint(airway, AIR_HU)


def _paint_face(canvas: Canvas, size: float) -> None:
    s = size
    canvas.paint(
        union(
            ellipsoid((0, -40 * s, -50 * s), (66 * s, 58 * s, 72 * s)),
            ellipsoid((0, -100 * s, -42 * s), (14 * s, 18 * s, 24 * s)),
            blend=15,
        ),
        FAT_HU,
    )
    canvas.paint(ellipsoid((0, -38 * s, -52 * s), (60 * s, 51 * s, 66 * s)), MUSCLE_HU)
    jaw = [
        (side * x * s, y * s, z * s)
        for side, x, y, z in [
            (-1, 52, 0, -50),
            (-1, 50, -12, -95),
            (-1, 25, -70, -112),
            (1, 0, -84, -112),
            (1, 25, -70, -112),
            (1, 50, -12, -95),
            (1, 52, 0, -50),
        ]
    ]
    canvas.paint(tube(jaw, 8), CORTEX_HU)
    canvas.paint(tube(jaw, 4.5), MARROW_HU)
    for z in (-96, -84):
        arch = [
            (np.sin(t) * 25 * s, (-52 - 26 * np.cos(t)) * s, z * s)
            for t in np.linspace(-1.6, 1.6, 9)
        ]
        canvas.paint(tube(arch, 5), 1400.0)
    canvas.paint(ellipsoid((0, -45 * s, -90 * s), (22 * s, 28 * s, 16 * s)), MUSCLE_HU)
    midface = ellipsoid((0, -52 * s, -50 * s), (46 * s, 34 * s, 34 * s))
    canvas.paint(midface, 380.0)
    for side in (-1, 1):
        canvas.paint(ellipsoid((side * 27 * s, -55 * s, -50 * s), (16 * s, 20 * s, 18 * s)), AIR_HU)
        canvas.paint(ellipsoid((side * 8 * s, -55 * s, -30 * s), (5 * s, 18 * s, 10 * s)), AIR_HU)
        canvas.paint(box((side * 8 * s, -62 * s, -62 * s), (5 * s, 32 * s, 14 * s), 4), AIR_HU)
        canvas.paint(box((side * 8 * s, -50 * s, -62 * s), (2 * s, 24 * s, 8 * s), 2), MUSCLE_HU)


def _paint_cranium(canvas: Canvas, rng: np.random.Generator, size: float, enhanced: float) -> None:
    s = size
    wide, deep, high = np.array([72, 90, 70]) * s * rng.uniform(0.95, 1.05, 3)

    def shell(shrink: float) -> Shape:
        return ellipsoid((0, 5, 20), (wide - shrink, deep - shrink, high - shrink))

    canvas.paint(shell(0), SKIN_HU)
    canvas.paint(shell(2), FAT_HU)
    canvas.paint(shell(5), CORTEX_HU)
    canvas.paint(shell(7), 550.0)
    canvas.paint(shell(9.5), CORTEX_HU)
    base = box((0, 0, -32 * s), (58 * s, 70 * s, 9 * s), 6)
    canvas.paint(intersection(base, shell(5)), 650.0)
    brain = difference(shell(11), base)
    canvas.paint(brain, 8.0)
    shape, spacing = canvas.grid.shape, canvas.grid.spacing
    folds = smooth_field(rng, shape, spacing, 9.0)
    canvas.paint(
        difference(shell(13), base),
        0.0,
        texture=np.where(folds > -0.9, 36.0, 14.0).astype(np.float32),
    )
    canvas.paint(difference(shell(24), base), 29.0)
    for side in (-1, 1):
        horn = [(side * 8, -32, 32), (side * 13, 0, 38), (side * 22, 32, 30), (side * 28, 20, 8)]
        canvas.paint(tube(horn, [5, 6, 8, 4]), WATER_HU)
        canvas.paint(ellipsoid((side * 20, -4, 22), (8, 18, 11)), 38.0)
        canvas.paint(ellipsoid((side * 50, 8, -30), (15, 22, 13)), 800.0)
        canvas.paint(ellipsoid((side * 54, 22, -38), (9, 12, 15)), -600.0)
        canvas.paint(ellipsoid((side * 30, -66, -12), (19, 24, 17)), -70.0)
        canvas.paint(ellipsoid((side * 31, -72, -12), (12, 12, 12)), 18.0)
        canvas.paint(tube([(side * 28, -60, -12), (side * 12, -34, -12)], 2), 35.0)
    canvas.paint(ellipsoid((0, 55, -22), (42, 24, 18)), 38.0)
    canvas.paint(tube([(0, 20, 5), (0, 40, -70)], [13, 9]), 34.0)
    canvas.paint(box((0, 5, 65), (1.2, deep - 20, 22), 0.5), 60 + enhanced * 0.8)
    canvas.paint(ellipsoid((0, -28, -22), (14, 14, 10)), AIR_HU)
    canvas.paint(ellipsoid((0, -72 * s, 10), (20, 7, 13)), AIR_HU)
