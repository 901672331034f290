"""Scans in which an abdominal model must find nothing: heads, legs, noise; and chests.

They teach the localiser and the network what is not an abdomen, and test that nothing is
hallucinated. Everything here is synthetic.
"""

from __future__ import annotations

import numpy as np

from ..volume import Volume
from .canvas import Canvas, Grid, Warp
from .noise import blurred, ct_noise, smooth_field
from .shapes import (
    Array,
    Point,
    Shape,
    box,
    difference,
    ellipsoid,
    intersection,
    tube,
    turn,
    union,
)

Spacing = tuple[float, float, float]
FAT, MUSCLE, SKIN, CORTEX, MARROW, WATER, AIR = -100.0, 58.0, -20.0, 1150.0, 250.0, 5.0, -1000.0
DEFAULT_SPACING: Spacing = (3.0, 2.0, 2.0)


def _canvas(
    rng: np.random.Generator, spacing: Spacing, lower: Point, upper: Point, warp_mm: float = 8.0
) -> Canvas:
    """A canvas over a box (x, y, z; mm), its field of view moved a little at random."""
    low = np.asarray(lower, float) + rng.uniform(-8, 8, 3)
    high = np.asarray(upper, float) + rng.uniform(-8, 8, 3)
    shape = [max(8, round((high[2 - n] - low[2 - n]) / spacing[n])) for n in range(3)]
    grid = Grid((shape[0], shape[1], shape[2]), spacing, (low[0], low[1], low[2]))
    return Canvas(grid, Warp(rng, low, high, knot_mm=55.0, amplitude_mm=warp_mm))


def finish(canvas: Canvas, rng: np.random.Generator, noise_hu: float, name: str) -> Volume:
    """The canvas as a scanner would give it: blurred, noisy, whole HU in [-1024, 3071], int16."""
    spacing = canvas.grid.spacing
    kernel = float(rng.uniform(0.9, 1.7))
    hu = blurred(canvas.hu, spacing, kernel)
    hu += ct_noise(rng, canvas.grid.shape, spacing, noise_hu, kernel)
    array = np.clip(np.rint(hu), -1024, 3071).astype(np.int16)
    return Volume(array=array, affine=canvas.grid.affine(), name=name)


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
    canvas = _canvas(rng, spacing, (-115, -130, -90 - neck), (115, 130, 105))
    size = float(rng.uniform(0.9, 1.08))
    enhanced = 120.0 * float(rng.random() < 0.4)
    _paint_neck(canvas, size, enhanced)
    _paint_face(canvas, size)
    _paint_cranium(canvas, rng, size, enhanced)
    head_rest = tube([(-150, 115, -40), (0, 122, -40), (150, 115, -40)], 6)
    canvas.paint(head_rest, -700.0)
    return finish(canvas, rng, noise_hu, f"head_{seed}"), canvas.labels


def _paint_neck(canvas: Canvas, size: float, enhanced: float) -> None:
    s = size
    canvas.paint(
        tube([(0, 15, -20), (0, 18, -110 * s), (0, 25, -300)], [62 * s, 58 * s, 95 * s]), FAT
    )
    canvas.paint(
        tube([(0, 15, -20), (0, 18, -110 * s), (0, 25, -300)], [54 * s, 50 * s, 84 * s]), MUSCLE
    )
    for side in (-1, 1):
        canvas.paint(tube([(side * 38, 22, -40), (side * 12, -30, -190)], 4), FAT)
        canvas.paint(tube([(side * 24, 12, -40), (side * 26, 5, -240)], 4.5), 45 + enhanced * 1.6)
        canvas.paint(tube([(side * 32, 14, -40), (side * 34, 8, -240)], 5.5), 42 + enhanced)
        canvas.paint(ellipsoid((side * 20, -18, -150), (9, 11, 22)), 105 + enhanced * 0.4)
    for n in range(12):
        z = -45.0 - 18 * n
        canvas.paint(box((0, 28, z), (10, 9, 7), 3), CORTEX * 0.55)
        canvas.paint(box((0, 28, z), (7.5, 6.5, 5), 3), MARROW)
        canvas.paint(box((0, 28, z - 9), (9, 8, 2.5), 2), 90.0)
        ring = difference(ellipsoid((0, 46, z), (17, 12, 6)), ellipsoid((0, 45, z), (11, 8, 9)))
        canvas.paint(ring, CORTEX * 0.6)
        canvas.paint(box((0, 62, z - 5), (2.5, 9, 4), 2), CORTEX * 0.5)
    canvas.paint(tube([(0, 45, -30), (0, 45, -300)], 6), 35.0)
    airway = tube([(0, -12, -75), (0, 2, -105), (0, -14, -150), (0, -2, -300)], [9, 6, 8, 9])
    canvas.paint(airway, AIR)


