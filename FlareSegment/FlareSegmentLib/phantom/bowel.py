"""Colon with feces and gas, loops of small bowel, and the vessels of their mesentery."""

from __future__ import annotations

import numpy as np

from .scene import Scene
from .shapes import Shape, ellipsoid, half_space, spline, tube


def paint_colon(scene: Scene) -> None:
    """The colon as a frame around the small bowel, with haustra, feces and gas."""
    rng = scene.rng
    front = {s.z: s.front for s in scene.patient.inner}
    hang = float(rng.uniform(-70, -25))
    path = np.array([
        (-88, -30, -190), (-98, -22, -130), (-102, -8, -80), (-100, -20, -45), (-86, -50, -32),
        (-60, front[-40] + 26, -45 + 0.4 * hang), (0, front[-40] + 22, hang),
        (55, front[-40] + 24, -30), (96, -52, 12), (112, -12, 34), (114, 14, 8), (110, 18, -50),
        (106, 10, -110), (94, -4, -165), (60, -20, -205),
    ], float)  # fmt: skip
    path += rng.normal(0, 5, path.shape)
    curve = spline(path, 9)
    swing = np.cumsum(np.linalg.norm(np.diff(curve, axis=0, prepend=curve[:1]), axis=1))
    wide = np.interp(np.linspace(0, 1, len(curve)), [0, 0.2, 0.5, 0.62, 1], [25, 23, 19, 15, 13])
    radii = wide * rng.uniform(0.85, 1.15) * (1 + 0.13 * np.sin(2 * np.pi * swing / 26))
    for start in range(0, len(curve) - 1, 9):
        part = slice(start, start + 10)
        _paint_gut(
            scene, tube(curve[part], radii[part]), curve[part], radii[part], wall=1.8, gas=0.65
        )


def _paint_gut(
    scene: Scene, shape: Shape, curve: np.ndarray, radii: np.ndarray, wall: float, gas: float
) -> None:
    canvas, rng = scene.canvas, scene.rng
    solid = canvas.solid(shape, 1.0, scene.abdomen(3.0))
    if solid is None or solid.empty:
        return
    feces = float(rng.uniform(-40, 60))
    lumps = scene.grain * np.float32(rng.uniform(10, 60))
    canvas.fill(solid, scene.hu("bowel_wall"))
    canvas.fill(solid, feces, texture=lumps, depth=wall)
    for _ in range(14):
        n = int(rng.integers(len(curve)))
        spot = curve[n] + rng.normal(0, 0.35, 3) * radii[n]
        canvas.fill(
            canvas.part(solid, ellipsoid(spot, rng.uniform(1.5, 4.5, 3)), wall),
            float(rng.uniform(-900, -300)),
        )
    if rng.random() < gas:
        level = float(curve[:, 1].mean() + rng.uniform(-0.9, 0.9) * radii.mean())
        canvas.fill(canvas.part(solid, half_space((0, 1, 0), level), wall), -960.0)
    canvas.claim(solid)


def paint_small_bowel(scene: Scene) -> None:
    """Loops of jejunum and ileum in what room is left between mid-abdomen and pelvis."""
    rng, canvas = scene.rng, scene.canvas
    front = {s.z: s.front for s in scene.patient.inner}
    wall_hu, lean = scene.hu("bowel_wall"), 1 - 0.4 * scene.patient.visceral
    for _ in range(int(84 * lean)):
        z = float(rng.uniform(-225, 30))
        y = float(rng.uniform(front[-100] + 16, -30 if z > -110 else 10))
        x = float(rng.uniform(-74, 92))
        if z > -45 and x < -10 + max(0.0, 0.8 * z):  # the jejunum lies on the left
            continue
        steps = rng.normal(0, 1, (3, 3)) * (24, 15, 15)
        curve = spline(np.cumsum(np.vstack([(x, y, z), steps]), axis=0), 4)
        radius = float(rng.uniform(9, 14.5))
        solid = canvas.solid(tube(curve, radius), 0.8, scene.abdomen(4.0))
        if solid is None or solid.empty:
            continue
        canvas.fill(solid, wall_hu, texture=scene.grain * np.float32(6))
        content = float(rng.choice([15.0, 30.0, 55.0]))
        canvas.fill(
            solid, content, texture=scene.grain * np.float32(14), depth=float(rng.uniform(2, 4.5))
        )
        if rng.random() < 0.16:
            canvas.fill(canvas.part(solid, half_space((0, 1, 0), y - 2), 2.5), -930.0)
        canvas.claim(solid)
    _paint_mesentery(scene)


def _paint_mesentery(scene: Scene) -> None:
    rng, canvas, hu = scene.rng, scene.canvas, scene.hu("portal_vein")
    for _ in range(50):
        root = np.array([rng.uniform(-15, 15), -44.0, rng.uniform(-100, -20)])
        end = root + rng.normal(0, 1, 3) * (55, 28, 40)
        bend = (root + end) / 2 + rng.normal(0, 6, 3)
        canvas.fill(
            canvas.solid(tube([root, bend, end], [2.2, 1.6, 0.9]), 0.0, scene.abdomen(3.0)), hu - 20
        )
