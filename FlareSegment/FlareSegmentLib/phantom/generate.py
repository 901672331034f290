"""Make a labelled CT phantom of the abdomen: settings in, volume and labels out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..volume import Volume
from . import bowel, digestive, organs, skeleton, torso, tumors, vessels
from .attenuation import PHASES
from .canvas import Canvas, Grid, Warp
from .noise import blurred, ct_noise, smooth_field
from .patient import Patient, random_patient
from .region import Array
from .scene import Scene

THICKEST_STEP_MM = 2.6
"""Slices thicker than this are averaged from thinner ones, as a scanner's slice is."""


@dataclass(frozen=True)
class PhantomSettings:
    """One phantom; everything not given here is drawn from `seed`.

    Attributes
    ----------
    seed : the patient, the tumors and the noise.
    spacing : (k, j, i) in mm.
    bottom_mm, top_mm : field of view along the body, from the height of the kidneys' centers
        (z = 0); about -250 is the middle of the pelvis, 120 the top of the liver, 300 the neck.
    shape : exact (k, j, i) of the volume, centered on that field of view and on the body; None:
        what the field of view and the body's width and depth need.
    phase : "none", "arterial", "portal" or "late"; None: by seed.
    noise_hu : standard deviation of the noise.
    tumors : how many tumors to try to place; None: 1 to 4 by seed.
    warp_mm : strength of the random deformation of the anatomy.
    """

    seed: int = 0
    spacing: tuple[float, float, float] = (2.5, 1.5, 1.5)
    bottom_mm: float = -170.0
    top_mm: float = 170.0
    shape: tuple[int, int, int] | None = None
    phase: str | None = None
    noise_hu: float = 12.0
    tumors: int | None = None
    warp_mm: float = 9.0

    def __post_init__(self) -> None:
        if self.phase is not None and self.phase not in PHASES:
            raise ValueError(f"The phase is '{self.phase}'; it must be one of {', '.join(PHASES)}.")
        if min(self.spacing) <= 0 or self.top_mm <= self.bottom_mm:
            raise ValueError("The spacing must be positive and top_mm above bottom_mm.")


def make_phantom(settings: PhantomSettings = PhantomSettings()) -> tuple[Volume, Array]:
    """Make a CT phantom and its true labels.

    Returns
    -------
    Volume
        int16 HU (k, j, i) in canonical order: towards head, back and the patient's left.
    labels
        uint8 (k, j, i): FLARE ids 1 to 14, 0 elsewhere.
    """
    rng = np.random.default_rng(settings.seed)
    patient = random_patient(rng)
    phase = settings.phase or str(rng.choice(PHASES, p=(0.25, 0.2, 0.45, 0.1)))
    grid, repeat = _fine_grid(settings, patient)
    real_spacing = (settings.spacing[0] / repeat, settings.spacing[1], settings.spacing[2])
    lower = np.array(grid.origin)
    warp = Warp(
        rng, np.array((-230.0, -200, -280)), np.array((230.0, 150, 340)), 60.0, settings.warp_mm
    )
    scene = Scene(Canvas(grid, warp), patient, phase, rng, _anchored_field(settings.seed, grid))
    count = int(rng.integers(1, 5)) if settings.tumors is None else settings.tumors
    paint_patient(scene, count)
    hu = blurred(scene.canvas.hu, real_spacing, float(rng.uniform(0.9, 1.6)))
    if repeat > 1:
        hu = hu.reshape(-1, repeat, *hu.shape[1:]).mean(axis=1)
    shape = (grid.shape[0] // repeat, grid.shape[1], grid.shape[2])
    hu += ct_noise(rng, shape, settings.spacing, settings.noise_hu, float(rng.uniform(0.9, 1.6)))
    array = np.clip(np.rint(hu), -1024, 3071).astype(np.int16)
    labels = np.ascontiguousarray(scene.canvas.labels[repeat // 2 :: repeat])
    affine = np.diag([-settings.spacing[2], -settings.spacing[1], settings.spacing[0], 1.0])
    start = lower + np.array((0, 0, (repeat // 2) * grid.spacing[0]))
    affine[:3, 3] = np.array((-1, -1, 1)) * start * patient.scale
    return Volume(array=array, affine=affine, name=f"phantom_{settings.seed}"), labels


def paint_patient(scene: Scene, tumor_count: int) -> None:
    """Everything from the outside in; what comes later keeps off what is there already."""
    torso.paint_body(scene)
    torso.paint_chest(scene)
    skeleton.paint_skeleton(scene)
    vessels.paint_vessels(scene)
    organs.paint_kidneys(scene)
    organs.paint_adrenals(scene)
    organs.paint_liver(scene)
    organs.paint_gallbladder(scene)
    organs.paint_spleen(scene)
    digestive.paint_pancreas_and_duodenum(scene)
    digestive.paint_esophagus_and_stomach(scene)
    bowel.paint_colon(scene)
    bowel.paint_small_bowel(scene)
    tumors.paint_tumors(scene, tumor_count)
    torso.paint_table(scene)


def _fine_grid(settings: PhantomSettings, patient: Patient) -> tuple[Grid, int]:
    """The painted grid, in the average patient's mm, and how many of its slices make one."""
    repeat = 1
    while settings.spacing[0] / repeat > THICKEST_STEP_MM:
        repeat += 2
    scale = patient.scale
    spacing = tuple(s / scale[2 - n] for n, s in enumerate(settings.spacing))
    width = max(s.half_width for s in patient.outline) + 14
    front = min(s.front for s in patient.outline) - 14
    back = max(s.back for s in patient.outline) + 40
    lower = np.array([-width, front, settings.bottom_mm / scale[2]])
    upper = np.array([width, back, settings.top_mm / scale[2]])
    shape = settings.shape or tuple(
        max(8, round((upper[2 - n] - lower[2 - n]) / spacing[n])) for n in range(3)
    )
    lower = (lower + upper) / 2 - np.array(shape[::-1]) * spacing[::-1] / 2
    fine = (spacing[0] / repeat, spacing[1], spacing[2])
    origin = lower + np.array(fine[::-1]) / 2
    return Grid((shape[0] * repeat, shape[1], shape[2]), fine, tuple(origin)), repeat


def _anchored_field(seed: int, grid: Grid) -> Array:
    return smooth_field(np.random.default_rng([seed, 1]), grid.shape, grid.spacing, 7.0)
