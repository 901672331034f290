"""What NRRD and MetaImage headers say, and do not say, of how a scan lies in the patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from FlareSegmentLib.checking import ASSUMED_POSITION
from FlareSegmentLib.errors import InputError
from FlareSegmentLib.reading import read_volume


def voxels() -> np.ndarray:
    return np.random.default_rng(4).integers(0, 2000, (9, 10, 11)).astype("int16")


@pytest.mark.parametrize("suffix", ["nrrd", "mha", "mhd"])
def test_negative_spacing_is_refused_not_mirrored(tmp_path: Path, suffix: str) -> None:
    """ITK makes a mirrored axis of it, so that the left kidney would become the right one."""
    path = tmp_path / f"a.{suffix}"
    if suffix == "nrrd":
        header = "NRRD0004\ntype: short\ndimension: 3\nsizes: 11 10 9\nspacings: -1 1 2\n"
        data = voxels().tobytes()
        path.write_bytes(f"{header}endian: little\nencoding: raw\n\n".encode() + data)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(voxels()), str(path))
        found, least = b"ElementSpacing = ", b"ElementSpacing = -"
        path.write_bytes(path.read_bytes().replace(found, least))
    with pytest.raises(InputError, match="negative voxel size"):
        read_volume(path)


@pytest.mark.parametrize(
    "space", ["", "space: scanner-xyz\n", "space: 3D-right-handed\n", "space dimension: 3\n"]
)
def test_nrrd_without_patient_directions_says_so(tmp_path: Path, space: str) -> None:
    directions = "space directions: (1,0,0) (0,1,0) (0,0,2)\n" if space else "spacings: 1 1 2\n"
    header = f"NRRD0004\ntype: short\ndimension: 3\n{space}sizes: 11 10 9\n{directions}"
    path = tmp_path / "a.nrrd"
    path.write_bytes(f"{header}endian: little\nencoding: raw\n\n".encode() + voxels().tobytes())
    volume = read_volume(path)
    assert volume.notes == (ASSUMED_POSITION,)
    np.testing.assert_allclose(np.diag(volume.affine), [-1, -1, 2, 1])


@pytest.mark.parametrize("space", ["RAS", "left-anterior-superior", "Left-Posterior-Superior"])
def test_nrrd_spaces_of_the_patient_are_followed(tmp_path: Path, space: str) -> None:
    header = (
        f"NRRD0004\ntype: short\ndimension: 3\nspace: {space}\nsizes: 11 10 9\n"
        "space directions: (1,0,0) (0,1,0) (0,0,2)\nendian: little\nencoding: raw\n\n"
    )
    path = tmp_path / "a.nrrd"
    path.write_bytes(header.encode() + voxels().tobytes())
    signs = {"RAS": (1, 1), "left-anterior-superior": (-1, 1), "Left-Posterior-Superior": (-1, -1)}
    volume = read_volume(path)
    assert volume.notes == ()
    np.testing.assert_allclose(np.diag(volume.affine), [*signs[space], 2, 1])


def test_meta_image_without_directions_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.mhd"
    sitk.WriteImage(sitk.GetImageFromArray(voxels()), str(path))
    kept = [line for line in path.read_text().splitlines() if not line.startswith("Transform")]
    path.write_text("\n".join(kept) + "\n")
    assert read_volume(path).notes == (ASSUMED_POSITION,)


def test_sheared_nrrd_is_kept(tmp_path: Path) -> None:
    header = (
        "NRRD0005\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 11 10 9\n"
        "space directions: (0.7,0,0) (0,0.8,0) (0,1.2,2.5)\nkinds: domain domain domain\n"
        "endian: little\nencoding: raw\nspace origin: (1,2,3)\n\n"
    )
    path = tmp_path / "tilted.nrrd"
    path.write_bytes(header.encode() + voxels().tobytes())
    expected = [[-0.7, 0, 0, -1], [0, -0.8, -1.2, -2], [0, 0, 2.5, 3], [0, 0, 0, 1]]
    np.testing.assert_allclose(read_volume(path).affine, expected, atol=1e-12)
