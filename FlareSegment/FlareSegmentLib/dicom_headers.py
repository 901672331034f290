"""Tags of DICOM images that say which of them make up a volume, read with GDCM."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .dicom_stack import SliceHeader

_CT_IMAGE = re.compile(rb"1\.2\.840\.10008\.5\.1\.4\.1\.1\.2(?:\.[12])?(?![.\d])")
"""SOP class UIDs of CT, enhanced CT and converted enhanced CT images."""

_UIDS = re.compile(rb"\x20\x00([\x0d\x0e])\x00(?:UI..|.{4})([\d.]{1,64})", re.DOTALL)
"""StudyInstanceUID (0d) and SeriesInstanceUID (0e) in a file that GDCM cannot read: little endian,
explicit or implicit type."""


_OTHER_KINDS = (".txt", ".md", ".csv", ".json", ".xml", ".pdf", ".png", ".jpg", ".zip", ".log")
"""Endings of files that are no DICOM images, although they cannot be opened to see."""


@dataclass(frozen=True)
class BrokenImage:
    """A file that is a damaged CT image, or may be one and cannot be opened.

    Attributes
    ----------
    path
        The file.
    study, series
        Its StudyInstanceUID and SeriesInstanceUID as far as they can be told, else "".
    """

    path: Path
    study: str = ""
    series: str = ""


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


def read_headers(
    files: Iterable[Path], broken: list[BrokenImage]
) -> Iterator[tuple[dict[str, str], SliceHeader]]:
    """Give tags and header of each DICOM image among the files.

    Parameters
    ----------
    files
        Files of any kind; those that are no DICOM images are passed over.
    broken
        Gets the files that may be CT images and cannot be read.
    """
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    for path in files:
        try:
            if not path.is_file() or not _is_dicom(path):
                continue
        except OSError:  # it may be an image, and must not be missing without a word
            if path.suffix.lower() not in _OTHER_KINDS:
                broken.append(BrokenImage(path))
            continue
        reader.SetFileName(str(path))
        try:
            reader.ReadImageInformation()
        except RuntimeError:
            # Reports and DICOMDIR are no images. A CT image must not be passed over: at the end
            # of the series it would be missing without a gap.
            start = path.read_bytes()[:65536]
            if _CT_IMAGE.search(start):
                uids = {tag: uid.decode() for tag, uid in _UIDS.findall(start)}
                broken.append(BrokenImage(path, uids.get(b"\x0d", ""), uids.get(b"\x0e", "")))
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
