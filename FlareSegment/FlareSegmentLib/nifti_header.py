"""Header of NIfTI-1 and NIfTI-2 files: layout, size, and position in the patient.

Format: https://nifti.nimh.nih.gov/nifti-1 (nifti1.h) and nifti-2 (nifti2.h).
"""

from __future__ import annotations

from typing import IO, Any, Literal

import numpy as np

from .checking import ASSUMED_POSITION, negative_spacing
from .errors import InputError
from .geometry import is_sheared

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

_LABEL_INTENT = 1002
_SCANNER_POSITION = 1
_MILLIMETRES = 2


def read_header(stream: IO[bytes], name: str) -> np.void:
    """Read the header at the start of a file, of either byte order.

    Raises
    ------
    EOFError
        When the file ends within it.
    InputError
        When it is no NIfTI header.
    """
    start = stream.read(4)
    order: Literal["<", ">"]
    for order in ("<", ">"):
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
        f"{name} is not a NIfTI file, although its name says so: its header is missing or "
        "damaged. Export the scan again."
    )


def header_shape(header: np.void) -> list[int]:
    """Give the file's dimensions i, j, k, ... without trailing ones beyond the third."""
    count = int(header["dim"][0])
    shape = [int(n) for n in header["dim"][1 : 1 + max(count, 0)]]
    while len(shape) > 3 and shape[-1] <= 1:
        shape.pop()
    return shape


def header_affine(header: np.void, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Give the RAS affine, in float32 precision as the format has it, and notes about it.

    Raises
    ------
    InputError
        When units or signs leave open where the voxels lie.
    """
    units = int(header["xyzt_units"]) & 7
    if units in (1, 3):
        raise InputError(
            f"{name} gives its voxel size in {'metres' if units == 1 else 'micrometres'}. "
            "Millimetres are needed: correct the units in the header."
        )
    q_affine = _qform(header) if header["qform_code"] > 0 else None
    if header["sform_code"] > 0:
        affine = np.eye(4)
        affine[:3] = header["srow"]
        corner = np.append(np.array(header_shape(header)[:3]) - 1, 1)
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
        raise negative_spacing(name)
    if q_affine is not None:
        return q_affine, ()
    affine = np.diag([*header["pixdim"][1:4].astype(np.float64), 1.0])
    affine[:2] *= -1  # left, posterior, superior
    return affine, (ASSUMED_POSITION,)


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


def label_header(shape: tuple[int, ...], affine: np.ndarray) -> bytes:
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
    if is_sheared(affine):
        return
    quaternion = Rotation.from_matrix(directions).as_quat(canonical=True)
    header["qform_code"] = _SCANNER_POSITION
    header["quatern"] = quaternion[:3]
    header["qoffset"] = affine[:3, 3]
