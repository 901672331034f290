"""CT series in folders of DICOM images: which one is meant, and its volume.

GDCM (through SimpleITK) reads tags and pixels; which images make up a volume is decided in
``dicom_stack.py``, because ITK's series reader takes any list of files and lays them at equal
distances without a warning.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .dicom_series import SeriesInfo, find_dicom_series
from .dicom_stack import SliceHeader, stack
from .errors import InputError, NotCTError
from .geometry import lps_to_ras
from .volume import Volume

__all__ = [
    "SeriesInfo",
    "choose_series",
    "find_dicom_series",
    "read_dicom_folder",
    "read_dicom_series",
]

_OWN_SHARE = 0.5
"""A series of the scanner with this share of the images is preferred to one computed from it."""

_INT16 = np.iinfo(np.int16)


def read_dicom_folder(folder: Path, series: str | None = None, frame: int | None = None) -> Volume:
    """Read one CT series of a folder.

    Parameters
    ----------
    folder
        Folder with DICOM files in it or below it.
    series
        SeriesInstanceUID, series number, or a part of the description. Default: the axial CT
        series with the most images, though one that the scanner made before one of up to twice as
        many images that was computed from others; a note then names the others.
    frame
        Which volume, from 0, of a series with several images at each position.

    Raises
    ------
    NotCTError
        No CT, or the chosen series is none.
    InputError
        No DICOM, no or several series fit `series`, or the images make up no volume.
    """
    found = find_dicom_series(folder)
    if not found:
        raise InputError(
            f"{folder} has no DICOM images in it or below it. Give the folder of a CT series, or "
            "a NIfTI, NRRD or MetaImage file."
        )
    chosen, notes = choose_series(found, folder, series)
    return read_dicom_series(chosen, frame=frame, name=Path(folder).resolve().name, notes=notes)


def read_dicom_series(
    series: SeriesInfo,
    frame: int | None = None,
    name: str | None = None,
    notes: tuple[str, ...] = (),
) -> Volume:
    """Read the volume of one series.

    A tilted gantry is kept as a sheared affine; nothing is resampled.

    Parameters
    ----------
    series
        From `find_dicom_series`.
    frame
        Which volume, from 0, of a series with several images at each position.
    name
        Case name; default `SeriesInfo.case_name`.
    notes
        Put before the notes of the volume.

    Raises
    ------
    NotCTError
        Another modality, or color images.
    InputError
        Missing slices, mixed orientations, several images per position, damaged pixels.
    """
    if series.modality != "CT":
        raise NotCTError(
            f"The chosen {series} is not CT but {series.modality or 'of unknown modality'}. "
            "Choose a CT series."
        )
    if series.broken:
        raise InputError(_damaged(series.broken[0]))
    stacked = stack(series.slices, frame, str(series))
    array = _pixels(stacked.slices)
    return Volume(
        array=array,
        affine=lps_to_ras(stacked.affine),
        name=series.case_name if name is None else name,
        notes=(*notes, *stacked.notes),
    )


def choose_series(
    found: Sequence[SeriesInfo], folder: Path, wanted: str | None = None
) -> tuple[SeriesInfo, tuple[str, ...]]:
    """Choose the series that is meant, as `read_dicom_folder` does; also give notes for the user.

    Raises
    ------
    NotCTError
        No CT among them.
    InputError
        No or several series fit `wanted`.
    """
    if wanted is None:
        return _default_series(found, folder)
    return _wanted_series(found, wanted, folder), ()


def _default_series(
    found: Sequence[SeriesInfo], folder: Path
) -> tuple[SeriesInfo, tuple[str, ...]]:
    scans = [s for s in found if s.modality == "CT"]
    if not scans:
        modalities = sorted({s.modality or "unknown" for s in found})
        raise NotCTError(
            f"{folder} holds no CT images, only DICOM of modality {', '.join(modalities)}. "
            "Choose the folder of a CT scan."
        )
    chosen = _largest([s for s in scans if s.axial] or scans)
    others = [str(s) for s in found if s is not chosen]
    if not others:
        return chosen, ()
    return chosen, (f"Of {len(found)} series, {chosen} was used; not used: {'; '.join(others)}.",)


def _largest(scans: Sequence[SeriesInfo]) -> SeriesInfo:
    """Give the series with the most slices; the scanner's own before maps and projections of it."""
    sizes = {id(series): sum(image.placed for image in series.slices) for series in scans}
    most = max(sizes.values())
    # Not a bolus tracking of ten images before a reconstruction of 300.
    own = [s for s in scans if not s.secondary and sizes[id(s)] >= most * _OWN_SHARE]
    return max(own or scans, key=lambda series: sizes[id(series)])


def _wanted_series(found: Sequence[SeriesInfo], wanted: str, folder: Path) -> SeriesInfo:
    text = wanted.strip()
    fits = [s for s in found if s.uid == text]
    fits = fits or [s for s in found if s.number == text]
    fits = fits or [s for s in found if text and text.casefold() in s.description.casefold()]
    if len(fits) == 1:
        return fits[0]
    if not fits:
        raise InputError(
            f'No series in {folder} fits "{wanted}". There: {"; ".join(map(str, found))}. Give '
            "a number, a part of a description, or a SeriesInstanceUID."
        )
    listed = "; ".join(f"{s}, UID {s.uid}" for s in fits)
    raise InputError(
        f'{len(fits)} series in {folder} fit "{wanted}": {listed}. Give the UID of one of them.'
    )


def _damaged(path: Path) -> str:
    if not os.access(path, os.R_OK):
        return (
            f"The file {path} cannot be opened, and may be an image of the series. Change its "
            "access rights, or copy the series to a folder of yours."
        )
    return (
        f"The image {path} is truncated, damaged, or compressed in a way that cannot be read. "
        "Copy or export the series again."
    )


def _pixels(slices: Sequence[SliceHeader]) -> np.ndarray:
    """Read HU slice by slice: ITK would hold int32 for most scans, twice the memory."""
    import SimpleITK as sitk

    whole = all(s.rescale[0] == 1.0 and s.rescale[1] == round(s.rescale[1]) for s in slices)
    array = np.empty((len(slices), *slices[0].shape), np.int16 if whole else np.float32)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    for target, header in zip(array, slices, strict=True):
        reader.SetFileName(str(header.path))
        try:
            image = reader.Execute()
        except RuntimeError as error:
            raise InputError(_damaged(header.path)) from error
        values = sitk.GetArrayViewFromImage(image)[0]
        # Saturated: padding of -32768 less the intercept would wrap around to bright metal.
        target[...] = np.clip(values, _INT16.min, _INT16.max) if whole else values
    return array
