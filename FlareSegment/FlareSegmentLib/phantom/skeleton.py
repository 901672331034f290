"""Vertebrae with discs, ribs with cartilage, sternum, and the top of the pelvis."""

from __future__ import annotations

import numpy as np

from .attenuation import CORTICAL_BONE_HU, DISC_HU, SPONGY_BONE_HU
from .scene import Scene
from .shapes import Shape, box, difference, ellipsoid, intersection, tube, turn, union
from .torso import spine_y

# Height of each vertebral body's center and its distance to the next, mm: L5 to T1. The kidneys'
# centers (z = 0) lie at the disc between the first and second lumbar vertebra.
VERTEBRAE = np.array(
    [-124, -89, -53, -17, 18, 50, 79, 106, 132, 157, 180, 202, 224, 245, 265, 284, 302], float
)
RIB_OF = {5: 12, 6: 11, 7: 10, 8: 9, 9: 8, 10: 7, 11: 6, 12: 5, 13: 4, 14: 3, 15: 2, 16: 1}


def paint_skeleton(scene: Scene) -> None:
    """All bones; they are marked as occupied."""
    for n, z in enumerate(VERTEBRAE):
        _paint_vertebra(scene, n, float(z))
        if n in RIB_OF:
            for side in (-1, 1):
                _paint_rib(scene, RIB_OF[n], float(z), side)
    _paint_pelvis(scene)
    front = {s.z: s.front for s in scene.patient.inner}
    _paint_bone(
        scene,
        tube(
            [(0, front[120] - 2, 128), (0, front[180] - 2, 180), (0, front[240] - 2, 250)],
            [12, 17, 20],
            0.3,
        ),
        350.0,
    )


def _paint_bone(
    scene: Scene, shape: Shape, spongy: float = SPONGY_BONE_HU, cortex_mm: float = 1.6
) -> None:
    canvas = scene.canvas
    solid = canvas.solid(shape)
    canvas.fill(solid, CORTICAL_BONE_HU * 0.75)
    canvas.fill(solid, spongy, texture=scene.grain * np.float32(18), depth=cortex_mm)
    canvas.claim(solid)


def _paint_vertebra(scene: Scene, n: int, z: float) -> None:
    canvas = scene.canvas
    y = float(spine_y(z))
    pitch = float(np.diff(VERTEBRAE)[min(n, 15)])
    lumbar = np.clip((60 - z) / 60, 0, 1)
    wide, deep = 14.5 + 8.5 * lumbar, 13.0 + 4.0 * lumbar
    lean = turn(x_deg=float(np.degrees(np.arctan((spine_y(z + 15) - spine_y(z - 15)) / 30))) * -1)
    half = 0.5 * pitch - (3.4 if n < 5 else 2.0)
    disc = tube(
        [(0, y + 1, z + pitch / 2 - 5), (0, spine_y(z + pitch), z + pitch / 2 + 5)],
        wide * 0.96,
        deep / wide,
    )
    canvas.fill(canvas.solid(disc), DISC_HU)
    canvas.claim(canvas.solid(disc))
    canal_y = y + deep + 9
    arch = difference(
        ellipsoid((0, canal_y + 1, z), (16, 14, half)),
        ellipsoid((0, canal_y - 2, z), (10.5, 9, 4 * half)),
    )
    _paint_bone(scene, arch, 350.0, 1.2)
    for side in (-1, 1):
        _paint_bone(
            scene, tube([(side * 12, y + deep - 2, z + 4), (side * 15, canal_y, z + 2)], 5), 300.0
        )
        reach = 40 if n < 5 else 30
        _paint_bone(
            scene,
            tube(
                [(side * 15, canal_y + 2, z), (side * reach, canal_y + 5 + (n > 4) * 6, z + 2)],
                [4.5, 3],
            ),
            320.0,
        )
        _paint_bone(scene, ellipsoid((side * 15, canal_y + 8, z - pitch / 2), (7, 6, 9)), 420.0)
    tip = z - (4 if n < 5 else 18)
    _paint_bone(scene, tube([(0, canal_y + 12, z - 2), (0, canal_y + 32, tip)], [3.5, 4.5]), 300.0)
    body = intersection(
        tube(
            [(0, spine_y(z - 15) * 2 - y, z - 30), (0, y, z), (0, spine_y(z + 15) * 2 - y, z + 30)],
            wide,
            deep / wide,
        ),
        box((0, y, z), (40, 30, half), 1.5, lean),
    )
    waist = difference(body, tube([(-30, y - deep - 9, z), (30, y - deep - 9, z)], 10), blend=3)
    _paint_bone(scene, waist, SPONGY_BONE_HU * float(scene.rng.uniform(0.95, 1.05)), 1.4)
    canal = tube(
        [(0, canal_y - 2, z - pitch * 0.55), (0, spine_y(z + pitch) + deep + 7, z + pitch * 0.55)],
        9,
        0.8,
    )
    canvas.fill(canvas.solid(canal), 20.0)


