"""Reading of scans and label maps from files and DICOM folders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .errors import InputError
from .geometry import image_affine
from .itk_files import itk_sentence, read_itk_file
from .nifti import read_nifti
from .volume import Volume

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
"""Endings of the files that `read_volume` reads as one scan."""

_NIFTI = (".nii", ".nii.gz")
_SEGMENTATION_SUFFIX = ".seg.nrrd"


def is_volume_file(path: Path) -> bool:
    """Say whether the file's name is that of a scan that can be read (a segmentation is not)."""
    name = path.name.lower()
    return name.endswith(SUFFIXES) and not name.endswith(_SEGMENTATION_SUFFIX)


def case_name(path: Path) -> str:
    """Give the name of a file or folder without its image ending, e.g. ``scan`` of scan.nii.gz."""
    name = path.name or path.resolve().name
    if path.is_dir():
        return name
    for suffix in (_SEGMENTATION_SUFFIX, *sorted(SUFFIXES, key=len, reverse=True), ".dcm"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def read_volume(path: Path | str, series: str | None = None, frame: int | None = None) -> Volume:
    """Read a scan from a file or from a folder of DICOM images.

    Parameters
    ----------
    path
        NIfTI, NRRD or MetaImage file, or a folder with DICOM files in it or below it.
    series
        For a DICOM folder with several series: SeriesInstanceUID, series number, or a part of
        the series description. Default: the largest axial CT series, with a note.
    frame
        For 4D data: which volume, from 0.

    Returns
    -------
    Volume
        Array ``(k, j, i)`` in the stored type; nothing is checked about its intensities.

    Raises
    ------
    NotCTError
        Color, complex, vector or 2D images; a DICOM folder without CT.
    InputError
        Anything else that cannot be read, with the reason.
    """
    path = Path(path).expanduser()
    with _readable(path):
        if path.is_dir():
            from .dicom import read_dicom_folder  # here: a NIfTI file needs no SimpleITK (0.2 s)

            return read_dicom_folder(path, series=series, frame=frame)
        if series is not None:
            raise InputError(
                f"A series ({series}) can only be chosen in a DICOM folder, but {path.name} is a "
                "file. Leave the series out, or give the folder."
            )
        name = path.name.lower()
        if name.endswith(_SEGMENTATION_SUFFIX):
            raise InputError(
                f"{path.name} is a segmentation, not a scan. Give the CT it was made from."
            )
        if name.endswith(_NIFTI):
            volume = read_nifti(path, frame)
        elif name.endswith(SUFFIXES):
            volume = read_itk_file(path, frame)
        else:
            raise InputError(_unknown_format(path))
    return Volume(volume.array, volume.affine, name=case_name(path), notes=volume.notes)


def read_label_map(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """Read a label map: NIfTI, NRRD, MetaImage or Slicer's ``.seg.nrrd``.

    Label values are given as they are stored; in a ``.seg.nrrd`` they are Slicer's own, so there
    the segments are recognized by identifier, name or coded term and get their FLARE ids, tumor
    over organs.

    Returns
    -------
    array
        ``(k, j, i)``, an integer type.
    affine
        ``(4, 4)``, ``(i, j, k, 1)`` to RAS mm.

    Raises
    ------
    InputError
        Not readable, not 3D, fractional values, or no known segment.
    """
    path = Path(path).expanduser()
    name = path.name.lower()
    with _readable(path):
        if path.is_dir() or not name.endswith(SUFFIXES):
            raise InputError(_unknown_format(path))
        if name.endswith(_SEGMENTATION_SUFFIX):
            return _read_segmentation(path)
        volume = read_nifti(path) if name.endswith(_NIFTI) else read_itk_file(path, None)
    array = volume.array
    if array.dtype.kind == "f":
        whole = np.rint(array)
        if not np.array_equal(whole, array) or np.abs(whole).max(initial=0) > 2**31 - 1:
            raise InputError(
                f"{path.name} is not a label map: it holds fractional numbers. Give a file with "
                "one whole number per voxel."
            )
        array = whole.astype(np.int32)
    return array, volume.affine


def _read_segmentation(path: Path) -> tuple[np.ndarray, np.ndarray]:
    import SimpleITK as sitk

    from .slicer_segmentation import known_segments  # here: scipy, which scans do not need

    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(itk_sentence(path, error)) from error
    if image.GetDimension() != 3:
        raise InputError(f"{path.name} has {image.GetDimension()} dimensions, not 3.")
    fields = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    stored = sitk.GetArrayFromImage(image)
    layers = stored[..., np.newaxis] if stored.ndim == 3 else stored
    array = np.zeros(layers.shape[:3], dtype=np.uint8)
    for segment in known_segments(fields, path.name):
        array[layers[..., segment.layer] == segment.value] = segment.target.id
    return array, image_affine(image)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what the file system says into sentences."""
    try:
        if not path.exists():
            raise InputError(f"There is no file or folder {path}. Check the path.")
        yield
    except PermissionError as error:
        raise InputError(
            f"{path} cannot be opened: reading it is not permitted. Change its access rights, or "
            "copy it to a folder of yours."
        ) from error
    except MemoryError as error:
        raise InputError(
            f"{path.name} does not fit into the memory of this computer. Close other programs, "
            "or crop the scan to the abdomen."
        ) from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}). Check the disk or the network "
            "drive it lies on."
        ) from error


def _unknown_format(path: Path) -> str:
    if path.is_file() and path.suffix.lower() in ("", ".dcm", ".ima"):
        return (
            f"{path.name} is no volume file; if it is one image of a DICOM series, give the "
            "folder with all images of the series instead."
        )
    return (
        f"{path.name} has no known format. Files ending in {', '.join(SUFFIXES)} and folders with "
        "DICOM images can be read."
    )
