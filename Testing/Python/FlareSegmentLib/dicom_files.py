"""Real DICOM series for tests, written by SimpleITK (GDCM) with the tags a scanner writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

ROWS, COLUMNS = 12, 10
AXIAL = (1, 0, 0, 0, 1, 0)
CORONAL = (1, 0, 0, 0, 0, -1)
SAGITTAL = (0, 1, 0, 0, 0, -1)


def hounsfield(index: int, rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray:
    return np.random.default_rng(index).integers(-1000, 1000, (rows, columns)).astype(np.int16)


def write_slice(
    path: Path,
    position: tuple[float, ...] | None,
    pixels: np.ndarray,
    orientation: tuple[float, ...] = AXIAL,
    **tags: Any,
) -> None:
    """Write one image; `pixels` are HU and are stored as such (intercept 0) unless tags say so."""
    image = sitk.GetImageFromArray(pixels[None] if pixels.ndim == 2 else pixels)
    image.SetSpacing((0.7, 0.9, 1.0))
    values = {
        "0008|0060": "CT",
        "0008|0008": "ORIGINAL\\PRIMARY\\AXIAL",
        "0020|000d": "1.2.3.1",
        "0020|000e": "1.2.3.4",
        "0020|0011": "3",
        "0008|103e": "Abdomen venous",
        "0020|0037": "\\".join(map(str, orientation)),
    }
    if position is not None:
        values["0020|0032"] = "\\".join(f"{x:.10g}" for x in position)
    values.update({key.replace("_", "|"): str(value) for key, value in tags.items()})
    for key, value in values.items():
        if value != "None":
            image.SetMetaData(key, value)
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(path))
    writer.Execute(image)


def write_series(
    folder: Path,
    count: int = 10,
    step: tuple[float, ...] = (0.0, 0.0, 2.5),
    orientation: tuple[float, ...] = AXIAL,
    leave_out: tuple[int, ...] = (),
    prefix: str = "IM",
    suffix: str = ".dcm",
    **tags: Any,
) -> np.ndarray:
    """Write a series in an order of names that is not that of the slices; give all its voxels."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        if index in leave_out:
            continue
        position = tuple(start + index * s for start, s in zip((-50, 40, 100), step, strict=True))
        name = f"{prefix}{(index * 7) % count:04d}{suffix}"
        write_slice(
            folder / name, position, hounsfield(index), orientation, **{"0020_0013": index, **tags}
        )
    return np.stack([hounsfield(index) for index in range(count)])