def _wall_point(scene: Scene, angle: float, z: float, out: float) -> np.ndarray:
    """Point `out` mm outside the cavity's wall; angle 0 is the back, pi the front."""
    inner = scene.patient.inner
    at = [s.z for s in inner]
    a = np.interp(z, at, [s.half_width for s in inner]) + out
    front, back = (
        np.interp(z, at, [s.front for s in inner]) - out,
        np.interp(z, at, [s.back for s in inner]) + out,
    )
    b, middle = (back - front) / 2, (back + front) / 2
    s, c = np.sin(angle), np.cos(angle)
    u, v = abs(s) / a, abs(c) / b
    r = 2 / (np.hypot(u, v) + (u**3 + v**3) ** (1 / 3))  # as in shapes.column
    return np.array([r * s, middle + r * c, z])


def _paint_rib(scene: Scene, rib: int, z: float, side: int) -> None:
    end = {12: 0.95, 11: 1.4, 10: 1.9}.get(rib, 2.25)
    drop = {12: 45.0, 11: 60.0, 10: 62.0, 9: 58.0, 8: 53.0, 7: 48.0, 6: 43.0, 5: 38.0}.get(
        rib, 32.0
    )
    angles = np.linspace(0.36, end, 16)
    course = [_wall_point(scene, a, z - drop * (a - 0.36) - 6 * (rib > 10), 5.5) for a in angles]
    course.insert(0, np.array([19.0, float(spine_y(z)) + 16, z + 5]))
    bone = np.array(course) * (side, 1, 1)
    _paint_bone(scene, tube(bone, [5] + [5.6] * 14 + [5.0, 4.5], 0.85), 240.0, 1.5)
    if rib > 10:
        return
    tip = course[-1]
    if rib <= 7:
        to = np.array([14.0, _wall_point(scene, 3.05, 125, 3)[1], max(125.0, tip[2] + 18)])
    else:
        to = np.array([26.0 + 22 * (rib - 8), 0, 106.0 - 26 * (rib - 8)])
        to[1] = _wall_point(scene, np.pi - np.arctan2(to[0], 95), to[2], 3)[1]
    bend = _wall_point(scene, 2.6 if rib <= 7 else 2.45, 0.55 * tip[2] + 0.45 * to[2] - 5, 4)
    gristle = scene.canvas.solid(tube(np.array([tip, bend, to]) * (side, 1, 1), 5.0))
    scene.canvas.fill(gristle, 105.0)


def _paint_pelvis(scene: Scene) -> None:
    sacrum = union(
        ellipsoid((0, 34, -168), (46, 20, 26)), ellipsoid((0, 52, -215), (38, 14, 45)), blend=12
    )
    _paint_bone(scene, sacrum, 150.0)
    scene.canvas.paint(tube([(0, 48, -140), (0, 62, -230)], 6), 20.0)
    for side in (-1, 1):
        wing = difference(
            ellipsoid((side * 84, 22, -190), (52, 66, 74), turn(0, side * 8, side * -28)),
            ellipsoid((side * 76, 12, -190), (50, 66, 90), turn(0, side * 8, side * -28)),
        )
        keep = intersection(wing, box((side * 96, 25, -190), (56, 70, 78), 10))
        _paint_bone(scene, keep, 170.0, 1.4)
