"""Solids given by signed distances in mm (negative inside), evaluated only near themselves.

Points are (x, y, z) in mm: x towards the patient's Left, y towards the back (Posterior), z towards
the head. A smooth distance gives the partial volume of a voxel for free: see `canvas.coverage`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .region import Array, Region

FAR_MM = 60.0
"""The distance told for points outside a solid's bounding box: outside, exact value unknown."""

Point = Sequence[Any] | Array


@dataclass(frozen=True, eq=False)
class Shape:
    """A solid: its bounding box (x, y, z; mm) and its signed distance (mm) on a region."""

    lower: Array
    upper: Array
    distance: Callable[[Region], Array]

    def near(self, region: Region, margin: float = 8.0) -> Array:
        """Signed distance on a region, computed only in the solid's box; `FAR_MM` elsewhere."""
        result = np.full(region.shape, FAR_MM, np.float32)
        where = region.slices(self.lower, self.upper, margin)
        if all(s.stop > s.start for s in where):
            result[where] = self.distance(region.part(where))
        return result


def _unit(vector: Point) -> Array:
    vector = np.asarray(vector, float)
    return vector / np.linalg.norm(vector)


def turn(x_deg: float = 0.0, y_deg: float = 0.0, z_deg: float = 0.0) -> Array:
    """Rotation matrix (3, 3) about x, then y, then z, in degrees; its columns are the body axes."""
    ax, ay, az = np.deg2rad([x_deg, y_deg, z_deg])
    rx = np.array([[1, 0, 0], [0, np.cos(ax), -np.sin(ax)], [0, np.sin(ax), np.cos(ax)]])
    ry = np.array([[np.cos(ay), 0, np.sin(ay)], [0, 1, 0], [-np.sin(ay), 0, np.cos(ay)]])
    rz = np.array([[np.cos(az), -np.sin(az), 0], [np.sin(az), np.cos(az), 0], [0, 0, 1]])
    return rz @ ry @ rx


def ellipsoid(center: Point, radii: Point, rotation: Array | None = None) -> Shape:
    """An ellipsoid; distances are first-order exact near its surface."""
    c, r = np.asarray(center, float), np.asarray(radii, float)
    axes = np.eye(3) if rotation is None else np.asarray(rotation, float)
    reach = np.sqrt(((axes * r) ** 2).sum(axis=1))

    def distance(region: Region) -> Array:
        dx, dy, dz = (
            region.x - np.float32(c[0]),
            region.y - np.float32(c[1]),
            region.z - np.float32(c[2]),
        )
        first: Array | float = 0.0
        second: Array | float = 0.0
        for n in range(3):
            a = axes[:, n].astype(np.float32)
            along = (dx * a[0] + dy * a[1] + dz * a[2]) * np.float32(1 / r[n])
            first = first + along * along
            second = second + (along * np.float32(1 / r[n])) ** 2
        k0 = np.sqrt(first)
        return np.broadcast_to(
            k0 * (k0 - 1) / np.sqrt(np.maximum(second, np.float32(1e-8))), region.shape
        )

    return Shape(c - reach, c + reach, distance)


def tube(
    points: Sequence[Point] | Array, radii: Sequence[float] | Array | float, flat: float = 1.0
) -> Shape:
    """A tube along a polyline, radius (mm) per point; `flat` < 1 flattens it front to back."""
    p = np.asarray(points, float)
    r = np.broadcast_to(np.asarray(radii, float), (len(p),))
    parts = [_cone(p[n], p[n + 1], float(r[n]), float(r[n + 1]), flat) for n in range(len(p) - 1)]
    return union(*parts)


def _cone(a: Array, b: Array, ra: float, rb: float, flat: float) -> Shape:
    scale = np.array([1.0, 1.0 / flat, 1.0])
    start, along = a * scale, (b - a) * scale
    length2 = float(max(along @ along, 1e-6))
    wide = np.maximum(ra, rb)

    def distance(region: Region) -> Array:
        f = np.float32
        dx, dy, dz = (
            region.x - f(start[0]),
            region.y * f(scale[1]) - f(start[1]),
            region.z - f(start[2]),
        )
        t = np.clip((dx * f(along[0]) + dy * f(along[1]) + dz * f(along[2])) / f(length2), 0, 1)
        gap = (
            (dx - t * f(along[0])) ** 2 + (dy - t * f(along[1])) ** 2 + (dz - t * f(along[2])) ** 2
        )
        return np.broadcast_to(
            (np.sqrt(gap) - (f(ra) + t * f(rb - ra))) * f(min(1.0, flat**0.5)), region.shape
        )

    return Shape(np.minimum(a, b) - wide, np.maximum(a, b) + wide, distance)


def box(center: Point, half: Point, rounding: float = 2.0, rotation: Array | None = None) -> Shape:
    """A box with rounded edges."""
    c, h = np.asarray(center, float), np.asarray(half, float) - rounding
    axes = np.eye(3) if rotation is None else np.asarray(rotation, float)
    reach = np.abs(axes) @ (h + rounding)

    def distance(region: Region) -> Array:
        f = np.float32
        d = (region.x - f(c[0]), region.y - f(c[1]), region.z - f(c[2]))
        outside: Array | float = 0.0
        inside: Array | None = None
        for n in range(3):
            a = axes[:, n].astype(np.float32)
            q = np.abs(d[0] * a[0] + d[1] * a[1] + d[2] * a[2]) - f(h[n])
            outside = outside + np.maximum(q, 0) ** 2
            inside = q if inside is None else np.maximum(inside, q)
        assert inside is not None
        return np.broadcast_to(np.sqrt(outside) + np.minimum(inside, 0) - f(rounding), region.shape)

    return Shape(c - reach, c + reach, distance)


