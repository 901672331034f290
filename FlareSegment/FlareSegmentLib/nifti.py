"""NIfTI-1 and NIfTI-2 files, read and written so that nothing goes wrong unnoticed.

Why not ITK's reader and writer (SimpleITK 2.5, tried with the cases in ``test_nifti.py``): a
truncated ``.nii`` or ``.nii.gz`` is filled up with zeros without a word, a full disk leaves a cut
file without a word, a sheared sform (tilted gantry) is refused or silently replaced by the qform
(another position), written it is bent to the nearest rotation, and any scaling turns int16 into
float32, twice the memory. Reading this way is 1.2 times faster too (512 x 512 x 300, int16).

Format: https://nifti.nimh.nih.gov/nifti-1 (nifti1.h) and nifti-2 (nifti2.h).
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from .checking import chosen_frame, complex_numbers, several_values, single_image
from .errors import InputError
from .volume import Volume

_FIELDS_1 = [
    ("sizeof_hdr", "i4"),
    ("unused", "V36"),
    ("dim", "i2", 8),
    ("intent_p", "f4", 3),
    ("intent_code", "i2"),
    ("datatype", "i2"),
    ("bitpix", "i2"),
    ("slice_start", "i2"),
    ("pixdim", "f4", 8),
    ("vox_offset", "f4"),
    ("scl_slope", "f4"),
    ("scl_inter", "f4"),
    ("slice_end", "i2"),
    ("slice_code", "u1"),
    ("xyzt_units", "u1"),
    ("display", "V24"),
    ("descrip", "S80"),
    ("aux_file", "S24"),
    ("qform_code", "i2"),
    ("sform_code", "i2"),
    ("quatern", "f4", 3),
    ("qoffset", "f4", 3),
    ("srow", "f4", (3, 4)),
    ("intent_name", "S16"),
    ("magic", "S4"),
]
_FIELDS_2 = [
    ("sizeof_hdr", "i4"),
    ("magic", "S8"),
    ("datatype", "i2"),
    ("bitpix", "i2"),
    ("dim", "i8", 8),
    ("intent_p", "f8", 3),
    ("pixdim", "f8", 8),
    ("vox_offset", "i8"),
    ("scl_slope", "f8"),
    ("scl_inter", "f8"),
    ("unused", "V48"),
    ("descrip", "S80"),
    ("aux_file", "S24"),
    ("qform_code", "i4"),
    ("sform_code", "i4"),
    ("quatern", "f8", 3),
    ("qoffset", "f8", 3),
    ("srow", "f8", (3, 4)),
    ("slice_code", "i4"),
    ("xyzt_units", "i4"),
    ("intent_code", "i4"),
    ("intent_name", "S16"),
    ("rest", "V16"),
]
_HEADERS: dict[int, Any] = {348: _FIELDS_1, 540: _FIELDS_2}

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

_LABEL_INTENT = 1002
_SCANNER_POSITION = 1
_MILLIMETRES = 2


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
            header = _read_header(cast(IO[bytes], stream), path)
            frames = _frames(header, path)
            index = chosen_frame(frames, frame, path.name)
            affine, notes = _affine(header, path)
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


def _read_header(stream: IO[bytes], path: Path) -> np.void:
    start = stream.read(4)
    for order in "<>":
        size = int(np.frombuffer(start.ljust(4, b"\0"), order + "i4")[0])
        if size not in _HEADERS:
            continue
        layout = np.dtype(_HEADERS[size]).newbyteorder(order)
        data = start + stream.read(size - 4)
        if len(data) < size:
            raise EOFError
        header: np.void = np.frombuffer(data, layout)[0]
        if header["magic"][:3] in (b"n+1", b"n+2"):
            return header
    raise InputError(
        f"{path.name} is not a NIfTI file, although its name says so: its header is missing or "
        "damaged. Export the scan again."
    )


def _shape(header: np.void) -> list[int]:
    """Give the file's dimensions i, j, k, ... without trailing ones beyond the third."""
    count = int(header["dim"][0])
    shape = [int(n) for n in header["dim"][1 : 1 + max(count, 0)]]
    while len(shape) > 3 and shape[-1] <= 1:
        shape.pop()
    return shape


def _frames(header: np.void, path: Path) -> int:
    """Give the number of 3D volumes in the file, or refuse what is no scalar volume."""
    code = int(header["datatype"])
    shape = _shape(header)
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
    voxels = int(np.prod(_shape(header)[:3], dtype=object)) * frames
    needed = voxels * np.dtype(_NUMBER_TYPES[int(header["datatype"])]).itemsize
    if needed > most:
        raise InputError(
            f"{path.name} is truncated: its header announces {needed:,} bytes of voxels, but the "
            "file is too small to hold them. Copy or download the file again."
        )


