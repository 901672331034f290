"""Which network labels distorted scans, and how they are distorted, as data."""

from __future__ import annotations

from dataclasses import dataclass, field

from .crop_settings import AugmentationSettings

LARGEST = (224, 288)
"""Voxels (j, i) that are kept around the organs of a scan."""

DISTORTION = AugmentationSettings(
    spatial=1.0,
    elastic_mm=7.0,
    contrast=0.2,
    noise=35.0,
    noise_chance=0.3,
    noise_grain=2.0,
    gamma=1.4,
    low_resolution=0.3,
    blur=0.3,
    recolor=0.5,
    recolor_hu=30.0,
)


@dataclass(frozen=True)
class OnnxSettings:
    """What an ONNX file does not say of the network in it.

    Attributes
    ----------
    spacing
        Grid (k, j, i) mm the network works on.
    intensity
        Lowest and highest HU, mean and scale: it sees ``(clip(HU) - mean) / scale``.
    targets
        Target id of each channel after the background's.
    """

    spacing: tuple[float, ...] = ()
    intensity: tuple[float, ...] = ()
    targets: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.spacing and not self.intensity and not self.targets:
            return
        if len(self.spacing) != 3 or len(self.intensity) != 4 or not self.targets:
            raise ValueError(
                "spacing needs 3 numbers (k, j, i mm), intensity 4 (lowest, highest, mean, scale), "
                "and targets the ids of the channels after the background's"
            )


@dataclass(frozen=True)
class TaughtSettings:
    """Distorted scans that a teacher network labels, as further training cases.

    Attributes
    ----------
    teacher
        A bundle's folder, the name of an available model, or an ONNX file; files are looked for
        relative to the dataset unless the path is absolute. Empty for no such cases.
    onnx
        What an ONNX file does not say.
    cases
        Number of distorted scans.
    length_mm
        Shortest and longest extent along the body that is cut out of a scan.
    blended, mixed
        Share of the cases in which another scan shines through everywhere, and in which it takes
        the place of parts, with smooth borders.
    coarse
        Share of the cases with larger voxels in all three axes.
    distortion
        Of form and intensity. The labels are the teacher's for what comes out, so it may be
        stronger than what labels could follow.
    seed
        Other cases with another one.
    """

    teacher: str = ""
    onnx: OnnxSettings = field(default_factory=OnnxSettings)
    cases: int = 300
    length_mm: tuple[float, float] = (160.0, 260.0)
    blended: float = 0.08
    mixed: float = 0.12
    coarse: float = 0.3
    distortion: AugmentationSettings = DISTORTION
    seed: int = 0

    def __post_init__(self) -> None:
        if self.cases < 0:
            raise ValueError("cases must not be negative")
        if not 0 < self.length_mm[0] <= self.length_mm[1]:
            raise ValueError("length_mm must be a shortest and a longest length")
        if self.blended < 0 or self.mixed < 0 or self.blended + self.mixed > 1:
            raise ValueError("blended and mixed are shares; together they must not exceed 1")