def union(*shapes: Shape, blend: float = 0.0) -> Shape:
    """All solids together; `blend` (mm) rounds the seams."""
    lower = np.min([s.lower for s in shapes], axis=0)
    upper = np.max([s.upper for s in shapes], axis=0)

    def distance(region: Region) -> Array:
        result = np.full(region.shape, FAR_MM, np.float32)
        for shape in shapes:
            where = region.slices(shape.lower, shape.upper, 8.0 + blend)
            if all(s.stop > s.start for s in where):
                other = shape.distance(region.part(where))
                result[where] = smooth_minimum(result[where], other, blend)
        return result

    return Shape(lower - blend / 4, upper + blend / 4, distance)


def intersection(first: Shape, *others: Shape, blend: float = 0.0) -> Shape:
    """What is in every solid; the first one gives the bounding box."""

    def distance(region: Region) -> Array:
        result = first.distance(region)
        for shape in others:
            result = -smooth_minimum(-result, -shape.distance(region), blend)
        return result

    return Shape(first.lower, first.upper, distance)


def difference(first: Shape, *others: Shape, blend: float = 0.0, gap: float = 0.0) -> Shape:
    """The first solid without the others, and without `gap` mm around them."""

    def distance(region: Region) -> Array:
        result = first.distance(region)
        for shape in others:
            result = -smooth_minimum(-result, shape.near(region) - np.float32(gap), blend)
        return result

    return Shape(first.lower, first.upper, distance)


def grown(shape: Shape, by: float) -> Shape:
    """The solid with its surface moved outwards by some mm (inwards when negative)."""
    return Shape(
        shape.lower - by, shape.upper + by, lambda region: shape.distance(region) - np.float32(by)
    )


def smooth_minimum(a: Array, b: Array, blend: float) -> Array:
    """Minimum of two distance fields with a seam rounded over `blend` mm (quadratic)."""
    if blend <= 0:
        return np.minimum(a, b)
    h = np.maximum(np.float32(blend) - np.abs(a - b), 0)
    return np.minimum(a, b) - h * h * np.float32(0.25 / blend)


@dataclass(frozen=True)
class Section:
    """A torso's cross-section at one level: half-width, front and back edge (mm)."""

    z: float
    half_width: float
    front: float
    back: float


def column(
    sections: Sequence[Section], shrink: float = 0.0, bottom: float = -1e4, top: float = 1e4
) -> Shape:
    """A column like a torso: its cross-section, a rounded box, changes with height.

    `shrink` mm moves its surface inwards. Its levels follow the straight z axis, not the warp.
    """
    z = np.array([s.z for s in sections])
    width = np.array([s.half_width for s in sections]) - shrink
    front = np.array([s.front for s in sections]) + shrink
    back = np.array([s.back for s in sections]) - shrink

    def distance(region: Region) -> Array:
        level = region.grid_z
        a, low, high = (
            np.interp(level, z, v).astype(np.float32)[:, None, None] for v in (width, front, back)
        )
        b = (high - low) / 2
        u, v = np.abs(region.x) / a, np.abs(region.y - (high + low) / 2) / b
        # Half an ellipse, half a superellipse of order 3: flatter flanks and back than an ellipse.
        u2, v2 = u * u, v * v
        r2 = np.sqrt(u2 + v2) + np.float32(1e-6)
        r3 = np.cbrt(u2 * u + v2 * v) + np.float32(1e-6)
        r = np.float32(0.5) * (r2 + r3)
        slope = np.sqrt((u / r2 / a) ** 2 + (v / r2 / b) ** 2)
        return np.broadcast_to((r - 1) / np.maximum(slope, np.float32(1e-3)), region.shape)

    lower = np.array([-width.max(), front.min(), bottom])
    upper = np.array([width.max(), back.max(), top])
    return Shape(lower, upper, distance)


def half_space(normal: Point, offset: float) -> Shape:
    """All points p with normal . p < offset (mm)."""
    n = _unit(normal).astype(np.float32)

    def distance(region: Region) -> Array:
        value = region.x * n[0] + region.y * n[1] + region.z * n[2] - np.float32(offset)
        return np.broadcast_to(value, region.shape)

    return Shape(np.full(3, -1e4), np.full(3, 1e4), distance)


def roughened(shape: Shape, by: float, grain: float, seed: int) -> Shape:
    """The solid with a lobulated surface: up to about `by` mm in or out, lobes about `grain` mm."""
    rng = np.random.default_rng(seed)
    waves = rng.normal(size=(5, 3))
    waves *= (
        (2 * np.pi / grain)
        * rng.uniform(0.6, 1.2, (5, 1))
        / np.linalg.norm(waves, axis=1, keepdims=True)
    )
    phases = rng.uniform(0, 2 * np.pi, 5)

    def distance(region: Region) -> Array:
        bumps: Array | float = 0.0
        for (a, b, c), phase in zip(
            waves.astype(np.float32), phases.astype(np.float32), strict=True
        ):
            bumps = bumps + np.sin(a * region.x + b * region.y + c * region.z + phase)
        return shape.distance(region) + np.float32(by / 2.2) * bumps

    return Shape(shape.lower - by, shape.upper + by, distance)


def spline(points: Sequence[Point] | Array, steps: int = 5) -> Array:
    """A smooth curve (Catmull-Rom) through points, `steps` pieces between neighbors; any width."""
    p = np.asarray(points, float)
    p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = [
        0.5
        * (
            2 * b
            + (c - a) * t
            + (2 * a - 5 * b + 4 * c - d) * t**2
            + (3 * b - a - 3 * c + d) * t**3
        )
        for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True)
    ]
    return np.vstack([*pieces, p[-2:-1]])
