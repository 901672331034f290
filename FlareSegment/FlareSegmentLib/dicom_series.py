"""Which DICOM series lie in a folder."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .dicom_headers import BrokenImage, read_headers
from .dicom_stack import SliceHeader
from .folder_walk import files_below

_AXIAL_COSINE = 0.7071
"""A slice normal within 45 degrees of the body axis makes a series axial."""


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
        Files of the series, by all that can be told, that are truncated, damaged or may not be
        opened.
    secondary
        Whether its images were computed from others (ImageType).
    """

    uid: str
    number: str
    description: str
    modality: str
    folder: Path
    slices: tuple[SliceHeader, ...]
    study: str = ""
    broken: tuple[Path, ...] = ()
    secondary: bool = False

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
        number = f"series {self.number}" if self.number else "series without number"
        return f"{number} ({title}, {len(self.slices)} images)"


def find_dicom_series(folder: Path, files: Iterable[Path] | None = None) -> list[SeriesInfo]:
    """Find all DICOM series in a folder and below it, by series number.

    Files need no ending; files that are not DICOM images are passed over. The list is empty when
    there is no DICOM image. Of a series that is damaged as a whole only its files are known.

    Parameters
    ----------
    folder
        Where to look, see `files_below`.
    files
        The files to look at, where they are known already.

    Raises
    ------
    OSError
        When a folder cannot be opened.
    """
    groups: dict[str, list[SliceHeader]] = defaultdict(list)
    first_tags: dict[str, dict[str, str]] = {}
    broken: list[BrokenImage] = []
    for tags, header in read_headers(files_below(folder) if files is None else files, broken):
        uid = tags["0020|000e"]
        groups[uid].append(header)
        first_tags.setdefault(uid, tags)  # of the first only: a study may have 100 000 images
    found = [_series_info(first_tags[uid], images, broken) for uid, images in groups.items()]
    found += _damaged_series(broken, found)
    return sorted(found, key=lambda s: (len(s.number), s.number, s.uid))


def _series_info(
    tags: dict[str, str], images: list[SliceHeader], broken: list[BrokenImage]
) -> SeriesInfo:
    uid, folder = tags["0020|000e"], images[0].path.parent
    return SeriesInfo(
        uid=uid,
        number=tags["0020|0011"],
        description=tags["0008|103e"],
        modality=tags["0008|0060"],
        folder=folder,
        slices=tuple(images),
        study=tags["0020|000d"],
        secondary="SECONDARY" in tags["0008|0008"].upper(),
        broken=tuple(
            image.path
            for image in broken
            if image.series == uid or (not image.series and image.path.parent == folder)
        ),
    )


def _damaged_series(broken: list[BrokenImage], found: list[SeriesInfo]) -> list[SeriesInfo]:
    """Give the series of which no image can be read: they must not be missing without a word."""
    told = {path for series in found for path in series.broken}
    groups: dict[tuple[str, str, Path], list[Path]] = defaultdict(list)
    for image in broken:
        if image.path not in told:
            groups[image.study, image.series, image.path.parent].append(image.path)
    return [
        SeriesInfo(uid, "", "damaged", "CT", folder, (), study or str(folder), tuple(paths))
        for (study, uid, folder), paths in groups.items()
    ]
