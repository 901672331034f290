"""What every painter of the phantom shares: canvas, patient, contrast phase, random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .attenuation import attenuation
from .canvas import Canvas, Room, Solid
from .patient import CENTROID_MM, Patient
from .region import Array
from .shapes import Point, Shape, column, ellipsoid, half_space, smooth_minimum, union


@dataclass
class Scene:
    """A phantom in the making."""

    canvas: Canvas
    patient: Patient
    phase: str
    rng: np.random.Generator
    grain: Array
    """Smooth field (k, j, i; standard deviation 1) that makes parenchyma uneven."""
    solids: dict[str, Solid] = field(default_factory=dict)
    """The organs painted so far, by target key."""
    pancreas_bed: Shape | None = None
    """The pancreas without its lobules, which the stomach lies on."""

    def hu(self, tissue: str) -> float:
        """HU of a tissue in this phase, a few percent off in every patient."""
        return attenuation(tissue, self.phase) * float(self.rng.normal(1.0, 0.05))

    def moved(self, key: str, points: Sequence[Point] | Array) -> Array:
        """Points (x, y, z) of an organ, scaled about its centroid and shifted for this patient."""
        center = np.array(CENTROID_MM[key])
        shift = self.patient.shift.get(key, np.zeros(3))
        return center + (np.asarray(points, float) - center) * self.patient.size[key] + shift

    def sized(self, key: str, radii: Sequence[float] | Array | float) -> Array:
        """Radii (mm) of an organ, scaled as in this patient."""
        return np.asarray(radii, float) * self.patient.size[key]

    def organ(
        self,
        key: str,
        label: int,
        shape: Shape,
        hu: float,
        gap: float | None = 1.0,
        within: Room | None = None,
        unevenness: float = 3.0,
    ) -> Solid | None:
        """Paint a target, keep it for later and mark its place as occupied."""
        solid = self.canvas.solid(shape, gap, within)
        if solid is None or solid.empty:
            return None
        self.canvas.fill(solid, hu, label, self.grain * np.float32(unevenness))
        self.canvas.claim(solid)
        self.solids[key] = solid
        return solid

    @cached_property
    def wall_field(self) -> Array:
        """Distance (mm) to the outside of the muscle wall, on the whole grid."""
        return self.canvas.field(column(self.patient.wall))

    @cached_property
    def cavity_field(self) -> Array:
        """Distance (mm) to the inside of ribs and muscle wall, on the whole grid."""
        return self.canvas.field(column(self.patient.inner))

    @cached_property
    def dome_field(self) -> Array:
        """Distance (mm) to the diaphragm, negative below it, on the whole grid."""
        return self.canvas.field(diaphragm())

    @cached_property
    def _abdomen_field(self) -> Array:
        return -smooth_minimum(-self.cavity_field, -self.dome_field, 10.0)

    def wall(self, inset: float = 0.0) -> Room:
        """The body without skin and subcutaneous fat, `inset` mm off its boundary."""
        return Room(self.wall_field, inset)

    def cavity(self, inset: float = 0.0) -> Room:
        """Inside of ribs and muscle wall, `inset` mm off them."""
        return Room(self.cavity_field, inset)

    def abdomen(self, inset: float = 0.0) -> Room:
        """What lies below the diaphragm's domes, `inset` mm off them and off the wall."""
        return Room(self._abdomen_field, inset)


def diaphragm() -> Shape:
    """The space below the diaphragm: right dome, lower left dome, saddle under the heart."""
    return union(
        ellipsoid((-66, -24, 22), (80, 92, 103)),
        ellipsoid((68, -15, 16), (77, 94, 86)),
        ellipsoid((0, -45, 20), (60, 66, 74)),
        half_space((0, 0.35, 1.0), 30.0),
        blend=14,
    )