def _read_array(stream: IO[bytes], header: np.void, frame: int) -> np.ndarray:
    i, j, k = _shape(header)[:3]
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


def _affine(header: np.void, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Give the RAS affine, in float32 precision as the format has it, and notes about it."""
    units = int(header["xyzt_units"]) & 7
    if units in (1, 3):
        raise InputError(
            f"{path.name} gives its voxel size in {'metres' if units == 1 else 'micrometres'}. "
            "Millimetres are needed: correct the units in the header."
        )
    q_affine = _qform(header) if header["qform_code"] > 0 else None
    if header["sform_code"] > 0:
        affine = np.eye(4)
        affine[:3] = header["srow"]
        corner = np.append(np.array(_shape(header)[:3]) - 1, 1)
        apart = 0.0 if q_affine is None else float(np.abs((affine - q_affine) @ corner).max())
        if q_affine is not None:
            apart = max(apart, float(np.abs(affine - q_affine)[:3, 3].max()))
        if apart > 1.0:
            return affine, (
                f"The header gives two positions (sform and qform) that differ by {apart:.0f} mm; "
                "the sform was used. Another program may show the scan elsewhere.",
            )
        return affine, ()
    if (header["pixdim"][1:4] < 0).any():
        raise InputError(
            f"{path.name} has a negative voxel size in its header, so left and right cannot be "
            "told apart. Export the scan again, or correct its header."
        )
    if q_affine is not None:
        return q_affine, ()
    affine = np.diag([*header["pixdim"][1:4].astype(np.float64), 1.0])
    # Neither form: ITK, and with it Slicer, then takes the axes for left, posterior, superior.
    affine[:2] *= -1
    return affine, (
        "The header does not say how the scan lies in the patient; the usual order (left, "
        "posterior, superior) was assumed. Check that left and right are not swapped.",
    )


def _qform(header: np.void) -> np.ndarray:
    """Give the affine of the quaternion form (nifti1.h, method 2)."""
    b, c, d = header["quatern"].astype(np.float64)
    a = np.sqrt(max(1.0 - (b * b + c * c + d * d), 0.0))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    steps = header["pixdim"][1:4].astype(np.float64)
    if header["pixdim"][0] < 0:
        steps[2] = -steps[2]
    affine = np.eye(4)
    # float32 like the sform, so that a label map written with this affine reads back the same.
    affine[:3, :3] = (rotation * steps).astype(np.float32)
    affine[:3, 3] = header["qoffset"]
    return affine


def label_header(shape: tuple[int, int, int], affine: np.ndarray) -> bytes:
    """Give the NIfTI-1 header (352 bytes) of a uint8 label map of `shape` ``(k, j, i)``.

    The affine goes into the sform as it is, in float32. The qform is added only when it can say
    the same: readers that prefer it must not show a sheared label map somewhere else.
    """
    header = np.zeros((), dtype=np.dtype(_FIELDS_1).newbyteorder("<"))
    header["sizeof_hdr"] = 348
    header["dim"] = [3, *shape[::-1], 1, 1, 1, 1]
    header["intent_code"] = _LABEL_INTENT
    header["datatype"], header["bitpix"] = 2, 8
    header["pixdim"][0] = 1
    header["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0)
    header["vox_offset"] = 352
    header["scl_slope"] = 1
    header["xyzt_units"] = _MILLIMETRES
    header["descrip"] = b"FlareSegment label map"
    header["sform_code"] = _SCANNER_POSITION
    header["srow"] = affine[:3]
    header["magic"] = b"n+1"
    _set_qform(header, affine)
    return header.tobytes() + bytes(4)


def _set_qform(header: np.ndarray, affine: np.ndarray) -> None:
    from scipy.spatial.transform import Rotation  # here: 0.1 s that reading does not need

    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    if np.linalg.det(directions) < 0:
        header["pixdim"][0] = -1
        directions = directions * [1, 1, -1]
    if not np.allclose(directions.T @ directions, np.eye(3), atol=1e-4):
        header["qform_code"] = 0
        return
    quaternion = Rotation.from_matrix(directions).as_quat(canonical=True)
    header["qform_code"] = _SCANNER_POSITION
    header["quatern"] = quaternion[:3]
    header["qoffset"] = affine[:3, 3]
