"""The 13 organs, each by its own recipe; proportions from `patient.py`."""

# ruff: noqa: RUF005  (the sums are of arrays, not of tuples)

from __future__ import annotations

import numpy as np

from .canvas import Solid
from .patient import AORTA_COURSE, CAVA_COURSE, ESOPHAGUS_COURSE
from .scene import Scene
from .shapes import (
    box,
    difference,
    ellipsoid,
    half_space,
    intersection,
    roughened,
    spline,
    tube,
    turn,
    union,
)

ARCH = np.array(
    [
        (24, 4, 258, 13.5),
        (12, -14, 264, 13.5),
        (-6, -34, 250, 14),
        (-12, -44, 220, 15),
        (-4, -42, 185, 15),
    ],
    float,
)


def paint_vessels(scene: Scene) -> None:
    """Aorta with arch and iliac bifurcation, inferior vena cava, and their great branches."""
    blood, cava = scene.hu("aorta"), scene.hu("inferior_vena_cava")
    canvas = scene.canvas
    size = scene.patient.size
    course = np.vstack([AORTA_COURSE, ARCH])
    fork = course[0, :3]
    for side in (-1, 1):
        iliac = spline(
            [
                fork,
                fork + (side * 14, -1, -24),
                fork + (side * 34, 14, -70),
                fork + (side * 50, 20, -130),
            ]
        )
        canvas.fill(canvas.solid(tube(iliac, 6.5)), blood)
        vein = spline(
            [
                CAVA_COURSE[0, :3] + (0, 0, -2),
                (side * 16 - 8, -4, -115),
                (side * 34, 8, -165),
                (side * 48, 16, -230),
            ]
        )
        canvas.fill(canvas.solid(tube(vein, 7)), cava - 10)
    smooth = spline(course, 3)
    scene.organ(
        "aorta", 5, tube(smooth[:, :3], smooth[:, 3] * size["aorta"]), blood, None, None, 1.5
    )
    smooth = spline(CAVA_COURSE, 3)
    radii = smooth[:, 3] * size["inferior_vena_cava"]
    scene.organ(
        "inferior_vena_cava", 6, tube(smooth[:, :3], radii * 1.08, 0.85), cava, 0.5, None, 3.0
    )
    celiac = spline([(6, 0, 44), (4, -18, 46), (-4, -28, 44), (-18, -34, 40)])
    _branch(scene, celiac, 3.2, blood)
    mesenteric = spline([(5, -8, 26), (5, -26, 16), (4, -30, -10), (0, -40, -50), (-10, -46, -90)])
    _branch(scene, mesenteric, 3.6, blood)
    vein = spline([(-8, -48, 16), (-8, -42, -10), (-10, -48, -50), (-18, -50, -90)])
    _branch(scene, vein, 5.0, scene.hu("portal_vein"))
    portal = spline([(-8, -48, 16), (-22, -42, 34), (-38, -34, 52)])
    _branch(scene, portal, 6.8, scene.hu("portal_vein"))
    splenic = spline([(-8, -46, 17), (20, -38, 32), (50, -20, 42), (82, 0, 50)])
    _branch(scene, splenic, 4.2, scene.hu("portal_vein"))
    renal = scene.hu("renal_vein")
    _branch(scene, spline([(-24, -12, -2), (-38, -4, -2), (-52, 6, -2)]), 5.0, renal)
    _branch(
        scene,
        spline([(-18, -14, 6), (2, -25, 6), (18, -20, 4), (36, -6, 2), (52, 6, 2)]),
        4.6,
        renal,
    )
    _branch(scene, spline([(5, -6, 4), (-14, 2, 2), (-50, 9, 0)]), 2.6, blood)
    _branch(scene, spline([(8, -6, 4), (28, 2, 4), (52, 9, 2)]), 2.6, blood)


def _branch(scene: Scene, course: np.ndarray, radius: float, hu: float) -> None:
    solid = scene.canvas.solid(tube(course, radius), 0.0)
    scene.canvas.fill(solid, hu)
    scene.canvas.claim(solid)


