"""How tumors look on CT, drawn at random: gray level against the host, edge, rim, centre.

The numbers follow what radiologists describe and what annotated scans show: in portal venous
scans liver metastases lie 35 to 60 HU below the liver and the gray level changes over 4 to 6 mm
across the outline that people draw.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

LIVER, STOMACH = 1, 11

TYPICAL_HU = 110.0
"""Liver in the portal venous phase."""

CYSTS = {1: 0.04, 2: 0.3, 13: 0.3, 4: 0.1}
"""Share of cysts by host; many in the liver teach that the gallbladder is one."""

BRIGHT = 0.08
"""Share of tumors of the liver that are brighter than it."""

ENHANCED_HU = 80
"""An organ brighter than this has contrast agent in it."""


@dataclass(frozen=True)
class Look:
    """Appearance of one tumor.

    Attributes
    ----------
    level_hu
        HU of its tissue.
    edge_mm
        Distance over which host turns into tumor.
    rim_hu, rim_mm
        Enhancement around it, and its thickness; 0 HU for none.
    core_hu
        Change of HU towards the centre (necrosis); 0 for none.
    texture_hu
        Standard deviation of its own texture.
    calcified_hu
        Brightness of specks of chalk in it; 0 for none.
    """

    level_hu: float
    edge_mm: float
    rim_hu: float = 0.0
    rim_mm: float = 1.5
    core_hu: float = 0.0
    texture_hu: float = 0.0
    calcified_hu: float = 0.0


def draw_look(
    host: int,
    level: float,
    radius: float,
    rng: np.random.Generator,
    drop_hu: tuple[float, float],
) -> Look:
    """Draw what a tumor of `radius` mm looks like in an organ of `level` HU.

    Parameters
    ----------
    drop_hu
        Smallest and largest fall of intensity in an organ of `TYPICAL_HU`.
    """
    kind = rng.random()
    if host == STOMACH:
        # Its label holds wall, food and air alike: only an own level makes sense.
        return Look(float(rng.uniform(35, 95)), _edge(radius, rng), texture_hu=4.0)
    if kind < CYSTS.get(host, 0.1):
        return _cyst(rng)
    if host == LIVER and kind > 1 - BRIGHT:
        return _bright(level, radius, rng)
    look = _solid(level, radius, rng, drop_hu)
    # Towards fat, into which tumors of other organs bulge, the border is sharp.
    return look if host == LIVER else replace(look, edge_mm=min(look.edge_mm, 3.0))


def _edge(radius: float, rng: np.random.Generator) -> float:
    """Width of the transition in mm: some sharp, most blurred, never wider than the tumor."""
    return float(min(rng.uniform(1.5, 7.0), 1.2 * radius))


def _cyst(rng: np.random.Generator) -> Look:
    """Water, homogeneous, sharp."""
    return Look(float(rng.uniform(-5, 22)), float(rng.uniform(1.0, 2.0)))


def _bright(level: float, radius: float, rng: np.random.Generator) -> Look:
    """Brighter than its host: hemangioma, hepatocellular carcinoma in the arterial phase."""
    return Look(
        level + float(rng.uniform(15, 60)), _edge(radius, rng), texture_hu=float(rng.uniform(0, 8))
    )


def _solid(
    level: float, radius: float, rng: np.random.Generator, drop_hu: tuple[float, float]
) -> Look:
    """Darker than its host by a share of the host's HU; rim, dead centre and chalk in some."""
    base = max(level, 40.0)
    enhanced = level > ENHANCED_HU
    rim = rng.random() < (0.35 if enhanced else 0.0)
    dead = rng.random() < 0.4
    return Look(
        level_hu=level - base / TYPICAL_HU * float(rng.uniform(*drop_hu)),
        edge_mm=_edge(radius, rng),
        rim_hu=float(rng.uniform(5, 25)) if rim else 0.0,
        rim_mm=float(rng.uniform(1.0, 2.5)),
        core_hu=-float(rng.uniform(0.05, 0.3)) * base if dead else 0.0,
        texture_hu=float(rng.uniform(0, 9)),
        calcified_hu=float(rng.uniform(80, 300)) if rng.random() < 0.04 else 0.0,
    )
