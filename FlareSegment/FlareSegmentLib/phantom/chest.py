"""A chest above the diaphragm: of the targets only aorta and esophagus are in it."""

from __future__ import annotations

import numpy as np

from ..volume import Volume
from .acquisition import (
    AIR_HU,
    CORTEX_HU,
    DEFAULT_SPACING,
    FAT_HU,
    MUSCLE_HU,
    SKIN_HU,
    Spacing,
    acquired,
    field_of_view,
)
from .canvas import Canvas
from .noise import smooth_field
from .region import Array
from .shapes import Shape, box, difference, ellipsoid, intersection, tube, turn


def make_chest_only(
    seed: int, spacing: Spacing = DEFAULT_SPACING, noise_hu: float = 12.0
) -> tuple[Volume, Array]:
    """A chest that ends above the diaphragm: of the 14 targets only aorta (5) and esophagus (10).

    Returns
    -------
    Volume (int16 HU, canonical axes) and its labels, uint8 (k, j, i), of {0, 5, 10}.
    """
    rng = np.random.default_rng(seed)
    bottom = float(rng.uniform(20, 70))
    canvas = field_of_view(
        rng, spacing, (-215, -150, bottom), (215, 150, bottom + rng.uniform(110, 220))
    )
    wide, deep = rng.uniform(140, 170), rng.uniform(100, 118)
    fat = float(rng.uniform(6, 28))
    enhanced = float(rng.choice([0.0, 110.0, 220.0]))

    def barrel(shrink: float) -> Shape:
        """The chest's outline, moved inwards by some mm."""
        levels = np.array([-60.0, 0, 80, 160, 230, 280, 330])
        size = np.array([1.0, 1.0, 0.98, 0.86, 0.62, 0.45, 0.42])
        points = [(0.0, 0.0, z) for z in levels]
        flat = deep / wide
        return tube(points, wide * size - shrink / flat**0.5, flat)

    canvas.paint(barrel(-fat - 14), SKIN_HU)
    canvas.paint(barrel(-fat - 12), FAT_HU)
    canvas.paint(barrel(-12), MUSCLE_HU)
    for side in (-1, 1):  # shoulders and arms' muscles
        canvas.paint(ellipsoid((side * 105, 55, 150), (45, 30, 110)), MUSCLE_HU - 6)
    canvas.paint(barrel(0), -95.0)
    for side in (-1, 1):
        _paint_lung(canvas, rng, barrel(3), side)
    _paint_rib_cage(canvas, wide, deep)
    _paint_mediastinum(canvas, rng, enhanced)
    canvas.paint(box((0, deep + fat + 40, 100), (240, 10, 500), 4), -800.0)
    return acquired(canvas, rng, noise_hu, f"chest_{seed}"), canvas.labels


def _paint_lung(canvas: Canvas, rng: np.random.Generator, cage: Shape, side: int) -> None:
    lung = intersection(
        ellipsoid((side * 78, 0, 60), (74, 112, 190)),
        cage,
        blend=12,
    )
    texture = 18 * smooth_field(rng, canvas.grid.shape, canvas.grid.spacing, 14.0)
    canvas.paint(lung, -850.0, texture=texture)
    hilum = np.array([side * 34.0, 8.0, 110.0])
    for _ in range(26):
        away = rng.normal(size=3) * (0.8, 1.0, 1.2)
        away[0] = side * abs(away[0])
        away *= rng.uniform(50, 110) / np.linalg.norm(away)
        bend = hilum + 0.5 * away + rng.normal(0, 6, 3)
        canvas.paint(intersection(tube([hilum, bend, hilum + away], [3.5, 2.2, 0.6]), lung), 40.0)


def _paint_rib_cage(canvas: Canvas, wide: float, deep: float) -> None:
    for n in range(14):
        z = -30.0 + 26.0 * n
        canvas.paint(ellipsoid((0, 66, z), (17, 14, 15)), CORTEX_HU * 0.4)
        canvas.paint(ellipsoid((0, 66, z), (15, 12, 11)), 180.0)
        ring = difference(ellipsoid((0, 88, z), (15, 13, 8)), ellipsoid((0, 87, z), (9, 8, 12)))
        canvas.paint(ring, 500.0)
        canvas.paint(tube([(0, 96, z), (0, 116, z - 14)], [5, 4]), 450.0)
        for side in (-1, 1):
            shrink = 1.0 if z < 150 else max(0.45, 1 - (z - 150) / 260)
            angles = np.linspace(0.25, 2.6, 14)
            course = [
                (side * np.sin(a) * wide * shrink, np.cos(a) * deep * shrink, z - 26 * a)
                for a in angles
            ]
            course[0] = (side * 18.0, 74.0, z)
            canvas.paint(tube(course, 5.5, 0.8), 700.0)
            canvas.paint(tube(course, 3.0, 0.8), 200.0)
    canvas.paint(box((0, -deep + 4, 110), (17, 5, 85), 4), 350.0)


def _paint_mediastinum(canvas: Canvas, rng: np.random.Generator, enhanced: float) -> None:
    canvas.paint(ellipsoid((0, 5, 120), (38, 62, 260)), -95.0)
    heart = ellipsoid((22, -38, 40), (62, 48, 52), turn(20, -25, -30))
    canvas.paint(heart, 50 + 0.45 * enhanced)
    for center, radii in (
        ((38, -30, 32), (30, 24, 34)),
        ((-14, -48, 40), (30, 22, 34)),
        ((8, -6, 58), (32, 18, 22)),
    ):
        canvas.paint(ellipsoid(center, radii, turn(20, -25, -30)), 42 + enhanced)
    canvas.paint(tube([(-16, -20, 80), (-22, -28, 120), (-20, -12, 240)], 9), 42 + 0.8 * enhanced)
    canvas.paint(
        tube([(6, -45, 70), (14, -30, 100), (0, -12, 112), (-26, -6, 112)], 12), 42 + 0.9 * enhanced
    )
    canvas.paint(tube([(14, -18, 112), (32, 0, 112)], 11), 42 + 0.9 * enhanced)
    arch = [
        (0, -30, 75),
        (-8, -38, 115),
        (-2, -28, 150),
        (10, -2, 160),
        (20, 28, 150),
        (24, 42, 120),
        (20, 46, 60),
        (12, 44, -80),
    ]
    for end in ((-14, -16, 260), (4, -8, 260), (18, 4, 260)):
        canvas.paint(tube([(4, -10, 160), end], [6, 4]), 42 + enhanced)
    canvas.paint(tube([(0, 4, 280), (0, 8, 170), (-2, 10, 122)], 9), AIR_HU)
    for side in (-1, 1):
        canvas.paint(tube([(-2, 10, 122), (side * 34, 14, 98)], [7, 6]), AIR_HU)
    esophagus = tube(
        [(2, 24, 290), (3, 30, 160), (2, 30, 90), (8, 24, 40), (12, 18, -60)],
        [7, 8, 8, 9, 10],
        0.75,
    )
    canvas.paint(esophagus, 38.0, label=10)
    if rng.random() < 0.5:
        canvas.paint(tube([(2, 25, 280), (3, 30, 150)], 2.5), -700.0)
    canvas.paint(tube(arch, [15, 15, 14, 13, 12.5, 12, 11.5, 11]), 42 + enhanced, label=5)
