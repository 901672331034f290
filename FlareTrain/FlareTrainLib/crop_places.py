"""Which scan a crop comes from, and where in it its centre lies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .crop_settings import SamplingSettings
from .label_values import TUMOR
from .packed_cases import LoadedCase

Size = tuple[int, int, int]
"""Voxels (k, j, i) of a crop."""


class CropPlaces:
    """Draws scans and centres by the settings; nothing is kept from crop to crop.

    Parameters
    ----------
    scans
        Those that hold targets.
    targets
        FLARE ids of the network's targets.
    """

    def __init__(
        self, scans: Sequence[LoadedCase], settings: SamplingSettings, targets: Sequence[int]
    ) -> None:
        self._scans = list(scans)
        self._settings = settings
        self._targets = frozenset(targets)
        self._types: dict[frozenset[int], list[LoadedCase]] = {}
        for scan in self._scans:
            self._types.setdefault(scan.known & self._targets, []).append(scan)

    def scans_of_batch(self, rng: np.random.Generator, step: int) -> list[LoadedCase]:
        """Scans that a batch may come from: all, or those of one type, drawn by their number."""
        settings = self._settings
        if not settings.by_type:
            return self._scans
        organs = self._targets - {TUMOR}
        full = [t for t in self._types if organs <= t]
        partial = [t for t in self._types if not organs <= t]
        choice = [*full, *partial]
        # Drawn always, so that what follows does not depend on the settings.
        draw = rng.random()
        if full and step < settings.full_first:
            choice = full
        elif full and partial and settings.full_fraction is not None:
            choice = full if draw < settings.full_fraction else partial
        counts = np.asarray([len(self._types[t]) for t in choice], float)
        return self._types[choice[int(rng.choice(len(choice), p=counts / counts.sum()))]]

    def draw(
        self, rng: np.random.Generator, size: Size, scans: Sequence[LoadedCase]
    ) -> tuple[LoadedCase, np.ndarray]:
        """A scan and the centre of a crop, on a labelled voxel as often as the settings say.

        Returns
        -------
        scan, centre
            (k, j, i) voxels; the crop may reach beyond the scan.
        """
        settings = self._settings
        if rng.random() < settings.foreground:
            labels = self._classes(scans)
            if settings.class_balanced and labels:
                label = self._class(rng, labels)
                holders = [c for c in scans if label in c.classes]
                loaded = holders[int(rng.integers(len(holders)))]
                return loaded, _around(loaded, label, size, rng)
            loaded = scans[int(rng.integers(len(scans)))]
            labels = self._classes([loaded])
            if labels:
                return loaded, _around(loaded, self._class(rng, labels), size, rng)
        loaded = scans[int(rng.integers(len(scans)))]
        return loaded, rng.uniform(0.05, 0.95, 3) * loaded.shape

    def _classes(self, scans: Sequence[LoadedCase]) -> list[int]:
        found = {label for scan in scans for label in scan.classes}
        return sorted(found & self._targets)

    def _class(self, rng: np.random.Generator, labels: list[int]) -> int:
        if TUMOR in labels and rng.random() < self._settings.tumor_bias:
            return TUMOR
        return int(rng.choice(labels))


def _around(loaded: LoadedCase, label: int, size: Size, rng: np.random.Generator) -> np.ndarray:
    places = loaded.places(label)
    position = places[int(rng.integers(len(places)))]
    return position + rng.uniform(-0.3, 0.3, 3) * size
