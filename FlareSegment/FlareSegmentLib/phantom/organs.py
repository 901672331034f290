"""Kidneys, adrenals, liver with gallbladder, and spleen."""

# ruff: noqa: RUF005  (the sums are of arrays, not of tuples)

from __future__ import annotations

import numpy as np

from .canvas import Solid
from .scene import Scene
from .shapes import box, difference, ellipsoid, intersection, spline, tube, turn, union


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
        canvas.fill(solid, scene.hu("renal_pelvis") if level == 0 else _urine_hu(scene))
    ureter = spline(
        [
            hilum + out * 4,
            hilum + out * 9 + (0, 0, -30),
            (np.sign(hilum[0]) * 38, -10, -90),
            (np.sign(hilum[0]) * 40, 0, -200),
        ]
    )
    canvas.fill(canvas.solid(tube(ureter, 2.0), 0.0), _urine_hu(scene))


def _urine_hu(scene: Scene) -> float:
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
    radii = scene.sized("spleen", (40, 57, 64))
    hollow = ellipsoid(center + (-42, -26, -4), (27, 44, 58), turn(-20, -10, -20))
    spleen = difference(
        ellipsoid(center, radii, lie), hollow, ellipsoid((72, 20, 2), (31, 31, 54)), blend=10
    )
    uneven = 14.0 if scene.phase == "arterial" else 2.5
    scene.organ("spleen", 3, spleen, scene.hu("spleen"), 0.6, scene.abdomen(0.5), uneven)
