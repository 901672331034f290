"""Esophagus, stomach, duodenum and the pancreas in its loop."""

# ruff: noqa: RUF005  (the sums are of arrays, not of tuples)

from __future__ import annotations

import numpy as np

from .canvas import Solid
from .patient import ESOPHAGUS_COURSE
from .scene import Scene
from .shapes import difference, ellipsoid, grown, half_space, roughened, spline, tube, union


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
    if scene.pancreas_bed is not None:
        body = difference(body, scene.pancreas_bed, blend=10)
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
    """Pancreas from its head in the duodenal C over the spine to the spleen; the duodenum."""
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
    scene.pancreas_bed = grown(tube(curve[:, :3], curve[:, 3]), 3.0)
    pancreas = roughened(
        union(tube(curve[:, :3], curve[:, 3]), uncinate, blend=6),
        2.6,
        13,
        int(rng.integers(1 << 30)),
    )
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
    solid = scene.organ("duodenum", 12, shape, scene.hu("bowel_wall"), 0.8, scene.abdomen(6.0), 5.0)
    canvas.fill(solid, float(rng.uniform(10, 45)), texture=scene.grain * np.float32(10), depth=3.0)
    gas = union(*(ellipsoid(p + (0, -5, 0), (5, 3.5, 8)) for p in duo[rng.integers(2, 24, 3)]))
    if rng.random() < 0.6:
        canvas.fill(canvas.part(solid, gas, depth=3.0), -900.0)
