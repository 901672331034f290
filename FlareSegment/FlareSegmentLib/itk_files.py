"""NRRD and MetaImage files, read with ITK, and what ITK does not say about their headers.

ITK turns a negative voxel size into a mirrored axis, and gives a file that says nothing about the
patient the axes left, posterior, superior, both without a word. So the header is looked at too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .checking import (
    ASSUMED_POSITION,
    chosen_frame,
    complex_numbers,
    negative_spacing,
    several_values,
    single_image,
)
from .errors import InputError
from .geometry import image_affine
from .volume import Volume

_HEADER_BYTES = 2**20
"""More than any header, were it not for a long history in it."""

_ANATOMICAL = ("right", "left", "ras", "las", "lps")
"""How NRRD's spaces that are directions in the patient begin; scanner-xyz and others are not."""

_META_DIRECTIONS = ("transformmatrix", "rotation", "orientation")


def read_itk_file(path: Path, frame: int | None) -> Volume:
    """Read a NRRD or MetaImage file, or one volume of it.

    Parameters
    ----------
    path
        ``.nrrd``, ``.nhdr``, ``.mha`` or ``.mhd``.
    frame
        Which volume of a 4D file or of a Slicer sequence, from 0.

    Returns
    -------
    Volume
        Without a name; float64 comes as float32, 64-bit integers as int32. A note says so when
        the header leaves open how the scan lies in the patient.

    Raises
    ------
    NotCTError
        Colors, vectors, complex numbers, a single 2D image.
    InputError
        Truncated or damaged, 4D without `frame`, a negative voxel size, an impossible position.
    """
    import SimpleITK as sitk

    notes = _position_notes(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        listed = _is_list(reader)
        size, frames = _size_and_frames(reader, listed, path.name)
        index = chosen_frame(frames, frame, path.name)
        extra = [0] * (reader.GetDimension() - 3)
        if extra:
            extra[0] = 0 if listed else index
            reader.SetExtractIndex([0, 0, 0, *extra])
            reader.SetExtractSize([*size, *[0] * len(extra)])
        image = reader.Execute()
    except RuntimeError as error:
        raise InputError(itk_sentence(path, error)) from error
    if listed:
        image = sitk.VectorIndexSelectionCast(image, index)
    array = _supported_type(sitk.GetArrayFromImage(image))
    return Volume(array, image_affine(image), notes=notes)


def data_files(path: Path) -> list[Path]:
    """Give the file that a detached header (``.nhdr``, ``.mhd``) names, if it is there."""
    suffix = path.suffix.lower()
    if suffix not in (".nhdr", ".mhd"):
        return []
    fields = _fields(path, "=" if suffix == ".mhd" else ":")
    named = fields.get("elementdatafile", fields.get("data file", fields.get("datafile", "")))
    data = path.parent / named
    return [data] if named and data.is_file() else []


def _is_list(reader: Any) -> bool:
    """Say whether the values per voxel are a list of volumes: how Slicer stores a sequence."""
    key = "NRRD_kinds[pixel]"
    return bool(reader.HasMetaDataKey(key) and reader.GetMetaData(key) == "list")


def _size_and_frames(reader: Any, listed: bool, name: str) -> tuple[list[int], int]:
    """Give the voxels along i, j, k and the number of volumes; refuse what is no scalar volume."""
    import SimpleITK as sitk

    if "complex" in sitk.GetPixelIDValueAsString(reader.GetPixelID()):
        raise complex_numbers(name)
    components = int(reader.GetNumberOfComponents())
    if components > 1 and not listed:
        raise several_values(name)
    size = [int(n) for n in reader.GetSize()]
    while len(size) > 3 and size[-1] == 1:
        size.pop()
    if len(size) < 3:
        raise single_image(name)
    if len(size) > 4 or (listed and len(size) > 3):
        raise several_values(name)
    return size[:3], components if listed else (size[3] if len(size) == 4 else 1)


def _supported_type(array: np.ndarray) -> np.ndarray:
    """Give the array as it is, or without the 64 bits that CT values never need."""
    if array.dtype == np.float64:
        return array.astype(np.float32)
    if array.dtype.kind in "iu" and not np.can_cast(array.dtype, np.int32):
        limits = np.iinfo(np.int32)
        least = max(limits.min, np.iinfo(array.dtype).min)
        return np.clip(array, least, limits.max).astype(np.int32)
    return array


def itk_sentence(path: Path, error: RuntimeError) -> str:
    """Say what ITK's error means for the person who gave the file."""
    text = str(error)
    if "spacing" in text or "Bad direction" in text:
        return (
            f"{path.name} has an impossible voxel size or direction in its header (zero, or no "
            "number). Export the scan again, or correct its header."
        )
    return (
        f"{path.name} cannot be read: it is truncated, damaged, or its data file is missing. Copy "
        "or export the scan again."
    )


def _position_notes(path: Path) -> tuple[str, ...]:
    """Give the note that the header does not say how the scan lies; refuse negative spacing."""
    meta = path.suffix.lower() in (".mha", ".mhd")
    fields = _fields(path, "=" if meta else ":")
    spacing = fields.get("elementspacing" if meta else "spacings", "")
    if any(word.startswith("-") for word in spacing.split()):
        raise negative_spacing(path.name)
    if meta:
        placed = any(key in fields for key in _META_DIRECTIONS)
    else:
        space = fields.get("space", "").lower()
        placed = space.startswith(_ANATOMICAL) and "space directions" in fields
    return () if placed else (ASSUMED_POSITION,)


def _fields(path: Path, separator: str) -> dict[str, str]:
    """Give the fields of the text at the start of a file, with keys in small letters."""
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES)
    fields: dict[str, str] = {}
    for line in start.decode("latin-1").splitlines():
        key, _, value = line.partition(separator)
        if not line.strip():
            break  # what follows are voxels
        fields.setdefault(key.strip().lower(), value.strip())
        if "elementdatafile" in fields:
            break
    return fields
