"""Arrays of an ``.npz`` file without reading them: mapped into memory, page by page as needed.

NumPy maps ``.npy`` files only. In an archive that is not compressed every member lies as it is,
so it can be mapped too; written here it begins at a multiple of 64 bytes, as an array should.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_ALIGNMENT = 64

_HEADER = 30
"""Bytes of a member's header in a zip archive, before its name and its extra field."""

_PADDING = 0xD935
"""Kind of extra field that holds nothing but padding, as Android's zipalign writes it."""


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays uncompressed and aligned; `numpy.load` reads the file as any other."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            member = zipfile.ZipInfo(f"{name}.npy")
            assert archive.fp is not None
            start = archive.fp.tell() + _HEADER + len(member.filename)
            padding = -start % _ALIGNMENT
            # An extra field takes four bytes itself.
            padding += _ALIGNMENT if padding < 4 else 0
            member.extra = struct.pack("<HH", _PADDING, padding - 4) + bytes(padding - 4)
            archive.writestr(member, content.getvalue())


def map_npz(path: Path) -> dict[str, np.ndarray] | None:
    """Arrays of an uncompressed file, mapped; writing to them changes memory, not the file.

    Returns
    -------
    None when a member is compressed: such a file can only be read whole.
    """
    arrays: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:
                return None
            # The lengths of the archive's directory may be others than those at the member.
            file.seek(member.header_offset)
            name, extra = struct.unpack("<26xHH", file.read(_HEADER))
            file.seek(member.header_offset + _HEADER + name + extra)
            version = np.lib.format.read_magic(file)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, fortran, dtype = read(file)
            arrays[member.filename.removesuffix(".npy")] = np.memmap(
                path, dtype, "c", file.tell(), shape, "F" if fortran else "C"
            )
    return arrays