def paint_kidneys(scene: Scene) -> None:
    """Both kidneys: cortex, medullary pyramids, and the sinus' fat and pelvis (not labelled)."""
    for side, key, label in ((-1, "right_kidney", 2), (1, "left_kidney", 13)):
        rng = scene.rng
        center = scene.moved(key, [(side * 74, 20, -1 if side < 0 else 2)])[0]
        lie = turn(
            float(rng.normal(-14, 4)),
            side * float(rng.normal(-10, 4)),
            side * float(rng.normal(38, 8)),
        )
        radii = scene.sized(key, (33.5, 26.5, 56))
        out = lie @ np.array([side * -1.0, 0, 0])  # towards the hilum: medially and to the front
        out = out * np.sign(-side * out[0])
        hilum = center + out * radii[0]
        sinus = union(
            ellipsoid(hilum - out * 5, (14, 8, 17), lie),
            ellipsoid(hilum - out * 16, (9, 6, 25), lie),
            blend=8,
        )
        kidney = difference(ellipsoid(center, radii, lie), sinus, blend=4)
        solid = scene.organ(key, label, kidney, scene.hu("renal_cortex"), 1.0, scene.cavity(3), 4.0)
        if solid is None:
            continue
        _paint_kidney_inside(scene, solid, center, radii, lie, hilum, out)


def _paint_kidney_inside(
    scene: Scene,
    kidney: Solid,
    center: np.ndarray,
    radii: np.ndarray,
    lie: np.ndarray,
    hilum: np.ndarray,
    out: np.ndarray,
) -> None:
    canvas, medulla = scene.canvas, scene.hu("renal_medulla")
    root = hilum - out * 14
    for level in np.linspace(-0.72, 0.72, 5):
        for turn_deg in (-55, 0, 55):
            spread = np.deg2rad(turn_deg)
            away = (
                lie @ np.array([0, np.sin(spread) * radii[1], level * radii[2]])
                - out * np.cos(spread) * radii[0] * 0.9
            )
            apex = root + lie @ np.array([0, 0, level * 20])
            tip = apex + (center + away * 0.72 - apex) * 0.95
            pyramid = tube([apex, tip], [3.0, 6.6])
            canvas.fill(canvas.part(kidney, pyramid, depth=5.0), medulla)
    for level in (-1, 0, 1):
        calyx = [hilum + out * 4, hilum - out * 6, root + lie @ np.array([0, 0, level * 16])]
        solid = canvas.solid(tube(calyx, [5, 4.5, 3]))
        canvas.fill(solid, scene.hu("renal_pelvis") if level == 0 else attenuate(scene))
    ureter = spline(
        [
            hilum + out * 4,
            hilum + out * 9 + (0, 0, -30),
            (np.sign(hilum[0]) * 38, -10, -90),
            (np.sign(hilum[0]) * 40, 0, -200),
        ]
    )
    canvas.fill(canvas.solid(tube(ureter, 2.0), 0.0), attenuate(scene))


def attenuate(scene: Scene) -> float:
    """HU of urine in this phase."""
    return scene.hu("renal_pelvis")


def paint_adrenals(scene: Scene) -> None:
    """Adrenal glands: two thin limbs that part from a ridge in front towards the back (V or Y)."""
    for side, key, label, top, low in (
        (-1, "right_adrenal_gland", 7, 74, 38),
        (1, "left_adrenal_gland", 8, 64, 27),
    ):
        middle = (side * 36, 0 if side < 0 else -6, 0.5 * (top + low))
        center = scene.moved(key, [middle])[0]
        half, thick = scene.sized(key, (0.5 * (top - low), 2.15))
        limbs = []
        for lean, long in ((-20, 22.0), (26, 20.0)):
            angle = np.deg2rad(-side * lean)
            reach = long * scene.patient.size[key] / 2
            heart = center + reach * np.array([np.sin(angle), np.cos(angle), 0.0]) + (0, -4, 0)
            lie = turn(x_deg=-6, z_deg=-np.rad2deg(angle))
            plate = box(heart, (thick, reach + 2, half), 0.9 * thick, lie)
            limbs.append(intersection(plate, ellipsoid(heart, (30, reach + 4, half + 1), lie)))
        ridge = tube([center + (0, -3, -0.8 * half), center + (0, -4, 0.8 * half)], 1.2 * thick)
        shape = union(ridge, *limbs, blend=2.0)
        scene.organ(key, label, shape, scene.hu("adrenal_gland"), 0.3, None, 3.0)


