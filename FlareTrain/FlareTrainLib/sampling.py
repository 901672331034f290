"""Draws training crops: which scan, where, how large."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .augmentation import (
    AugmentationSettings,
    change_intensity,
    crop,
    random_displacement,
    random_matrix,
    warp,
)
from .packing import IGNORE, PackedCase, read_case, read_index
from .synthetic_tumors import TumorSettings, add_tumors

logger = logging.getLogger(__name__)

VOXELS_PER_CLASS = 4000
"""Positions remembered per class and scan for foreground sampling."""


@dataclass(frozen=True)
class SamplingSettings:
    """How crops are drawn.

    Attributes
    ----------
    patches
        Crop sizes (k, j, i) voxels; one is drawn per step. Flat ones teach scans that show a
        few centimetres only.
    patch_weights
        Relative frequencies of the sizes.
    foreground
        Probability that the crop is centred on a voxel of a uniformly drawn class.
    negative
        Probability of a scan that holds none of the targets, if there is one.
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
    negative: float = 0.06


@dataclass
class LoadedCase:
    """A packed case in memory with positions of each class."""

    case: PackedCase
    image: Tensor
    labels: Tensor
    positions: dict[int, np.ndarray] = field(default_factory=dict)


@dataclass
class Sample:
    """One training crop: (k, j, i) float HU, int64 labels, and whether tumors are unknown."""

    image: Tensor
    labels: Tensor
    tumor_unknown: bool


def load_cases(folder: Path, device: torch.device | str = "cpu") -> list[LoadedCase]:
    """All packed cases of `folder`, kept on `device`."""
    cases, _ = read_index(folder)
    loaded = []
    rng = np.random.default_rng(0)
    for case in cases:
        image, labels = read_case(folder, case.name)
        positions = {}
        for label in np.unique(labels):
            if label in (0, IGNORE):
                continue
            flat = np.flatnonzero(labels.ravel() == label)
            flat = rng.choice(flat, min(len(flat), VOXELS_PER_CLASS), replace=False)
            positions[int(label)] = np.stack(np.unravel_index(flat, labels.shape), axis=1)
        loaded.append(
            LoadedCase(
                case,
                torch.from_numpy(image).to(device),
                torch.from_numpy(labels).to(device),
                positions,
            )
        )
    return loaded


class CropSampler:
    """Endless source of augmented crops; all randomness comes from the generator passed in."""

    def __init__(
        self,
        cases: list[LoadedCase],
        spacing: tuple[float, ...],
        sampling: SamplingSettings = SamplingSettings(),
        augmentation: AugmentationSettings = AugmentationSettings(),
        tumors: TumorSettings = TumorSettings(),
    ) -> None:
        self.scans = [c for c in cases if c.case.kind == "scan"]
        self.negatives = [c for c in cases if c.case.kind == "negative"]
        self.spacing = spacing
        self.sampling = sampling
        self.augmentation = augmentation
        self.tumors = tumors
        # A class is drawn first, then a scan that has it: rare organs are seen as often.
        self.classes = sorted({label for c in self.scans for label in c.positions})

    def draw(self, rng: np.random.Generator) -> Sample:
        """One augmented crop."""
        settings = self.sampling
        weights = np.asarray(settings.patch_weights)
        size = settings.patches[int(rng.choice(len(weights), p=weights / weights.sum()))]
        if self.negatives and rng.random() < settings.negative:
            loaded = self.negatives[int(rng.integers(len(self.negatives)))]
            centre = rng.uniform(0, 1, 3) * loaded.image.shape
        else:
            loaded, centre = self._draw_scan(rng, size)
        image, labels = self._cut(loaded, centre, size, rng)
        tumor_unknown = loaded.case.tumor == "unknown"
        if loaded.case.kind == "scan" and rng.random() < self.tumors.probability:
            image, labels, count = add_tumors(image, labels, rng, self.spacing, self.tumors)
            # With a drawn tumor in it the crop counts as labelled: P3's rule for CutMix.
            tumor_unknown = tumor_unknown and count == 0
        image = change_intensity(image, labels, rng, self.augmentation, self.spacing)
        return Sample(image, labels, tumor_unknown)

    def _draw_scan(
        self, rng: np.random.Generator, size: tuple[int, int, int]
    ) -> tuple[LoadedCase, np.ndarray]:
        if self.classes and rng.random() < self.sampling.foreground:
            label = int(rng.choice(self.classes))
            holders = [c for c in self.scans if label in c.positions]
            loaded = holders[int(rng.integers(len(holders)))]
            position = loaded.positions[label][int(rng.integers(len(loaded.positions[label])))]
            jitter = rng.uniform(-0.3, 0.3, 3) * size
            return loaded, position + jitter
        loaded = self.scans[int(rng.integers(len(self.scans)))]
        return loaded, rng.uniform(0.05, 0.95, 3) * loaded.image.shape

    def _cut(
        self,
        loaded: LoadedCase,
        centre: np.ndarray,
        size: tuple[int, int, int],
        rng: np.random.Generator,
    ) -> tuple[Tensor, Tensor]:
        half = np.asarray(size) / 2
        shape = np.asarray(loaded.image.shape)
        # Keep the box inside the scan where it fits: the end of a scan is taught by crops whose
        # border is the scan's border, not by invented voxels.
        low, high = np.minimum(half, shape / 2), np.maximum(shape - half, shape / 2)
        centre = np.clip(centre, low, high)
        if rng.random() >= self.augmentation.spatial:
            return crop(loaded.image, loaded.labels, centre, size)
        matrix = random_matrix(rng, self.augmentation, self.spacing)
        field = random_displacement(rng, self.augmentation, self.spacing)
        return warp(loaded.image, loaded.labels, centre, size, matrix, field)
