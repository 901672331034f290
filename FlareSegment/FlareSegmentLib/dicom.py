"""CT series in folders of DICOM images: what is there, and which one is meant.

GDCM (through SimpleITK) reads tags and pixels; which images make up a volume is decided in
``dicom_stack.py``, because ITK's series reader takes any list of files and lays them at equal
distances without a warning.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .dicom_stack import SliceHeader, stack
from .errors import InputError, NotCTError
from .geometry import lps_to_ras
from .volume import Volume

_AXIAL_COSINE = 0.7071
"""A slice normal within 45 degrees of the body axis makes a series axial."""

_INT16 = np.iinfo(np.int16)

_CT_IMAGE = re.compile(rb"1\.2\.840\.10008\.5\.1\.4\.1\.1\.2(?:\.[12])?(?![.\d])")
"""SOP class UIDs of CT, enhanced CT and converted enhanced CT images."""

_SERIES_UID = re.compile(rb"\x20\x00\x0e\x00(?:UI..|.{4})([\d.]{1,64})", re.DOTALL)
"""SeriesInstanceUID in a file that GDCM cannot read: little endian, explicit or implicit type."""


@dataclass(frozen=True)
class SeriesInfo:
    """One DICOM series found in a folder.

    Attributes
    ----------
    uid
        SeriesInstanceUID.
    number
        SeriesNumber as text, may be empty.
    description
        SeriesDescription, may be empty.
    modality
        ``"CT"``, ``"MR"``, ``"PT"``, ...
    folder
        Folder of its first image.
    slices
        Header of each image, unsorted.
    study
        StudyInstanceUID.
    broken
        Files of the series, by all that can be told, that are truncated or damaged.
    """

    uid: str
    number: str
    description: str
    modality: str
    folder: Path
    slices: tuple[SliceHeader, ...]
    study: str = ""
    broken: tuple[Path, ...] = ()

    @property
    def axial(self) -> bool:
        """Whether most images are cut across the body."""
        normals = [abs(s.normal[2]) for s in self.slices if s.placed]
        return bool(normals) and float(np.median(normals)) > _AXIAL_COSINE

    @property
    def case_name(self) -> str:
        """Name for output files: folder, series number and description."""
        parts = [self.folder.name, self.number, re.sub(r"[^\w.-]+", "-", self.description)]
        return "_".join(part.strip("-") for part in parts if part.strip("-"))

    def __str__(self) -> str:
        """Give the series as a person would name it."""
        title = ", ".join(part for part in (self.description, self.modality) if part)
        number = f"series {self.number}" if self.number else "a series without number"
        return f"{number} ({title}, {len(self.slices)} images)"


def find_dicom_series(folder: Path) -> list[SeriesInfo]:
    """Find all DICOM series in a folder and below it, by series number.

    Files need no ending; files that are not DICOM images are passed over. The list is empty when
    there is no DICOM image.

    Raises
    ------
    OSError
        When a folder or file cannot be opened.
    InputError
        When all CT images are damaged.
    """
    groups: dict[str, list[tuple[dict[str, str], SliceHeader]]] = defaultdict(list)
    broken: list[tuple[Path, str]] = []
    for tags, header in _headers(Path(folder), broken):
        groups[tags["0020|000e"]].append((tags, header))
    if broken and not groups:
        raise InputError(_damaged(broken[0][0]))
    found = []
    for uid, images in groups.items():
        tags, first = images[0]
        parent = first.path.parent
        info = SeriesInfo(
            uid=uid,
            number=tags["0020|0011"],
            description=tags["0008|103e"],
            modality=tags["0008|0060"],
            folder=parent,
            slices=tuple(header for _, header in images),
            broken=tuple(
                path for path, of in broken if of == uid or (not of and path.parent == parent)
            ),
            study=tags["0020|000d"],
        )
        found.append(info)
    return sorted(found, key=lambda s: (len(s.number), s.number, s.uid))


def read_dicom_folder(folder: Path, series: str | None = None, frame: int | None = None) -> Volume:
    """Read one CT series of a folder.

    Parameters
    ----------
    folder
        Folder with DICOM files in it or below it.
    series
        SeriesInstanceUID, series number, or a part of the description. Default: the axial CT
        series with the most images; a note then names the others.
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
    candidates = [s for s in scans if s.axial] or scans
    chosen = max(candidates, key=lambda s: sum(x.placed for x in s.slices))
    others = [str(s) for s in found if s is not chosen]
    if not others:
        return chosen, ()
    return chosen, (f"Of {len(found)} series, {chosen} was used; not used: {'; '.join(others)}.",)


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


