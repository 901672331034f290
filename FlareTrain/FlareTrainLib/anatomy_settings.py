"""How real scans are deformed towards other patients' anatomy, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AnatomySettings:
    """How real scans are deformed towards other patients' anatomy.

    Attributes
    ----------
    shapes
        Folder with label maps of other patients (FLARE ids, no scans needed), relative to the
        dataset unless it is absolute; empty for none.
    cases
        Number of deformed scans; each scan gets about the same number of other anatomies.
    needed
        Target ids a scan must show, each with `least_ml`, to be deformed.
    least_ml
        Volume (ml) from which a needed organ counts as in view.
    strength
        Share of the way towards the other anatomy; folds lessen it by themselves.
    steps
        Steps of the registration.
    node_mm
        Distance of the nodes that carry the displacement.
    smoothing
        Weight of the displacement's smoothness.
    stiffness
        Weight that holds bones and skin in place.
    seed
        Which scan gets which anatomies.
    """

    shapes: str = ""
    cases: int = 60
    needed: tuple[int, ...] = (1, 2, 4, 13)
    least_ml: float = 15.0
    strength: float = 1.0
    steps: int = 60
    node_mm: float = 10.0
    smoothing: float = 1.0
    stiffness: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.cases < 0 or self.steps < 1:
            raise ValueError("cases must not be negative, and steps must be at least one")
        if not 0 < self.strength <= 1:
            raise ValueError("strength must be above 0 and at most 1")
        if self.node_mm <= 0:
            raise ValueError("node_mm must be above 0")
