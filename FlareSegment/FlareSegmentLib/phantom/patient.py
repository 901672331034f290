"""A random patient: habitus, positions and sizes of organs.

The frame of all coordinates: x = 0 in the midline between the kidneys, y = 0 at the abdominal
aorta's mean depth, z = 0 at the height of the kidneys' centers; mm in the average patient.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .region import Array
from .shapes import Section

# Mean and standard deviation over 50 patients (label maps of FLARE 2022, MSD pancreas scans):
# centroid (x, y, z; mm) in the frame above, and volume (ml): median, 10th and 90th percentile.
CENTROID_MM: dict[str, tuple[float, float, float]] = {
    "liver": (-74, -34, 65),
    "right_kidney": (-73, 19, -1),
    "spleen": (98, 23, 65),
    "pancreas": (11, -39, 23),
    "aorta": (8, 3, 54),
    "inferior_vena_cava": (-24, -15, 29),
    "right_adrenal_gland": (-37, 9, 57),
    "left_adrenal_gland": (36, -1, 45),
    "gallbladder": (-78, -63, 20),
    "esophagus": (10, -8, 110),
    "stomach": (37, -61, 58),
    "duodenum": (-15, -36, -4),
    "left_kidney": (73, 19, 2),
}
CENTROID_SD_MM: dict[str, tuple[float, float, float]] = {
    "liver": (5, 5, 7),
    "right_kidney": (7, 8, 8),
    "left_kidney": (7, 8, 8),
    "spleen": (7, 8, 10),
    "pancreas": (6, 6, 8),
    "gallbladder": (9, 8, 10),
    "stomach": (7, 7, 10),
    "duodenum": (5, 5, 7),
    "right_adrenal_gland": (2, 3, 4),
    "left_adrenal_gland": (2, 3, 4),
}
VOLUME_ML: dict[str, tuple[float, float, float]] = {
    "liver": (1553, 1240, 1982),
    "right_kidney": (193, 136, 262),
    "spleen": (190, 123, 384),
    "pancreas": (88, 55, 147),
    "aorta": (93, 65, 128),
    "inferior_vena_cava": (85, 64, 110),
    "right_adrenal_gland": (4, 3, 6),
    "left_adrenal_gland": (5, 3, 7),
    "gallbladder": (28, 13, 60),
    "esophagus": (16, 10, 23),
    "stomach": (318, 199, 475),
    "duodenum": (76, 56, 96),
    "left_kidney": (195, 131, 267),
}
# Centerlines (x, y, z, radius; mm): means over the same patients at each height.
AORTA_COURSE = np.array(
    [
        (2, -19, -84, 9.5),
        (2, -19, -60, 10),
        (3, -18, -40, 10),
        (4, -16, -20, 10.2),
        (5, -11, 0, 10.4),
        (5, -6, 20, 11),
        (6, 0, 40, 11.8),
        (6, 5, 60, 12.2),
        (7, 9, 80, 12.5),
        (9, 14, 100, 12.8),
        (13, 18, 120, 13),
        (16, 22, 140, 13),
        (19, 24, 170, 13.2),
        (22, 22, 215, 13.5),
        (24, 12, 250, 14),
    ],
    float,
)
CAVA_COURSE = np.array(
    [
        (-17, -13, -92, 10.5),
        (-19, -15, -80, 11),
        (-20, -14, -60, 10.3),
        (-20, -14, -40, 10.3),
        (-22, -14, -20, 10.5),
        (-24, -14, 0, 11),
        (-27, -15, 20, 11.8),
        (-28, -13, 40, 12),
        (-28, -11, 60, 12),
        (-28, -12, 80, 11.8),
        (-26, -16, 100, 12),
        (-23, -21, 120, 12.5),
        (-22, -24, 142, 13),
    ],
    float,
)
ESOPHAGUS_COURSE = np.array(
    [(20, -18, 76, 9.5), (14, -17, 86, 9), (10, -11, 100, 8.8), (8, -4, 120, 8.2),
     (4, 4, 140, 8), (3, 8, 170, 8), (3, 12, 215, 8), (2, 10, 260, 7.5), (0, 4, 320, 7.5)], float
)  # fmt: skip


@dataclass(frozen=True)
class Patient:
    """What makes one phantom differ from another; drawn by `random_patient`."""

    scale: Array
    """Body size along (x, y, z) relative to the average patient."""
    fat_mm: float
    """Thickness of the subcutaneous fat at the flank."""
    visceral: float
    """Share of room that visceral fat takes, 0 (lean) to 1."""
    wall_mm: float
    """Thickness of the muscle wall."""
    shift: dict[str, Array] = field(default_factory=dict)
    """Displacement (x, y, z; mm) of each organ."""
    size: dict[str, float] = field(default_factory=dict)
    """Linear size of each organ relative to the average."""

    @property
    def inner(self) -> tuple[Section, ...]:
        """Cross-sections of the trunk's cavity: inside of ribs and muscle wall."""
        w, f = 16 * self.visceral - 5, 44 * self.visceral - 12
        return (
            Section(-260, 118 + w, -92 - f, 62),
            Section(-170, 124 + w, -98 - f, 58),
            Section(-100, 124 + w, -98 - f, 54),
            Section(-40, 130 + w, -103 - f, 56),
            Section(20, 139 + w, -110 - 0.8 * f, 61),
            Section(70, 143 + w * 0.8, -112 - 0.5 * f, 70),
            Section(120, 141 + w * 0.5, -111 - 0.2 * f, 76),
            Section(180, 134, -103, 78),
            Section(240, 116, -88, 76),
            Section(290, 82, -66, 70),
            Section(330, 50, -50, 60),
        )

    @property
    def wall(self) -> tuple[Section, ...]:
        """Cross-sections of the outside of the muscles."""
        t = self.wall_mm
        thick = {-260: 1.2, -170: 1.2, -100: 1.1, -40: 1.1, 240: 1.6, 290: 2.6, 330: 2.8}
        return tuple(
            Section(
                s.z,
                s.half_width + t * thick.get(int(s.z), 1.0),
                s.front - t * (0.75 if s.z < 200 else 1.4),
                max(s.back + 22, 86.0) if s.z < 290 else s.back + 22,
            )
            for s in self.inner
        )

    @property
    def outline(self) -> tuple[Section, ...]:
        """Cross-sections of the skin."""
        t = self.fat_mm
        share = np.interp([s.z for s in self.wall], [-170, -60, 60, 200], [1.3, 1.25, 0.9, 0.7])
        return tuple(
            Section(s.z, s.half_width + t * k, s.front - 0.9 * t * k, s.back + 0.6 * t * k + 2)
            for s, k in zip(self.wall, share, strict=True)
        )


def random_patient(rng: np.random.Generator) -> Patient:
    """Draw a patient; spreads follow the tables above."""
    scale = np.clip(rng.normal(1.0, (0.055, 0.055, 0.05)), 0.87, 1.14)
    visceral = float(rng.beta(1.3, 1.8))
    shift = {
        key: np.clip(rng.normal(size=3), -1.6, 1.6) * 0.55 * np.array(sd)
        for key, sd in CENTROID_SD_MM.items()
    }
    size = {}
    for key, (_, low, high) in VOLUME_ML.items():
        spread = np.log(high / low) / 2.56 / 3
        size[key] = float(np.clip(np.exp(rng.normal(0, 0.8 * spread)), 0.86, 1.16))
    return Patient(
        scale=scale,
        fat_mm=float(rng.gamma(3.0, 5.0) + 5),
        visceral=visceral,
        wall_mm=float(rng.uniform(11, 17)),
        shift=shift,
        size=size,
    )
