"""Two legs: nothing in them is a target."""

from __future__ import annotations

import numpy as np

from ..volume import Volume
from .acquisition import (
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
from .region import Array
from .shapes import box, intersection, tube


def make_legs(
    seed: int, spacing: Spacing = DEFAULT_SPACING, noise_hu: float = 12.0
) -> tuple[Volume, Array]:
    """Two legs between hip and ankle, with bones, muscles, vessels and fat; no target is in them.

    Returns
    -------
    Volume (int16 HU, canonical axes) and its labels, uint8 (k, j, i), all 0.
    """
    rng = np.random.default_rng(seed)
    top = float(rng.uniform(-420, -20))
    canvas = field_of_view(rng, spacing, (-210, -125, top - rng.uniform(150, 420)), (210, 140, top))
    apart, girth = float(rng.uniform(84, 100)), float(rng.uniform(0.85, 1.15))
    enhanced = 120.0 * float(rng.random() < 0.4)
    for side in (-1, 1):
        _paint_leg(canvas, rng, side * apart, girth, side, enhanced)
    canvas.paint(box((0, 150, -400), (260, 8, 600), 3), -850.0)
    return acquired(canvas, rng, noise_hu, f"legs_{seed}"), canvas.labels


def _paint_leg(
    canvas: Canvas, rng: np.random.Generator, x: float, girth: float, side: int, enhanced: float
) -> None:
    knee = -430.0
    axis = [
        (x, 0, 40),
        (x, 0, -120),
        (x * 0.97, 0, knee + 60),
        (x * 0.95, 0, knee),
        (x * 0.95, 12, knee - 120),
        (x * 0.95, 5, knee - 330),
        (x * 0.95, 5, knee - 420),
    ]
    radii = np.array([95, 84, 66, 58, 57, 38, 40]) * girth
    thickness = float(rng.uniform(6, 20))
    canvas.paint(tube(axis, radii), SKIN_HU)
    canvas.paint(tube(axis, radii - 2), FAT_HU)
    muscle = tube(axis, np.maximum(radii - thickness, 26) - np.array([0, 0, 0, 12, 0, 3, 12]))
    canvas.paint(muscle, FAT_HU + 20)
    for n in range(11):
        angle = 2 * np.pi * n / 11 + rng.uniform(-0.2, 0.2)
        near = 0.62 if n % 2 else 0.38
        course = [
            (p[0] + np.cos(angle) * near * r, p[1] + np.sin(angle) * near * r, p[2])
            for p, r in zip(axis, radii - thickness, strict=True)
        ]
        canvas.paint(
            intersection(tube(course, radii * 0.36), muscle), MUSCLE_HU + rng.uniform(-8, 8)
        )
    femur = [
        (x - side * 45, 0, 60),
        (x - side * 30, -2, 45),
        (x + side * 6, -4, 0),
        (x + side * 3, -12, -200),
        (x * 0.96, -4, knee + 40),
        (x * 0.95, 2, knee + 10),
    ]
    shin = [
        (x * 0.93, 0, knee - 12),
        (x * 0.93, -14, knee - 60),
        (x * 0.94, -16, knee - 330),
        (x * 0.94, -2, knee - 400),
    ]
    for bone, r in (
        (femur, np.array([24, 16, 19, 14, 18, 30])),
        (shin, np.array([32, 20, 13, 22])),
        ([(x + side * 28, 20, knee - 40), (x + side * 27, 8, knee - 390)], np.array([7.0, 6.0])),
        ([(x * 0.95, -42, knee + 30), (x * 0.95, -42, knee + 5)], np.array([17.0, 15.0])),
    ):
        canvas.paint(tube(bone, r), CORTEX_HU)
        joint = np.abs(np.array([p[2] for p in bone]) - knee) < 70
        canvas.paint(
            tube(bone, np.where(joint, r - 2, r * 0.55)), np.where(joint.any(), 150.0, -40.0).item()
        )
    vessels = [
        (x - side * 25, -42, 30),
        (x - side * 28, -25, -150),
        (x - side * 8, 26, knee + 30),
        (x, 26, knee - 60),
        (x, 12, knee - 350),
    ]
    canvas.paint(tube(vessels, [5, 4.5, 4, 3, 2]), 45 + enhanced * 1.5)
    canvas.paint(
        tube([(p[0] + 9, p[1] + 6, p[2]) for p in vessels], [6, 5, 5, 3.5, 2.5]),
        45 + enhanced * 0.6,
    )
