"""NIfTI-1 and NIfTI-2 files, read and written so that nothing goes wrong unnoticed.

Why not ITK's reader and writer (SimpleITK 2.5, tried with the cases in ``test_nifti.py``): a
truncated ``.nii`` or ``.nii.gz`` is filled up with zeros without a word, a full disk leaves a cut
file without a word, a sheared sform (tilted gantry) is refused or silently replaced by the qform
(another position), written it is bent to the nearest rotation, and any scaling turns int16 into
float32, twice the memory. Reading takes as long either way: 0.8 s of CPU time for a compressed
512 x 512 x 300 scan of int16, nearly all of it decompression.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from .checking import chosen_frame, complex_numbers, several_values, single_image
from .errors import InputError
from .nifti_header import header_affine, header_shape, read_header
from .volume import Volume

_NUMBER_TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_COLOR_TYPES = (128, 2304)
_COMPLEX_TYPES = (32, 1792, 2048)

_MAX_GZIP_RATIO = 1100
"""Deflate cannot shrink data more than 1032 times; a header that asks for more is damaged."""


def read_nifti(path: Path, frame: int | None = None) -> Volume:
    """Read one 3D volume of a ``.nii`` or ``.nii.gz`` file.

    Integers of up to 16 bits that are only shifted (slope 1) come back as int16, wider ones as
    int32, other scaled values and float64 as float32.

    Parameters
    ----------
    path
        File, compressed or not (told by its content).
    frame
        Which volume of a 4D file, from 0.

    Raises
    ------
    NotCTError
        Colors, complex numbers, vectors, a single 2D image.
    InputError
        Truncated or damaged, no NIfTI, 4D without `frame`, unusable position information.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as stream:
            header = read_header(cast(IO[bytes], stream), path.name)
            frames = _frames(header, path)
            index = chosen_frame(frames, frame, path.name)
            affine, notes = header_affine(header, path.name)
            ratio = _MAX_GZIP_RATIO if packed else 1
            _check_size(header, frames, path.stat().st_size * ratio, path)
            array = _read_array(cast(IO[bytes], stream), header, index)
            if packed and index == frames - 1:
                stream.read(1)  # reaching the end makes gzip compare the checksum
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path.name} is truncated or damaged: its compressed data ends too early or does "
            "not fit its checksum. Copy or download the file again."
        ) from error
    return Volume(array=array, affine=affine, notes=notes)


def _frames(header: np.void, path: Path) -> int:
    """Give the number of 3D volumes in the file, or refuse what is no scalar volume."""
    code = int(header["datatype"])
    shape = header_shape(header)
    if code in _COLOR_TYPES or len(shape) > 4:
        raise several_values(path.name)
    if code in _COMPLEX_TYPES:
        raise complex_numbers(path.name)
    if code not in _NUMBER_TYPES:
        raise InputError(
            f"{path.name} stores its voxels in a type that is not supported (NIfTI datatype "
            f"{code}). Save it as 16-bit integers or 32-bit floating point numbers."
        )
    if len(shape) < 3:
        raise single_image(path.name)
    if min(shape) < 1 or int(header["dim"][0]) > 7:
        raise InputError(
            f"{path.name} has a damaged header: its size is given as "
            f"{' x '.join(map(str, shape))} voxels. Export the scan again."
        )
    return shape[3] if len(shape) == 4 else 1


def _check_size(header: np.void, frames: int, most: int, path: Path) -> None:
    """Refuse before memory is taken for voxels that cannot be in the file."""
    voxels = int(np.prod(header_shape(header)[:3], dtype=object)) * frames
    needed = voxels * np.dtype(_NUMBER_TYPES[int(header["datatype"])]).itemsize
    if needed > most:
        raise InputError(
            f"{path.name} is truncated: its header announces {needed:,} bytes of voxels, but the "
            "file is too small to hold them. Copy or download the file again."
        )


def _read_array(stream: IO[bytes], header: np.void, frame: int) -> np.ndarray:
    i, j, k = header_shape(header)[:3]
    order = "<" if header.dtype["sizeof_hdr"].str[0] == "<" else ">"
    stored = np.dtype(order + _NUMBER_TYPES[int(header["datatype"])])
    stream.seek(int(header["vox_offset"]) + frame * i * j * k * stored.itemsize)
    slope, shift = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0.0 or not (np.isfinite(slope) and np.isfinite(shift)):
        slope, shift = 1.0, 0.0  # nifti1.h: a slope of 0 means unscaled
    wanted = _wanted_type(stored, slope, shift)
    array = np.empty((k, j, i), dtype=wanted)
    if wanted == stored and (slope, shift) == (1.0, 0.0):
        _fill(stream, array)
        return array
    slice_ = np.empty((j, i), dtype=stored)
    for target in array:  # slice by slice: a whole second array would double the memory
        _fill(stream, slice_)
        _convert(slice_, slope, shift, target)
    return array


def _wanted_type(stored: np.dtype[Any], slope: float, shift: float) -> np.dtype[Any]:
    if stored.kind == "f" or slope != 1.0 or shift != round(shift):
        return np.dtype(np.float32)
    if shift == 0.0 and stored.itemsize <= 2:
        return stored.newbyteorder("=")
    return np.dtype(np.int16 if stored.itemsize <= 2 else np.int32)


def _convert(values: np.ndarray, slope: float, shift: float, out: np.ndarray) -> None:
    if out.dtype.kind == "f":
        out[...] = values.astype(np.float64) * slope + shift
        return
    # Saturated: beyond these limits there is only padding and metal. uint64 is cut before the
    # conversion because it does not fit int64.
    limits = np.iinfo(out.dtype)
    if values.dtype.kind == "u" and values.dtype.itemsize == 8:
        values = np.minimum(values, np.uint64(2**62))
    out[...] = np.clip(values.astype(np.int64) + int(shift), limits.min, limits.max)


def _fill(stream: IO[bytes], array: np.ndarray) -> None:
    view = memoryview(array).cast("B")  # type: ignore[arg-type]
    position = 0
    while position < len(view):
        count = stream.readinto(view[position:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        position += count