def paint_liver(scene: Scene) -> None:
    """Liver under the right dome: two lobes, fissure, impressions of neighbors."""
    rng = scene.rng
    center = scene.moved("liver", [(-74, -34, 65)])[0] - (-74, -34, 65)
    grow = scene.patient.size["liver"]
    left = float(rng.uniform(0.85, 1.2))
    right = ellipsoid(center + (-86, -18, 46), np.array((82, 96, 98)) * grow, turn(0, 14, 0))
    lobe = ellipsoid(center + (-2, -70, 78), np.array((72 * left, 46, 38)) * grow, turn(8, 14, 14))
    visceral = (
        ellipsoid(center + (-8, -22, 2), (58, 50, 46), turn(0, 28, 0)),
        ellipsoid(center + (-42, -30, -52), (58, 90, 62), turn(0, 24, 0)),
        ellipsoid(center + (-12, -78, 4), (66, 54, 38)),
        ellipsoid((-62, 30, -2), (42, 36, 55), turn(0, 10, 0)),
        ellipsoid((-30, 34, 48), (24, 34, 44)),
        ellipsoid((52, -22, 62), (46, 46, 42)),
    )
    body = difference(union(right, lobe, blend=30), *visceral, blend=12)
    fissure = box(center + (-26, -74, 44), (1.3, 26, 22), 1.2, turn(0, 10, -18))
    liver = difference(body, fissure, blend=4)
    solid = scene.organ("liver", 1, liver, scene.hu("liver"), -0.4, scene.abdomen(0.0), 2.5)
    if solid is not None:
        _paint_liver_vessels(scene, solid, center)


def _paint_liver_vessels(scene: Scene, liver: Solid, center: np.ndarray) -> None:
    rng, canvas = scene.rng, scene.canvas
    hepatic, portal = scene.hu("hepatic_vein"), scene.hu("portal_vein")
    confluence = np.array((-28, -16, 106.0))
    trees = [
        (confluence, center + target, 5.0, hepatic)
        for target in ((-110, 10, 60), (-60, -60, 50), (15, -72, 78), (-120, -40, 90))
    ]
    porta = np.array((-38, -34, 54.0))
    trees += [
        (porta, center + target, 6.2, portal)
        for target in (
            (-85, -20, 58),
            (-10, -62, 66),
            (-115, 20, 30),
            (-110, -50, 40),
            (-95, 30, 80),
        )
    ]
    for root, target, radius, hu in trees:
        bend = (root + target) / 2 + rng.normal(0, 6, 3)
        course = spline([root, bend, target], 4)
        radii = np.linspace(radius, 1.2, len(course))
        canvas.fill(canvas.part(liver, tube(course, radii), 1.5), hu)
        for n in range(2, len(course) - 1):
            for _ in range(2):
                twig = course[n] + rng.normal(0, 1, 3) * 22 + (target - root) * 0.15
                canvas.fill(
                    canvas.part(liver, tube([course[n], twig], [radii[n] * 0.6, 0.7]), 2.0), hu - 8
                )


def paint_gallbladder(scene: Scene) -> None:
    """Gallbladder in its fossa under the liver; it is cut out of the liver."""
    rng = scene.rng
    neck, tip = scene.moved("gallbladder", [(-62, -46, 30), (-86, -80, 0)])
    length = float(rng.uniform(0.75, 1.05))
    tip = neck + (tip - neck) * length
    middle = neck + (tip - neck) * 0.6
    size = scene.patient.size["gallbladder"]
    shape = tube(
        spline([neck, middle, tip], 4), np.array([4, 6, 8, 10.5, 12.5, 13.5, 13, 12, 10.5]) * size
    )
    solid = scene.canvas.solid(shape, within=scene.abdomen(3.0))
    if solid is None or solid.empty:
        return
    clear = scene.canvas.labels[solid.where] <= 1
    solid = Solid(solid.where, solid.region, np.where(clear, solid.distance, 9).astype(np.float32))
    scene.canvas.fill(solid, scene.hu("bowel_wall"), 9)
    scene.canvas.fill(solid, scene.hu("gallbladder"), depth=1.3)
    scene.canvas.claim(solid)
    scene.solids["gallbladder"] = solid


def paint_spleen(scene: Scene) -> None:
    """Spleen along the tenth rib under the left dome, hollow towards kidney and stomach."""
    center = scene.moved("spleen", [(102, 24, 63)])[0]
    lie = turn(-28, -16, -32)
    radii = scene.sized("spleen", (36, 51, 58))
    hollow = ellipsoid(center + (-36, -24, -2), (27, 44, 60), turn(-20, -10, -20))
    spleen = difference(
        ellipsoid(center, radii, lie), hollow, ellipsoid((72, 20, 2), (31, 31, 54)), blend=10
    )
    uneven = 14.0 if scene.phase == "arterial" else 2.5
    scene.organ("spleen", 3, spleen, scene.hu("spleen"), 0.6, scene.abdomen(0.5), uneven)


