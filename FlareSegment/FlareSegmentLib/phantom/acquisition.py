"""From a painted canvas to a scan: field of view, blur, noise, whole HU."""

from __future__ import annotations

import numpy as np

from ..volume import Volume
from .canvas import Canvas, Grid, Warp
from .noise import blurred, ct_noise
from .shapes import Point

Spacing = tuple[float, float, float]
DEFAULT_SPACING: Spacing = (3.0, 2.0, 2.0)
# Plain tissues of the volumes without abdomen, HU.
FAT_HU, MUSCLE_HU, SKIN_HU, CORTEX_HU, MARROW_HU = -100.0, 58.0, -20.0, 1150.0, 250.0
WATER_HU, AIR_HU = 5.0, -1000.0


def field_of_view(
    rng: np.random.Generator, spacing: Spacing, lower: Point, upper: Point, warp_mm: float = 8.0
) -> Canvas:
    """A canvas over a box (x, y, z; mm), its field of view moved a little at random."""
    low = np.asarray(lower, float) + rng.uniform(-8, 8, 3)
    high = np.asarray(upper, float) + rng.uniform(-8, 8, 3)
    shape = [max(8, round((high[2 - n] - low[2 - n]) / spacing[n])) for n in range(3)]
    grid = Grid((shape[0], shape[1], shape[2]), spacing, (low[0], low[1], low[2]))
    return Canvas(grid, Warp(rng, low, high, knot_mm=55.0, amplitude_mm=warp_mm))


def acquired(canvas: Canvas, rng: np.random.Generator, noise_hu: float, name: str) -> Volume:
    """The canvas as a scanner would give it: blurred, noisy, whole HU in [-1024, 3071], int16."""
    spacing = canvas.grid.spacing
    kernel = float(rng.uniform(0.9, 1.7))
    hu = blurred(canvas.hu, spacing, kernel)
    hu += ct_noise(rng, canvas.grid.shape, spacing, noise_hu, kernel)
    array = np.clip(np.rint(hu), -1024, 3071).astype(np.int16)
    return Volume(array=array, affine=canvas.grid.affine(), name=name)