def _paint_face(canvas: Canvas, size: float) -> None:
    s = size
    canvas.paint(
        union(
            ellipsoid((0, -40 * s, -50 * s), (66 * s, 58 * s, 72 * s)),
            ellipsoid((0, -100 * s, -42 * s), (14 * s, 18 * s, 24 * s)),
            blend=15,
        ),
        FAT,
    )
    canvas.paint(ellipsoid((0, -38 * s, -52 * s), (60 * s, 51 * s, 66 * s)), MUSCLE)
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
    canvas.paint(tube(jaw, 8), CORTEX)
    canvas.paint(tube(jaw, 4.5), MARROW)
    for z in (-96, -84):
        arch = [
            (np.sin(t) * 25 * s, (-52 - 26 * np.cos(t)) * s, z * s)
            for t in np.linspace(-1.6, 1.6, 9)
        ]
        canvas.paint(tube(arch, 5), 1400.0)
    canvas.paint(ellipsoid((0, -45 * s, -90 * s), (22 * s, 28 * s, 16 * s)), MUSCLE)
    midface = ellipsoid((0, -52 * s, -50 * s), (46 * s, 34 * s, 34 * s))
    canvas.paint(midface, 380.0)
    for side in (-1, 1):
        canvas.paint(ellipsoid((side * 27 * s, -55 * s, -50 * s), (16 * s, 20 * s, 18 * s)), AIR)
        canvas.paint(ellipsoid((side * 8 * s, -55 * s, -30 * s), (5 * s, 18 * s, 10 * s)), AIR)
        canvas.paint(box((side * 8 * s, -62 * s, -62 * s), (5 * s, 32 * s, 14 * s), 4), AIR)
        canvas.paint(box((side * 8 * s, -50 * s, -62 * s), (2 * s, 24 * s, 8 * s), 2), MUSCLE)