def paint_esophagus_and_stomach(scene: Scene) -> None:
    """Esophagus through the hiatus to the cardia; stomach with wall, fluid, food and gas."""
    rng, canvas = scene.rng, scene.canvas
    smooth = spline(ESOPHAGUS_COURSE, 3)
    fill = float(rng.uniform(0.78, 1.03))
    course = scene.moved(
        "stomach",
        [
            (62, 0, 87),
            (66, -12, 76),
            (68, -38, 60),
            (64, -62, 45),
            (52, -78, 30),
            (24, -86, 22),
            (-4, -80, 22),
            (-26, -68, 26),
        ],
    )
    radii = scene.sized("stomach", np.array([27, 35, 33, 29, 25, 21, 16, 10.0]) * fill)
    curve = spline(np.hstack([course, radii[:, None]]), 4)
    body = roughened(tube(curve[:, :3], curve[:, 3]), 1.5, 30, int(rng.integers(1 << 30)))
    solid = scene.organ("stomach", 11, body, scene.hu("stomach_wall"), 0.8, scene.abdomen(1.5), 3.0)
    if solid is not None:
        _fill_stomach(scene, solid, curve)
    gullet = tube(smooth[:, :3], smooth[:, 3] * scene.patient.size["esophagus"] * 1.05, 0.8)
    eso = scene.organ("esophagus", 10, gullet, scene.hu("esophagus"), 0.6, None, 3.0)
    if rng.random() < 0.5:
        canvas.fill(canvas.part(eso, tube(smooth[8:, :3], 2.5), 2.5), -700.0)


def _fill_stomach(scene: Scene, stomach: Solid, curve: np.ndarray) -> None:
    rng, canvas = scene.rng, scene.canvas
    wall = float(rng.uniform(3.0, 5.0))
    content = float(rng.choice([8.0, 22.0, 38.0, 60.0] + [250.0] * (scene.phase == "portal")))
    canvas.fill(stomach, content, texture=scene.grain * np.float32(rng.uniform(3, 16)), depth=wall)
    highest = curve[:, 1].min() - curve[:, 3].max() * 0.6
    level = highest + float(rng.uniform(8, 34))
    gas = half_space((0, 1, 0), level)
    canvas.fill(canvas.part(stomach, gas, depth=wall), -985.0)


def paint_pancreas_and_duodenum(scene: Scene) -> None:
    """Pancreas from the head in the duodenal C over the spine to the spleen; the duodenum around."""
    rng, canvas = scene.rng, scene.canvas
    c_loop = scene.moved(
        "duodenum",
        [
            (-30, -64, 26),
            (-46, -54, 30),
            (-54, -42, 18),
            (-54, -36, -6),
            (-50, -32, -28),
            (-38, -34, -42),
            (-14, -38, -44),
            (8, -40, -40),
            (26, -38, -28),
            (34, -42, -8),
        ],
    )
    duo = spline(c_loop, 4)
    radii = np.interp(np.linspace(0, 1, len(duo)), [0, 0.15, 0.5, 1], [13.5, 13, 12, 11.5])
    shape = roughened(
        tube(duo, radii * scene.patient.size["duodenum"]), 1.2, 14, int(rng.integers(1 << 30))
    )
    gland = scene.moved(
        "pancreas",
        [
            (-36, -38, -16),
            (-32, -42, 4),
            (-20, -48, 16),
            (-2, -54, 24),
            (20, -54, 34),
            (44, -36, 40),
            (68, -16, 44),
            (86, -2, 48),
        ],
    )
    thick = scene.sized("pancreas", [15, 16.5, 14, 11, 11.5, 12.5, 13, 11.0])
    curve = spline(np.hstack([gland, thick[:, None]]), 4)
    uncinate = tube(scene.moved("pancreas", [(-34, -34, -16), (-14, -32, -22)]), [10, 6])
    pancreas = roughened(
        union(tube(curve[:, :3], curve[:, 3]), uncinate, blend=6),
        2.6,
        13,
        int(rng.integers(1 << 30)),
    )
    solid = canvas.solid(shape, 0.8, scene.abdomen(6.0))
    inside = scene.organ(
        "pancreas",
        4,
        difference(pancreas, shape, gap=0.5),
        scene.hu("pancreas"),
        -0.2,
        scene.abdomen(6.0),
        10.0,
    )
    canvas.fill(canvas.part(inside, tube(curve[6:, :3], 1.2)), 20.0)
    if solid is None or solid.empty:
        return
    solid = scene.organ("duodenum", 12, shape, scene.hu("bowel_wall"), 0.8, scene.abdomen(6.0), 5.0)
    canvas.fill(solid, float(rng.uniform(10, 45)), texture=scene.grain * np.float32(10), depth=3.0)
    gas = union(*(ellipsoid(p + (0, -5, 0), (5, 3.5, 8)) for p in duo[rng.integers(2, 24, 3)]))
    if rng.random() < 0.6:
        canvas.fill(canvas.part(solid, gas, depth=3.0), -900.0)
