"""A block of voxels and the (warped) position of each, in mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Region:
    """Coordinates (mm, float32) of a block of voxels; the three arrays broadcast to (k, j, i).

    `grid_x`, `grid_y`, `grid_z` are the block's straight axes, `warp_mm` the most by which the
    (warped) coordinates `x`, `y`, `z` differ from them.
    """

    x: Array
    y: Array
    z: Array
    grid_x: Array
    grid_y: Array
    grid_z: Array
    warp_mm: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """(k, j, i) of the block."""
        return len(self.grid_z), len(self.grid_y), len(self.grid_x)

    def slices(self, lower: Array, upper: Array, margin: float) -> tuple[slice, slice, slice]:
        """The (k, j, i) slices of this block that hold a box (x, y, z; mm) and a margin."""
        margin = margin + self.warp_mm
        found = []
        for axis, low, high in zip(
            (self.grid_z, self.grid_y, self.grid_x), lower[::-1], upper[::-1], strict=True
        ):
            start = int(np.searchsorted(axis, low - margin, side="left"))
            stop = int(np.searchsorted(axis, high + margin, side="right"))
            found.append(slice(start, max(start, stop)))
        return found[0], found[1], found[2]

    def part(self, where: tuple[slice, slice, slice]) -> Region:
        """The block cut to slices (k, j, i)."""
        k, j, i = where

        def cut(field: Array) -> Array:
            return field[
                k if field.shape[0] > 1 else slice(None),
                j if field.shape[1] > 1 else slice(None),
                i if field.shape[2] > 1 else slice(None),
            ]

        return Region(
            cut(self.x),
            cut(self.y),
            cut(self.z),
            self.grid_x[i],
            self.grid_y[j],
            self.grid_z[k],
            self.warp_mm,
        )
