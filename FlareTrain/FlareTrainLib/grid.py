"""The grid a network works on, as data."""

from __future__ import annotations

from dataclasses import dataclass, field

from .anatomy_settings import AnatomySettings
from .teacher_settings import TaughtSettings


@dataclass(frozen=True)
class PackSettings:
    """The grid a network works on.

    Attributes
    ----------
    spacing
        Working spacing (k, j, i) mm.
    fixed_size
        Voxels (k, j, i) of every case instead of a spacing (P4: 160 in each axis), or empty.
    crop_margin_mm
        With a value, cases are cropped to the labeled organs and this margin (k, j, i) mm: what
        the second of two stages sees. Empty keeps the whole scan.
    negatives
        Synthetic volumes without abdomen added, of each of three kinds.
    anatomy
        Real scans deformed towards other patients' anatomies and added; none by default.
    taught
        Distorted scans labelled by a teacher network and added; none by default.
    """

    spacing: tuple[float, float, float] = (2.0, 1.5, 1.5)
    fixed_size: tuple[int, ...] = ()
    crop_margin_mm: tuple[float, ...] = ()
    negatives: int = 0
    anatomy: AnatomySettings = field(default_factory=AnatomySettings)
    taught: TaughtSettings = field(default_factory=TaughtSettings)

    def __post_init__(self) -> None:
        for name in ("fixed_size", "crop_margin_mm"):
            if len(getattr(self, name)) not in (0, 3):
                raise ValueError(f"{name} must have three values (k, j, i), or none")
        if self.fixed_size and self.negatives:
            raise ValueError("negatives are packed at a spacing; leave them out with fixed_size")
        if self.fixed_size and self.anatomy.shapes:
            raise ValueError("scans are deformed at a spacing; leave anatomy out with fixed_size")
        if self.fixed_size and self.taught.teacher:
            raise ValueError("scans are taught at a spacing; leave taught out with fixed_size")
