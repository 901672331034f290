"""Draws training batches: which scans, where, how large; all by counter, nothing by state.

Crop n of step s is a function of (seed, attempt, s, n) alone. So a resumed run sees what the
uninterrupted one would have, whatever was drawn ahead, and N processes that share a batch draw
together what one process would draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .augmentation import change_intensity, crop, random_displacement, random_matrix, warp
from .crop_places import CropPlaces, Size
from .crop_settings import AugmentationSettings, CutMixSettings, SamplingSettings, TumorSettings
from .label_values import IGNORE, TUMOR
from .packed_cases import LoadedCase
from .synthetic_tumors import add_tumors
from .training_settings import TrainingSettings
from .tumor_cutmix import TumorObject, extract_objects, paste_object


@dataclass
class Sample:
    """One training crop: (k, j, i) float HU, int64 label values, and the ids labelled in it."""

    image: Tensor
    labels: Tensor
    known: frozenset[int]


@dataclass
class Batch:
    """Crops of one size.

    Attributes
    ----------
    image, labels
        (batch, k, j, i) float HU and int64 labels, numbered as the network's targets.
    known
        (batch, targets) bool; see `losses.Annotation`.
    """

    image: Tensor
    labels: Tensor
    known: Tensor


class CropSampler:
    """Endless source of augmented crops.

    Parameters
    ----------
    cases
        From `load_cases`.
    spacing
        (k, j, i) mm of cases that do not state their own.
    targets
        FLARE ids in the order of the network's targets.
    device
        Where crops are made and augmented; the cases stay where they are.
    steps
        Of the whole training, for what changes in its course.
    """

    def __init__(
        self,
        cases: list[LoadedCase],
        spacing: tuple[float, ...],
        sampling: SamplingSettings = SamplingSettings(),
        augmentation: AugmentationSettings = AugmentationSettings(),
        tumors: TumorSettings = TumorSettings(),
        cutmix: CutMixSettings = CutMixSettings(),
        targets: tuple[int, ...] = tuple(range(1, TUMOR + 1)),
        device: torch.device | str = "cpu",
        steps: int = 1,
    ) -> None:
        self.device = torch.device(device)
        self.scans = [c for c in cases if c.case.kind == "scan"]
        self.negatives = [c for c in cases if c.case.kind == "negative"]
        self.spacing = spacing
        self.sampling = sampling
        self.augmentation = augmentation
        self.tumors = tumors
        self.cutmix = cutmix
        self.targets = targets
        self.steps = steps
        self.objects = self._tumor_objects() if cutmix.probability > 0 else []
        self._places = CropPlaces(self.scans, sampling, targets)
        self._numbers = target_numbers(targets)

    @classmethod
    def of(
        cls,
        cases: list[LoadedCase],
        spacing: tuple[float, ...],
        settings: TrainingSettings,
        device: torch.device | str = "cpu",
    ) -> CropSampler:
        """Sampler of a training."""
        return cls(
            cases,
            spacing,
            settings.sampling,
            settings.augmentation,
            settings.tumors,
            settings.cutmix,
            settings.targets,
            device,
            settings.fit.steps,
        )

    def batch(self, key: Sequence[int], step: int, indices: Sequence[int]) -> Batch:
        """Crops `indices` of the batch of a step.

        Parameters
        ----------
        key
            Seed, and whatever else tells runs apart.
        """
        common = np.random.default_rng([*key, step])
        augmentation = self.augmentation.at(step / self.steps)
        size = self._size(common)
        scans = self._places.scans_of_batch(common, step)
        samples = [
            self.draw(np.random.default_rng([*key, step, 1 + index]), size, scans, augmentation)
            for index in indices
        ]
        device = samples[0].image.device
        return Batch(
            torch.stack([sample.image for sample in samples]),
            self._numbered(torch.stack([sample.labels for sample in samples])),
            torch.tensor([[t in s.known for t in self.targets] for s in samples]).to(device),
        )

    def _numbered(self, labels: Tensor) -> Tensor:
        # Four times as fast on a CPU as indexing by a volume.
        return self._numbers.to(labels.device).index_select(0, labels.flatten()).view(labels.shape)

    def draw(
        self,
        rng: np.random.Generator,
        size: Size,
        scans: list[LoadedCase],
        augmentation: AugmentationSettings,
    ) -> Sample:
        """One augmented crop of `scans`, or of a volume without targets."""
        settings = self.sampling
        if self.negatives and rng.random() < settings.negative:
            loaded = self.negatives[int(rng.integers(len(self.negatives)))]
            centre = rng.uniform(0, 1, 3) * loaded.shape
        else:
            loaded, centre = self._places.draw(rng, size, self._by_origin(rng, scans))
        spacing = self._spacing_of(loaded)
        image, labels = self._cut(loaded, centre, size, rng, augmentation)
        known = loaded.known
        if loaded.case.kind == "scan" and TUMOR in self.targets:
            image, labels, pasted = self._paste(image, labels, known, spacing, rng)
            count = int(pasted)
            if rng.random() < self.tumors.probability:
                image, labels, drawn = add_tumors(image, labels, rng, spacing, self.tumors)
                count += drawn
            if count:
                # With a tumor put into it the crop counts as labelled (P3's rule for CutMix).
                known = known | {TUMOR}
        image = change_intensity(image, labels, rng, augmentation, spacing)
        return Sample(image, labels, known)

    def _by_origin(self, rng: np.random.Generator, scans: list[LoadedCase]) -> list[LoadedCase]:
        """Those of `scans` that a teacher labelled, or the others, as often as the settings say."""
        if self.sampling.taught is None:
            return scans
        taught = rng.random() < self.sampling.taught
        return [scan for scan in scans if scan.taught == taught] or scans

    def _size(self, rng: np.random.Generator) -> Size:
        patches, weights = self.sampling.patches, np.asarray(self.sampling.patch_weights)
        share = weights / weights.sum() if len(weights) else None
        return patches[int(rng.choice(len(patches), p=share))]

    def _spacing_of(self, loaded: LoadedCase) -> tuple[float, ...]:
        return loaded.case.spacing or self.spacing

    def _cut(
        self,
        loaded: LoadedCase,
        centre: np.ndarray,
        size: Size,
        rng: np.random.Generator,
        augmentation: AugmentationSettings,
    ) -> tuple[Tensor, Tensor]:
        half = np.asarray(size) / 2
        shape = np.asarray(loaded.shape)
        # Keep the box inside the scan where it fits: the end of a scan is taught by crops whose
        # border is the scan's border, not by invented voxels.
        low, high = np.minimum(half, shape / 2), np.maximum(shape - half, shape / 2)
        centre = np.clip(centre, low, high)
        plain = rng.random() >= augmentation.spatial
        labels = loaded.drawn_labels(rng)
        if plain:
            return crop(loaded.image, labels, centre, size, self.device)
        spacing = self._spacing_of(loaded)
        matrix = random_matrix(rng, augmentation, spacing)
        field = random_displacement(rng, augmentation, spacing)
        return warp(loaded.image, labels, centre, size, matrix, field, self.device)

    def _paste(
        self,
        image: Tensor,
        labels: Tensor,
        known: frozenset[int],
        spacing: tuple[float, ...],
        rng: np.random.Generator,
    ) -> tuple[Tensor, Tensor, bool]:
        """Paste a tumor object, as often as the settings say, if the crop shows no tumor."""
        if not self.objects or rng.random() >= self.cutmix.probability:
            return image, labels, False
        if TUMOR in known and not self.cutmix.tumor_free:
            return image, labels, False
        if bool((labels == TUMOR).any()):
            return image, labels, False
        tumor: TumorObject = self.objects[int(rng.integers(len(self.objects)))]
        wanted = known & frozenset(self.targets)
        return paste_object(image, labels, tumor, wanted, spacing, rng, self.cutmix)

    def _tumor_objects(self) -> list[TumorObject]:
        rng = np.random.default_rng(0)
        objects = []
        for scan in self.scans:
            if TUMOR in scan.known and TUMOR in scan.classes:
                found = extract_objects(
                    scan.image,
                    scan.labels,
                    self._spacing_of(scan),
                    scan.known,
                    scan.case.name,
                    rng,
                    self.cutmix,
                )
                objects += [
                    replace(o, image=o.image.to(self.device), labels=o.labels.to(self.device))
                    for o in found
                ]
        return objects


def target_numbers(targets: Sequence[int]) -> Tensor:
    """Table (256,) from packed label values to 1, 2, ... in the order of `targets`.

    A labelled organ that is no target is background. A tumor that is no target is unknown: the
    organ around it, which the label map does not tell, may be one.
    """
    table = torch.zeros(256, dtype=torch.int64)
    table[IGNORE] = IGNORE
    table[TUMOR] = IGNORE
    for number, target in enumerate(targets, start=1):
        table[target] = number
    return table
