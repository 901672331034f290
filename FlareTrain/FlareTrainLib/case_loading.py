"""A case of a dataset read into memory, in canonical axes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from FlareSegmentLib.geometry import canonical_volume
from FlareSegmentLib.reading import read_volume
from FlareSegmentLib.volume import Volume

from .dataset import Dataset, DatasetCase
from .label_maps import read_labels_on


@dataclass(frozen=True)
class LoadedScan:
    """A case in canonical axes: HU (k, j, i), labels (k, j, i) uint8 or None, affine to RAS mm."""

    volume: Volume
    labels: np.ndarray | None


def load_case(dataset: Dataset, case: DatasetCase) -> LoadedScan:
    """Read a case's scan and label map in canonical axes, label values turned into target ids.

    Raises
    ------
    InputError
        When scan and label map lie on different grids, or a label value has no meaning.
    """
    volume = replace(read_volume(case.scan), name=case.name)
    labels = None
    if case.labels is not None:
        labels = read_labels_on(volume, case.labels, dataset.values)
    canonical, order = canonical_volume(volume)
    if labels is not None:
        labels = np.ascontiguousarray(order.apply(labels))
    array = np.ascontiguousarray(canonical.array)
    return LoadedScan(replace(canonical, array=array), labels)
