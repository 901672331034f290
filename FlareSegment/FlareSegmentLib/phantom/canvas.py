"""The grid on which a phantom is painted, solid by solid: HU with partial volume, and labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .region import Array, Region
from .shapes import FAR_MM, Shape

AIR_HU = -1000.0


@dataclass(frozen=True)
class Grid:
    """A straight grid: shape and spacing (k, j, i; mm), origin (x, y, z; mm) of voxel 0."""

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
    """A smooth random deformation: cubic B-splines on a coarse lattice, so it costs little.

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


@dataclass(frozen=True, eq=False)
class Solid:
    """A shape on a canvas: the block around it, its coordinates, its signed distance (mm) there."""

    where: tuple[slice, slice, slice]
    region: Region
    distance: Array

    @property
    def empty(self) -> bool:
        """Whether no voxel's center lies inside."""
        return not bool((self.distance < 0).any())


@dataclass(frozen=True, eq=False)
class Room:
    """A space that solids may have to stay in, as a field of distances (mm) on the whole grid."""

    distance: Array
    inset: float = 0.0
    """How far (mm) to keep off the space's boundary."""


class Canvas:
    """HU (float32) and labels (uint8) of a grid, with a warp through which every solid is seen.

    `occupied` is the signed distance (mm) to all solids placed so far, so that a later organ can
    keep off the earlier ones; far from them it is `FAR_MM`.
    """

    def __init__(self, grid: Grid, warp: Warp | None = None) -> None:
        self.grid = grid
        self.warp = warp
        self.hu = np.full(grid.shape, AIR_HU, np.float32)
        self.labels = np.zeros(grid.shape, np.uint8)
        self.occupied = np.full(grid.shape, FAR_MM, np.float32)
        self._axes = tuple(grid.axis(n) for n in range(3))
        self.edge_mm = float(np.sqrt(grid.spacing[1] * grid.spacing[2]))

    def region(self, where: tuple[slice, slice, slice], warped: bool = True) -> Region:
        """Warped coordinates of a block."""
        z, y, x = (axis[s] for axis, s in zip(self._axes, where, strict=True))
        most = self.warp.most_mm if self.warp else 0.0
        zz, yy, xx = (
            a.astype(np.float32) for a in (z[:, None, None], y[None, :, None], x[None, None, :])
        )
        if self.warp and warped:
            dx, dy, dz = self.warp.displacement(z, y, x)
            xx, yy, zz = xx + dx, yy + dy, zz + dz
        return Region(xx, yy, zz, x, y, z, most)

    def field(self, shape: Shape) -> Array:
        """Signed distance (mm) to a shape on the whole grid."""
        everywhere = self.region((slice(0, None),) * 3)
        return np.ascontiguousarray(shape.distance(everywhere), np.float32)

    def flood(self, distance: Array, hu: float, texture: Array | None = None) -> None:
        """Fill where a field of distances (mm) on the whole grid is negative."""
        where = (slice(0, None), slice(0, None), slice(0, None))
        self.fill(Solid(where, self.region(where, warped=False), distance), hu, None, texture)

    def solid(
        self, shape: Shape, gap: float | None = None, within: Room | None = None
    ) -> Solid | None:
        """A shape on this grid, or None when no part of its box is in the field of view.

        Parameters
        ----------
        gap : keep that many mm off all solids placed so far; None: do not care.
        within : stay in this space.
        """
        whole = self.region((slice(0, None),) * 3, warped=False)
        where = whole.slices(shape.lower, shape.upper, 2 + self.edge_mm)
        if any(s.stop <= s.start for s in where):
            return None
        region = self.region(where)
        distance = shape.distance(region)
        if within is not None:
            distance = np.maximum(distance, within.distance[where] + np.float32(within.inset))
        if gap is not None:
            distance = np.maximum(distance, np.float32(gap) - self.occupied[where])
        return Solid(where, region, np.asarray(distance, np.float32))

    def claim(self, solid: Solid | None) -> None:
        """Mark a solid's place as occupied."""
        if solid is not None:
            block = self.occupied[solid.where]
            np.minimum(block, solid.distance, out=block)

    def fill(
        self,
        solid: Solid | None,
        hu: float,
        label: int | None = None,
        texture: Array | None = None,
        depth: float = 0.0,
    ) -> None:
        """Fill a solid, or what of it lies deeper than `depth` mm, with HU.

        `label` None leaves the labels as they are, 0 erases them. `texture` is a field of HU on
        the whole grid that is added.
        """
        if solid is None:
            return
        distance = solid.distance + np.float32(depth) if depth else solid.distance
        share = coverage(distance, self.edge_mm)
        block = self.hu[solid.where]
        if texture is None:
            block += share * (np.float32(hu) - block)
        else:
            block += share * (np.float32(hu) + texture[solid.where] - block)
        if label is not None:
            self.labels[solid.where][distance < 0] = label

    def part(self, solid: Solid | None, shape: Shape, depth: float = 0.0) -> Solid | None:
        """What of a solid lies in a shape and deeper than `depth` mm under the solid's surface."""
        if solid is None:
            return None
        local = solid.region.slices(shape.lower, shape.upper, 2 + self.edge_mm)
        if any(s.stop <= s.start for s in local):
            return None
        region = solid.region.part(local)
        inner = np.maximum(shape.distance(region), solid.distance[local] + np.float32(depth))
        where = tuple(
            slice(outer.start + s.start, outer.start + s.stop)
            for outer, s in zip(solid.where, local, strict=True)
        )
        return Solid((where[0], where[1], where[2]), region, inner)

    def paint(
        self, shape: Shape, hu: float, label: int | None = None, texture: Array | None = None
    ) -> None:
        """Fill a shape with HU, whatever is there already; see `fill`."""
        self.fill(self.solid(shape), hu, label, texture)


def coverage(distance: Array, edge_mm: float) -> Array:
    """The share of a voxel that a solid fills, from its distance (mm) at the voxel's center."""
    return np.clip(np.float32(0.5) - distance / np.float32(edge_mm), 0, 1)
