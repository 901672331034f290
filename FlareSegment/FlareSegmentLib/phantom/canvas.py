"""The grid on which a phantom is painted, solid by solid: HU with partial volume, and labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .shapes import Array, Region, Shape

AIR_HU = -1000.0


@dataclass(frozen=True)
class Grid:
    """A straight grid: shape (k, j, i), spacing (k, j, i) in mm, origin (x, y, z) in mm of voxel 0."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]

    def axis(self, n: int) -> Array:
        """Coordinates in mm along array axis n (0 is z, 1 is y, 2 is x)."""
        return self.origin[2 - n] + self.spacing[n] * np.arange(self.shape[n])

    def affine(self) -> Array:
        """(4, 4): (i, j, k, 1) to RAS mm; the grid's own axes are L, P, S."""
        affine = np.diag([-self.spacing[2], -self.spacing[1], self.spacing[0], 1.0])
        affine[:3, 3] = -self.origin[0], -self.origin[1], self.origin[2]
        return affine


class Warp:
    """A smooth random deformation: cubic B-splines on a coarse lattice, so it costs little anywhere.

    Parameters
    ----------
    rng : where the displacements come from.
    lower, upper : box (x, y, z; mm) that is to be warped.
    knot_mm : distance of the lattice's knots; at least 5 times `amplitude_mm` keeps it a bijection.
    amplitude_mm : standard deviation of a knot's displacement.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        lower: Array,
        upper: Array,
        knot_mm: float = 60.0,
        amplitude_mm: float = 6.0,
    ) -> None:
        self.knot_mm = knot_mm
        self.origin = np.asarray(lower, float) - 2 * knot_mm
        counts = np.ceil((np.asarray(upper, float) - self.origin) / knot_mm).astype(int) + 3
        knots = rng.normal(0, amplitude_mm, (3, counts[2], counts[1], counts[0]))
        self.knots = np.clip(knots, -2 * amplitude_mm, 2 * amplitude_mm).astype(np.float32)
        self.most_mm = 2 * amplitude_mm

    def displacement(self, z: Array, y: Array, x: Array) -> Array:
        """Displacement (3: x, y, z; k, j, i) in mm on the straight axes given."""
        wz, wy, wx = (
            self._weights(axis, origin, count)
            for axis, origin, count in zip(
                (z, y, x), self.origin[::-1], self.knots.shape[1:], strict=True
            )
        )
        coarse = np.einsum("kc,ncba,jb->nkja", wz, self.knots, wy, optimize=True)
        return coarse @ wx.T

    def _weights(self, axis: Array, origin: float, count: int) -> Array:
        t = np.clip((axis - origin) / self.knot_mm, 1.0, count - 2.001)
        u = np.abs(t[:, None] - np.arange(count)[None, :])
        near = 2 / 3 - u**2 + u**3 / 2
        far = np.clip(2 - u, 0, None) ** 3 / 6
        return np.where(u < 1, near, far).astype(np.float32)


class Canvas:
    """HU (float32) and labels (uint8) of a grid, with a warp through which every solid is seen."""

    def __init__(self, grid: Grid, warp: Warp | None = None) -> None:
        self.grid = grid
        self.warp = warp
        self.hu = np.full(grid.shape, AIR_HU, np.float32)
        self.labels = np.zeros(grid.shape, np.uint8)
        self._axes = tuple(grid.axis(n) for n in range(3))
        self.edge_mm = float(np.sqrt(grid.spacing[1] * grid.spacing[2]))

    def where(self, shape: Shape) -> tuple[slice, slice, slice]:
        """The (k, j, i) slices that hold a solid and its soft edge."""
        whole = self._region((slice(0, None),) * 3, warped=False)
        return whole.slices(shape.lower, shape.upper, self.edge_mm)

    def region(self, where: tuple[slice, slice, slice]) -> Region:
        """Warped coordinates of a block."""
        return self._region(where, warped=True)

    def _region(self, where: tuple[slice, slice, slice], warped: bool) -> Region:
        z, y, x = (axis[s] for axis, s in zip(self._axes, where, strict=True))
        most = self.warp.most_mm if self.warp else 0.0
        zz, yy, xx = (
            a.astype(np.float32) for a in (z[:, None, None], y[None, :, None], x[None, None, :])
        )
        if self.warp and warped:
            dx, dy, dz = self.warp.displacement(z, y, x)
            xx, yy, zz = xx + dx, yy + dy, zz + dz
        return Region(xx, yy, zz, x, y, z, most)

    def distance(self, shape: Shape) -> tuple[tuple[slice, slice, slice], Array]:
        """The block around a solid and its signed distance there; the block may be empty."""
        where = self.where(shape)
        if any(s.stop <= s.start for s in where):
            return where, np.zeros((0, 0, 0), np.float32)
        return where, shape.distance(self.region(where))

    def paint(
        self, shape: Shape, hu: float | Array, label: int | None = None, texture: Array | None = None
    ) -> None:
        """Fill a solid with HU; `label` None leaves the labels, 0 erases them.

        `texture` is a field on the whole grid that is added to `hu` inside.
        """
        where, distance = self.distance(shape)
        if distance.size == 0:
            return
        share = coverage(distance, self.edge_mm)
        value = np.float32(hu) if np.isscalar(hu) else hu
        if texture is not None:
            value = value + texture[where]
        block = self.hu[where]
        block += share * (value - block)
        if label is not None:
            self.labels[where][distance < 0] = label


def coverage(distance: Array, edge_mm: float) -> Array:
    """The share of a voxel that a solid fills, from its signed distance (mm) at the voxel's center."""
    return np.clip(np.float32(0.5) - distance / np.float32(edge_mm), 0, 1)
