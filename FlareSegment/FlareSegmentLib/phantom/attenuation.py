"""What tissues measure in HU, by contrast phase.

The values are rounded medians of public scans (CHAOS, TCIA collections, LiTS; organs of a
reference segmentation) and lie within the ranges that radiology teaches: unenhanced liver 50-65,
spleen 45-55, kidney 30-36; liver about 50 HU more in the portal venous phase; the corticomedullary
kidney of the arterial phase (Bae, Radiology 2010;256:32-61, for the course of enhancement).
"""

from __future__ import annotations

PHASES = ("none", "arterial", "portal", "late")

FAT_HU, WATER_HU, AIR_HU, LUNG_HU = -103.0, 3.0, -1000.0, -850.0
CORTICAL_BONE_HU, SPONGY_BONE_HU, DISC_HU, SKIN_HU = 850.0, 190.0, 85.0, -10.0

#                            none  arterial portal late
_TABLE: dict[str, tuple[float, float, float, float]] = {
    "liver": (58, 76, 112, 92),
    "spleen": (49, 140, 122, 96),
    "pancreas": (40, 100, 96, 78),
    "renal_cortex": (34, 215, 205, 150),
    "renal_medulla": (30, 85, 172, 160),
    "renal_pelvis": (8, 8, 15, 420),
    "aorta": (41, 300, 150, 112),
    "inferior_vena_cava": (41, 82, 132, 110),
    "renal_vein": (41, 150, 145, 112),
    "portal_vein": (41, 105, 165, 112),
    "hepatic_vein": (38, 62, 158, 108),
    "adrenal_gland": (22, 62, 80, 58),
    "gallbladder": (12, 12, 13, 14),
    "esophagus": (34, 52, 58, 50),
    "stomach_wall": (42, 92, 88, 72),
    "bowel_wall": (40, 88, 92, 72),
    "muscle": (54, 60, 64, 62),
    "heart_wall": (42, 100, 105, 90),
    "lung_vessel": (40, 200, 140, 100),
}


def attenuation(tissue: str, phase: str) -> float:
    """Mean HU of a tissue in a contrast phase of `PHASES`.

    Raises
    ------
    KeyError, ValueError : unknown tissue or phase.
    """
    return _TABLE[tissue][PHASES.index(phase)]
