"""Body, muscle wall, lungs, heart: what surrounds the abdominal organs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .attenuation import FAT_HU, LUNG_HU, SKIN_HU
from .canvas import Room, Solid
from .scene import Scene, diaphragm
from .shapes import (
    Shape,
    box,
    column,
    difference,
    ellipsoid,
    grown,
    tube,
    turn,
    union,
)

SPINE_Z = np.array([-260.0, -200, -160, -120, -84, -40, 0, 40, 80, 120, 160, 215, 260, 330])
SPINE_Y = np.array([40.0, 34, 20, 8, 6, 9, 16, 28, 39, 48, 53, 54, 48, 30])


def spine_y(z: float | np.ndarray) -> np.ndarray:
    """Depth y (mm) of the vertebral bodies' centers at height z (mm)."""
    return np.interp(z, SPINE_Z, SPINE_Y)


def paint_body(scene: Scene) -> None:
    """Skin, subcutaneous fat, muscle wall with its layers, and fat in the cavity."""
    canvas, patient = scene.canvas, scene.patient
    strands = scene.grain * np.float32(5)
    skin = canvas.field(column(patient.outline))
    canvas.flood(skin, SKIN_HU)
    canvas.flood(skin + 2, FAT_HU, strands)
    muscle = scene.hu("muscle")
    canvas.flood(scene.wall_field, muscle - 4, strands)
    flank = box((0, -30, -40), (300, 62, 130), 10)
    for depth in (0.38, 0.66):  # fat between the layers of the wall
        layer = np.abs(scene.wall_field + np.float32(depth * patient.wall_mm)) - np.float32(0.45)
        canvas.fill(canvas.solid(flank, within=Room(layer)), -60.0)
    canvas.flood(scene.cavity_field, FAT_HU + 2, scene.grain * np.float32(9))
    _paint_muscles(scene, muscle)


def _paint_muscles(scene: Scene, muscle: float) -> None:
    canvas = scene.canvas
    levels = [-260.0, -160, -84, -20, 40, 120, 215, 320]
    texture = scene.grain * np.float32(6)
    front = {s.z: s.front for s in scene.patient.inner}
    for side in (-1, 1):
        erector = tube(
            [(side * 36, spine_y(z) + 45, z) for z in levels],
            np.array([26, 31, 34, 34, 31, 26, 24, 24]),
            0.62,
        )
        psoas = tube(
            [
                (side * x, y, z)
                for x, y, z in (
                    (23, 20, 32),
                    (30, 15, -5),
                    (40, 10, -50),
                    (50, 2, -110),
                    (56, -14, -180),
                    (66, -36, -260),
                )
            ],
            [5, 11, 17, 21, 22, 20],
        )
        quadratus = tube(
            [(side * 60, 48, 30), (side * 66, 44, -60), (side * 72, 44, -130)], [8, 17, 18], 0.55
        )
        rectus = tube(
            [(side * 38, front[z] - 3, z) for z in (-260, -170, -100, -40, 20, 70, 120)],
            [26, 28, 30, 31, 31, 30, 26],
            0.2,
        )
        crus = tube(
            [
                (side * 10 + 3, -4, -10),
                (side * 12 + 4, 6, 40),
                (side * 12 + 6, 10, 70),
                (side * 8 + 10, -4, 92),
            ],
            [4, 6, 6, 4],
        )
        glutei = tube([(side * 105, 40, -150), (side * 110, 55, -270)], [16, 40])
        for part in (erector, psoas, quadratus, rectus, crus, glutei):
            solid = canvas.solid(part, within=scene.wall(1.0))
            if any(part is other for other in (erector, quadratus, glutei)):
                # fat between this muscle and the wall
                sheath = canvas.solid(grown(part, 1.6), within=scene.wall(3.0))
                canvas.fill(sheath, -70.0)
            canvas.fill(solid, muscle, texture=texture)
            if part is not rectus:
                canvas.claim(solid)


