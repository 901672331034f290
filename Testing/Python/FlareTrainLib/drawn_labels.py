"""Label maps of the test dataset, changed and read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from FlareSegmentLib.labels import targets
from FlareSegmentLib.reading import read_label_map
from FlareSegmentLib.writing import write_label_map


def redraw(path: Path, change: dict[int, int]) -> None:
    array, affine = read_label_map(path)
    result = array.astype(np.uint8)
    for old, new in change.items():
        result[array == old] = new
    write_label_map(path, result, affine, targets())


def labels_of(folder: Path, case: str) -> np.ndarray:
    return read_label_map(folder / "labels" / f"{case}.nii.gz")[0]
