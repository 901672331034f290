"""Aorta, inferior vena cava and their great branches."""

# ruff: noqa: RUF005  (the sums are of arrays, not of tuples)

from __future__ import annotations

import numpy as np

from .patient import AORTA_COURSE, CAVA_COURSE
from .scene import Scene
from .shapes import spline, tube

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