def paint_chest(scene: Scene) -> None:
    """Lungs with vessels, the diaphragm's muscle, mediastinum and heart."""
    canvas = scene.canvas
    chest = box((0, 0, 158), (400, 400, 158), 1)  # the recess ends above the kidneys
    sheet = np.maximum(np.abs(scene.dome_field - 1) - 1, scene.cavity_field)
    canvas.fill(canvas.solid(chest, within=Room(sheet)), scene.hu("muscle"))
    middle = union(
        tube([(8, 30, 60), (6, 14, 130), (2, -2, 210), (0, 0, 330)], [26, 36, 40, 36], 1.2),
        ellipsoid((20, -48, 140), (68, 54, 62)),
        blend=16,
    )
    levels = (0.0, 60, 120, 180, 240, 330)
    spine = union(
        tube([(0, spine_y(z), z) for z in levels], 23),
        tube([(0, spine_y(z) + 34, z) for z in levels], 34),
        blend=10,
    )
    room = np.maximum(scene.cavity_field + 3, 2 - scene.dome_field)
    solid = canvas.solid(difference(chest, middle, spine, blend=6), within=Room(room))
    if solid is None or solid.empty:
        return
    texture = scene.grain * np.float32(22)
    canvas.fill(solid, LUNG_HU, texture=texture)
    dependent = box((0, 75, 90), (200, 28, 90), 20)
    canvas.fill(canvas.part(solid, dependent), LUNG_HU + 35, texture=texture)
    _paint_lung_vessels(scene, solid)
    canvas.claim(solid)
    _paint_heart(scene)


def _paint_lung_vessels(scene: Scene, lungs: Solid) -> None:
    rng, hu = scene.rng, scene.hu("lung_vessel")
    for side in (-1, 1):
        hilum = np.array([side * 36.0 + 4, 6.0, 195.0])
        for _ in range(34):
            away = rng.normal(size=3) * (0.9, 0.9, 1.2) + (0, 0.15, -0.5)
            away[0] = side * abs(away[0])
            away *= rng.uniform(70, 190) / np.linalg.norm(away)
            bend = hilum + 0.45 * away + rng.normal(0, 8, 3)
            stem = tube([hilum, bend, hilum + away], [4.0, 2.4, 0.8])
            scene.canvas.fill(scene.canvas.part(lungs, stem, depth=1.0), hu)
            for _ in range(3):
                twig = bend + 0.5 * away + rng.normal(0, 16, 3)
                scene.canvas.fill(
                    scene.canvas.part(lungs, tube([bend, twig], [1.9, 0.6]), depth=1.0), hu - 30
                )


def _paint_heart(scene: Scene) -> None:
    canvas = scene.canvas
    lie = turn(18, -25, -32)
    blood = scene.hu("aorta")
    veins = scene.hu("hepatic_vein")

    def chamber(center: tuple[float, float, float], radii: tuple[float, float, float]) -> Shape:
        return ellipsoid(center, radii, lie)

    muscle = union(
        chamber((26, -46, 136), (54, 40, 40)), chamber((-12, -42, 148), (34, 34, 38)), blend=14
    )
    solid = canvas.solid(difference(muscle, grown(diaphragm(), 3.0)))
    canvas.fill(solid, scene.hu("heart_wall"), texture=scene.grain * np.float32(4))
    canvas.fill(canvas.part(solid, chamber((38, -38, 134), (34, 20, 24)), 5), blood)
    canvas.fill(canvas.part(solid, chamber((12, -66, 138), (36, 14, 28)), 3), 0.5 * (blood + veins))
    canvas.fill(canvas.part(solid, chamber((-24, -40, 146), (22, 24, 30)), 3), veins)
    canvas.fill(canvas.part(solid, chamber((6, -16, 156), (26, 15, 18)), 2), blood)
    canvas.claim(solid)
    canvas.paint(
        tube([(14, -48, 170), (16, -34, 205), (2, -18, 220), (-24, -10, 222)], 12), blood * 0.9
    )
    canvas.paint(tube([(14, -24, 220), (34, -4, 218)], 11), blood * 0.9)
    canvas.paint(tube([(-22, -24, 165), (-24, -28, 215), (-20, -14, 330)], 9), veins)
    canvas.paint(tube([(0, -2, 330), (0, 0, 260), (-1, 4, 235)], 9), -1000.0)
    for side in (-1, 1):
        canvas.paint(tube([(-1, 4, 235), (side * 34, 8, 208)], [7, 5.5]), -990.0)


def paint_table(scene: Scene) -> None:
    """The thin carbon shell of the patient table under the back."""
    back = max(s.back for s in scene.patient.outline)
    x = np.linspace(-230, 230, 13)
    for lower, thickness in ((0.0, 1.2), (24.0, 1.5)):
        points = [(a, back + 6 + lower - (a / 230) ** 2 * 26, 0.0) for a in x]
        for a, b in pairwise(points):
            middle = np.add(a, b) / 2
            slope = float(np.degrees(np.arctan2(b[1] - a[1], b[0] - a[0])))
            half = (np.hypot(b[0] - a[0], b[1] - a[1]) / 2 + 0.5, thickness, 2000)
            scene.canvas.paint(box(middle, half, 0.5, turn(z_deg=slope)), -20.0)
