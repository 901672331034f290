"""How crops are drawn, augmented and given tumors, as data; reading it needs no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class SamplingSettings:
    """How crops are drawn.

    Attributes
    ----------
    patches
        Crop sizes (k, j, i) voxels; one is drawn per batch. Flat ones teach scans that show a
        few centimetres only.
    patch_weights
        Relative frequencies of the sizes; empty for equal ones.
    foreground
        Probability that the crop is centred on a labelled voxel.
    class_balanced
        Draw a class first, then a scan that has it, so that rare organs are seen as often;
        otherwise draw the scan first.
    tumor_bias
        Probability that such a voxel is a tumor's where there is one (P3's code: 0.8).
    negative
        Probability of a scan that holds none of the targets, if there is one.
    taught
        Probability of a case with soft labels, labelled by a teacher (`taught_cases.py`); None for
        their share of the cases.
    by_type
        Draw all crops of a batch from scans with the same annotated targets (P3).
    full_fraction
        Share of batches from scans with all organs annotated; None for their share of scans.
    full_first
        Batches at the start from such scans only (P3's code: 150 of 1200 epochs).
    """

    patches: tuple[tuple[int, int, int], ...] = (
        (80, 128, 144),
        (64, 144, 160),
        (48, 144, 208),
        (32, 160, 224),
        (16, 192, 240),
    )
    patch_weights: tuple[float, ...] = (0.4, 0.25, 0.17, 0.12, 0.06)
    foreground: float = 0.65
    class_balanced: bool = True
    tumor_bias: float = 0.0
    negative: float = 0.06
    taught: float | None = None
    by_type: bool = False
    full_fraction: float | None = None
    full_first: int = 0

    def __post_init__(self) -> None:
        if not self.patches:
            raise ValueError("patches is empty, but must hold at least one size")
        if self.patch_weights and len(self.patch_weights) != len(self.patches):
            raise ValueError(
                f"there are {len(self.patches)} patches but {len(self.patch_weights)} "
                "patch_weights: give as many, or none"
            )


@dataclass(frozen=True)
class AugmentationSettings:
    """Strengths and probabilities; intensities are in HU. Left and right are never exchanged.

    Attributes
    ----------
    spatial
        Probability of rotation, scaling and elastic deformation; a plain crop otherwise.
    rotation
        Largest rotation about each axis, degrees.
    scale
        Largest factor of enlargement or reduction, per axis up to a fifth of it more.
    elastic_mm
        Largest standard deviation of the displacement field.
    shift, contrast, noise
        Brightness shift (HU), contrast factor away from one, noise standard deviation (HU).
    noise_chance, noise_grain
        Probability of noise, and the largest size of its grains in voxels, per axis: scans with
        larger voxels than the working grid's have it; 1 for white noise only.
    gamma
        Largest exponent, or its inverse, over the soft-tissue window; 1 for none.
    low_resolution
        Probability of simulating thick slices (up to 6 mm).
    blur
        Probability of Gaussian smoothing (soft kernels).
    recolor, recolor_hu
        Probability and standard deviation of an offset per organ (contrast phases).
    fill_bowel, fill_stomach
        Probability of filling gas in stomach and bowel, and of another content of the stomach; see
        `bowel_filling`.
    calm_from, calm
        From this share of the steps on all probabilities are multiplied by `calm`: what is learned
        last is scans as they are. 1 for never.
    """

    spatial: float = 0.6
    rotation: float = 12.0
    scale: float = 1.25
    elastic_mm: float = 6.0
    shift: float = 35.0
    contrast: float = 0.15
    noise: float = 30.0
    noise_chance: float = 0.35
    noise_grain: float = 1.0
    gamma: float = 1.0
    low_resolution: float = 0.25
    blur: float = 0.15
    recolor: float = 0.25
    recolor_hu: float = 25.0
    fill_bowel: float = 0.0
    fill_stomach: float = 0.0
    calm_from: float = 1.0
    calm: float = 0.4

    def at(self, share: float) -> AugmentationSettings:
        """Give the settings after this share of the steps."""
        if self.calm_from >= 1 or share < self.calm_from:
            return self
        names = ("spatial", "low_resolution", "blur", "recolor", "fill_bowel", "fill_stomach")
        calmer = {name: getattr(self, name) * self.calm for name in names}
        return replace(self, calm_from=1.0, **calmer)


@dataclass(frozen=True)
class TumorSettings:
    """How synthetic tumors are drawn.

    Attributes
    ----------
    probability
        Probability that a crop gets tumors.
    hosts
        Target ids of organs that may hold one: liver, kidneys, pancreas. Not the stomach: a drawn
        mass looks like wall or food, and teaches that the duodenum is tumor.
    host_weights
        Relative frequency of the hosts.
    radius_mm
        Smallest and largest mean radius; log-uniform.
    largest_elsewhere_mm
        Largest mean radius outside the liver.
    drop_hu
        Smallest and largest fall of intensity of solid tumors in an organ of 110 HU; less in a
        darker organ, more in a brighter one, in proportion.
    most
        Largest number of tumors in a crop.
    """

    probability: float = 0.4
    hosts: tuple[int, ...] = (1, 2, 13, 4)
    host_weights: tuple[float, ...] = (0.6, 0.15, 0.15, 0.1)
    radius_mm: tuple[float, float] = (3.0, 32.0)
    largest_elsewhere_mm: float = 20.0
    drop_hu: tuple[float, float] = (15.0, 75.0)
    most: int = 6


@dataclass(frozen=True)
class CutMixSettings:
    """Context-aware tumor objects and CutMix (P3, section 2.2).

    The paper gives the margins in voxels of its coarse grid, (2.5, 1.5, 1.5) mm, and does not
    say whether per side: here they are millimetres per side, half of the paper's extension.

    Attributes
    ----------
    probability
        Probability that a crop without labelled tumors gets an object (P3: 1); 0 for none.
    margin_mm
        Smallest and largest margin along k, and along j and i, drawn per object.
    smallest_ml
        Tumors smaller than this are not taken (P3's code: 50 voxels).
    match_host
        Probability of placing an object in the organ it came from, where that is in the crop;
        anywhere within the box around all organs otherwise.
    feather_mm
        Width over which the image, not the labels, fades into the scan; 0 is P3's hard border.
    tumor_free
        Whether scans known to hold no tumor get objects too, not only those not annotated.
    """

    probability: float = 0.0
    margin_mm: tuple[tuple[float, float], tuple[float, float]] = ((10.0, 20.0), (18.0, 24.0))
    smallest_ml: float = 0.2
    match_host: float = 0.5
    feather_mm: float = 4.0
    tumor_free: bool = True