def _paint_cranium(canvas: Canvas, rng: np.random.Generator, size: float, enhanced: float) -> None:
    s = size
    wide, deep, high = np.array([72, 90, 70]) * s * rng.uniform(0.95, 1.05, 3)

    def shell(shrink: float) -> Shape:
        return ellipsoid((0, 5, 20), (wide - shrink, deep - shrink, high - shrink))

    canvas.paint(shell(0), SKIN)
    canvas.paint(shell(2), FAT)
    canvas.paint(shell(5), CORTEX)
    canvas.paint(shell(7), 550.0)
    canvas.paint(shell(9.5), CORTEX)
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
        canvas.paint(tube(horn, [5, 6, 8, 4]), WATER)
        canvas.paint(ellipsoid((side * 20, -4, 22), (8, 18, 11)), 38.0)
        canvas.paint(ellipsoid((side * 50, 8, -30), (15, 22, 13)), 800.0)
        canvas.paint(ellipsoid((side * 54, 22, -38), (9, 12, 15)), -600.0)
        canvas.paint(ellipsoid((side * 30, -66, -12), (19, 24, 17)), -70.0)
        canvas.paint(ellipsoid((side * 31, -72, -12), (12, 12, 12)), 18.0)
        canvas.paint(tube([(side * 28, -60, -12), (side * 12, -34, -12)], 2), 35.0)
    canvas.paint(ellipsoid((0, 55, -22), (42, 24, 18)), 38.0)
    canvas.paint(tube([(0, 20, 5), (0, 40, -70)], [13, 9]), 34.0)
    canvas.paint(box((0, 5, 65), (1.2, deep - 20, 22), 0.5), 60 + enhanced * 0.8)
    canvas.paint(ellipsoid((0, -28, -22), (14, 14, 10)), AIR)
    canvas.paint(ellipsoid((0, -72 * s, 10), (20, 7, 13)), AIR)


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
    canvas = _canvas(rng, spacing, (-210, -125, top - rng.uniform(150, 420)), (210, 140, top))
    apart, girth = float(rng.uniform(84, 100)), float(rng.uniform(0.85, 1.15))
    enhanced = 120.0 * float(rng.random() < 0.4)
    for side in (-1, 1):
        _paint_leg(canvas, rng, side * apart, girth, side, enhanced)
    canvas.paint(box((0, 150, -400), (260, 8, 600), 3), -850.0)
    return finish(canvas, rng, noise_hu, f"legs_{seed}"), canvas.labels


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
    canvas.paint(tube(axis, radii), SKIN)
    canvas.paint(tube(axis, radii - 2), FAT)
    muscle = tube(axis, np.maximum(radii - thickness, 26) - np.array([0, 0, 0, 12, 0, 3, 12]))
    canvas.paint(muscle, FAT + 20)
    for n in range(11):
        angle = 2 * np.pi * n / 11 + rng.uniform(-0.2, 0.2)
        near = 0.62 if n % 2 else 0.38
        course = [
            (p[0] + np.cos(angle) * near * r, p[1] + np.sin(angle) * near * r, p[2])
            for p, r in zip(axis, radii - thickness, strict=True)
        ]
        canvas.paint(intersection(tube(course, radii * 0.36), muscle), MUSCLE + rng.uniform(-8, 8))
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
        canvas.paint(tube(bone, r), CORTEX)
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
    return finish(canvas, rng, noise_hu, f"noise_{seed}"), canvas.labels


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
    canvas = _canvas(rng, spacing, (-215, -150, bottom), (215, 150, bottom + rng.uniform(110, 220)))
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

    canvas.paint(barrel(-fat - 14), SKIN)
    canvas.paint(barrel(-fat - 12), FAT)
    canvas.paint(barrel(-12), MUSCLE)
    for side in (-1, 1):  # shoulders and arms' muscles
        canvas.paint(ellipsoid((side * 105, 55, 150), (45, 30, 110)), MUSCLE - 6)
    canvas.paint(barrel(0), -95.0)
    for side in (-1, 1):
        _paint_lung(canvas, rng, barrel(3), side)
    _paint_rib_cage(canvas, wide, deep)
    _paint_mediastinum(canvas, rng, enhanced)
    canvas.paint(box((0, deep + fat + 40, 100), (240, 10, 500), 4), -800.0)
    return finish(canvas, rng, noise_hu, f"chest_{seed}"), canvas.labels


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
        canvas.paint(ellipsoid((0, 66, z), (17, 14, 15)), CORTEX * 0.4)
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
    canvas.paint(tube([(0, 4, 280), (0, 8, 170), (-2, 10, 122)], 9), AIR)
    for side in (-1, 1):
        canvas.paint(tube([(-2, 10, 122), (side * 34, 14, 98)], [7, 6]), AIR)
    esophagus = tube(
        [(2, 24, 290), (3, 30, 160), (2, 30, 90), (8, 24, 40), (12, 18, -60)],
        [7, 8, 8, 9, 10],
        0.75,
    )
    canvas.paint(esophagus, 38.0, label=10)
    if rng.random() < 0.5:
        canvas.paint(tube([(2, 25, 280), (3, 30, 150)], 2.5), -700.0)
    canvas.paint(tube(arch, [15, 15, 14, 13, 12.5, 12, 11.5, 11]), 42 + enhanced, label=5)