def _files(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders.sort()
        for name in sorted(names):
            yield Path(parent) / name


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(132)
    # Old files have no preamble and start with a tag of group 0008, little endian.
    return start[128:] == b"DICM" or start[:2] == b"\x08\x00"


_TAGS = {
    "0008|0005": "",  # SpecificCharacterSet
    "0008|0008": "",  # ImageType
    "0008|0018": "",  # SOPInstanceUID
    "0008|0032": "",  # AcquisitionTime
    "0008|0060": "",  # Modality
    "0008|103e": "",  # SeriesDescription
    "0020|000d": "",  # StudyInstanceUID
    "0020|000e": "",  # SeriesInstanceUID
    "0020|0011": "",  # SeriesNumber
    "0020|0012": "",  # AcquisitionNumber
    "0020|0013": "",  # InstanceNumber
    "0020|0032": "",  # ImagePositionPatient
    "0020|0037": "",  # ImageOrientationPatient
    "0028|0002": "1",  # SamplesPerPixel
    "0028|0008": "1",  # NumberOfFrames
    "0028|0010": "0",  # Rows
    "0028|0011": "0",  # Columns
    "0028|0030": "",  # PixelSpacing: row distance, column distance
    "0028|1052": "0",  # RescaleIntercept
    "0028|1053": "1",  # RescaleSlope
}


def _headers(
    folder: Path, broken: list[tuple[Path, str]]
) -> Iterator[tuple[dict[str, str], SliceHeader]]:
    """Give tags and header of each image; add damaged CT images and their series to `broken`."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    for path in _files(folder):
        if not path.is_file() or not _is_dicom(path):
            continue
        reader.SetFileName(str(path))
        try:
            reader.ReadImageInformation()
        except RuntimeError:
            # Reports and DICOMDIR are no images. A CT image must not be passed over: at the end
            # of the series it would be missing without a gap.
            start = path.read_bytes()[:65536]
            if _CT_IMAGE.search(start):
                series = _SERIES_UID.search(start)
                broken.append((path, series[1].decode() if series else ""))
            continue
        tags = {
            tag: reader.GetMetaData(tag) if reader.HasMetaDataKey(tag) else default
            for tag, default in _TAGS.items()
        }
        tags = {tag: _text(value, tags["0008|0005"]) for tag, value in tags.items()}
        yield tags, _slice_header(path, tags)


def _text(value: str, character_set: str) -> str:
    """Give a tag's text as the file's character set says, without padding."""
    raw = value.encode("utf-8", "surrogateescape")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("iso8859_5" if "144" in character_set else "latin-1")
    return text.strip(" \0")


def _slice_header(path: Path, tags: dict[str, str]) -> SliceHeader:
    return SliceHeader(
        path=path,
        position=_numbers(tags["0020|0032"], 3),
        orientation=_numbers(tags["0020|0037"], 6),
        pixel_spacing=_numbers(tags["0028|0030"], 2),
        shape=(int(_number(tags["0028|0010"], 0)), int(_number(tags["0028|0011"], 0))),
        frames=int(_number(tags["0028|0008"], 1)),
        samples=int(_number(tags["0028|0002"], 1)),
        uid=tags["0008|0018"],
        localizer="LOCALIZER" in tags["0008|0008"].upper(),
        order=(
            _number(tags["0020|0012"], 0),
            _number(tags["0008|0032"], 0),
            _number(tags["0020|0013"], 0),
        ),
        rescale=(_number(tags["0028|1053"], 1), _number(tags["0028|1052"], 0)),
    )


def _numbers(text: str, count: int) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split("\\"))
    except ValueError:
        return ()
    return values if len(values) == count and np.isfinite(values).all() else ()


def _number(text: str, default: float) -> float:
    values = _numbers(text, 1)
    return values[0] if values else float(default)


def _damaged(path: Path) -> str:
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
