"""NIfTI files are written here byte by byte, or by SimpleITK, never by the code under test."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from FlareSegmentLib.errors import InputError, NotCTError
from FlareSegmentLib.geometry import image_affine
from FlareSegmentLib.nifti import read_nifti

CODES = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "u2": 512, "u4": 768, "i8": 1024}
SFORM = np.array([[-0.8, 0, 0, 10], [0, -0.7, 0, 20], [0, 0, 2.5, -30], [0, 0, 0, 1.0]])
TILTED = np.array([[-0.8, 0, 0, 10], [0, -0.7, -1.2, 20], [0, 0, 2.5, -30], [0, 0, 0, 1.0]])


def voxels(dtype: str = "i2", shape: tuple[int, ...] = (9, 10, 11)) -> np.ndarray:
    values = np.random.default_rng(1).integers(-1000, 1000, shape)
    return (values if dtype[0] != "u" else values + 1000).astype(dtype)


def write(
    path: Path,
    array: np.ndarray,
    sform: np.ndarray | None = SFORM,
    order: str = "<",
    code: int | None = None,
    dim: list[int] | None = None,
    **fields: Any,
) -> Path:
    """Write a NIfTI-1 file as nifti1.h describes it."""
    header = bytearray(352)
    dim = dim or [array.ndim, *array.shape[::-1]]
    pixdim = fields.get("pixdim", [1, 1, 1, 1, 0, 0, 0, 0])
    struct.pack_into(order + "i", header, 0, 348)
    struct.pack_into(order + "8h", header, 40, *dim, *[1] * (8 - len(dim)))
    kind = array.dtype.str[1:]
    struct.pack_into(order + "2h", header, 70, code or CODES[kind], 8 * array.dtype.itemsize)
    struct.pack_into(order + "8f", header, 76, *pixdim)
    scaling = fields.get("slope", 0), fields.get("shift", 0)
    struct.pack_into(order + "3f", header, 108, 352, *scaling)
    header[123] = fields.get("units", 2)
    if "quaternion" in fields:
        struct.pack_into(order + "h", header, 252, 1)
        struct.pack_into(order + "6f", header, 256, *fields["quaternion"], *fields["offset"])
    if sform is not None:
        struct.pack_into(order + "h", header, 254, 1)
        struct.pack_into(order + "12f", header, 280, *sform[:3].ravel())
    header[344:348] = b"n+1\0"
    data = bytes(header) + array.astype(array.dtype.newbyteorder(order)).tobytes()
    path.write_bytes(gzip.compress(data) if path.name.endswith("gz") else data)
    return path


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4"])
def test_voxels_come_back_as_stored(tmp_path: Path, name: str, order: str, dtype: str) -> None:
    array = voxels(dtype)
    volume = read_nifti(write(tmp_path / name, array, order=order))
    np.testing.assert_array_equal(volume.array, array)
    assert volume.array.dtype == array.dtype
    np.testing.assert_array_equal(volume.affine, SFORM.astype(np.float32))


@pytest.mark.parametrize(
    ("dtype", "slope", "shift", "expected"),
    [
        ("i2", 1, -1024, "i2"),
        ("u2", 1, -1024, "i2"),
        ("u1", 1, -100, "i2"),
        ("i4", 1, -1024, "i4"),
        ("i2", 1, 0, "i2"),
        ("i2", 0, 5, "i2"),  # nifti1.h: slope 0 means that neither is used
        ("i2", 2, 0, "f4"),
        ("i2", 1, 0.5, "f4"),
        ("f4", 0.5, 3, "f4"),
        ("f8", 1, 0, "f4"),
        ("i8", 1, 0, "i4"),
        ("u4", 1, 0, "i4"),
    ],
)
def test_scaling_is_applied_in_the_narrowest_type(
    tmp_path: Path, dtype: str, slope: float, shift: float, expected: str
) -> None:
    array = voxels(dtype)
    path = write(tmp_path / "scan.nii.gz", array, slope=slope, shift=shift)
    volume = read_nifti(path)
    wanted = array.astype(np.float64) * slope + shift if slope else array
    np.testing.assert_allclose(volume.array, wanted, rtol=1e-6)
    assert volume.array.dtype == np.dtype(expected)


def test_shifted_padding_does_not_wrap_around_to_metal(tmp_path: Path) -> None:
    array = voxels()
    array[0, 0, 0], array[0, 0, 1] = -32768, 32767
    volume = read_nifti(write(tmp_path / "scan.nii", array, slope=1, shift=-1024))
    assert volume.array[0, 0, :2].tolist() == [-32768, 31743]


def test_agrees_with_itk_on_rotated_grids(tmp_path: Path) -> None:
    path = str(tmp_path / "scan.nii.gz")
    for rotation in Rotation.random(10, rng=np.random.default_rng(2)):
        image = sitk.GetImageFromArray(voxels())
        image.SetSpacing((0.7, 0.9, 3.0))
        image.SetOrigin((-100.0, 20.0, 3.5))
        image.SetDirection(rotation.as_matrix().ravel().tolist())
        sitk.WriteImage(image, path)
        volume = read_nifti(Path(path))
        np.testing.assert_array_equal(volume.array, voxels())
        np.testing.assert_allclose(volume.affine, image_affine(image), atol=2e-5)


@pytest.mark.parametrize("flip", [1, -1])
def test_quaternion_form_agrees_with_itk(tmp_path: Path, flip: int) -> None:
    for rotation in Rotation.random(10, rng=np.random.default_rng(3)):
        quaternion = rotation.as_quat(canonical=True)[:3]
        path = write(
            tmp_path / "scan.nii",
            voxels(),
            sform=None,
            quaternion=quaternion,
            offset=(5, 6, 7),
            pixdim=[flip, 0.7, 0.8, 2.5, 0, 0, 0, 0],
        )
        expected = image_affine(sitk.ReadImage(str(path)))
        np.testing.assert_allclose(read_nifti(path).affine, expected, atol=1e-5)


def test_header_without_position_is_read_as_itk_does_and_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.nii", voxels(), sform=None, pixdim=[1, 0.7, 0.8, 2.5, 0, 0, 0, 0])
    volume = read_nifti(path)
    np.testing.assert_allclose(volume.affine, image_affine(sitk.ReadImage(str(path))), atol=1e-7)
    assert "left and right" in volume.notes[0]


def test_sheared_sform_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "tilted.nii.gz", voxels(), TILTED)
    volume = read_nifti(path)
    np.testing.assert_array_equal(volume.affine, TILTED.astype(np.float32))
    with pytest.raises(RuntimeError):  # why ITK is not used here
        sitk.ReadImage(str(path))


def test_differing_forms_are_noted_and_the_sform_wins(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii", voxels(), TILTED, quaternion=(0, 0, 1), offset=(10, 20, -30))
    volume = read_nifti(path)
    np.testing.assert_array_equal(volume.affine, TILTED.astype(np.float32))
    assert "differ by" in volume.notes[0]


def test_agreeing_forms_need_no_note(tmp_path: Path) -> None:
    sform = np.diag([-1.0, -1.0, 1.0, 1.0])
    path = write(tmp_path / "a.nii", voxels(), sform, quaternion=(0, 0, 1), offset=(0, 0, 0))
    assert read_nifti(path).notes == ()


def test_nifti_2_is_read(tmp_path: Path) -> None:
    array = voxels()
    header = bytearray(544)
    struct.pack_into("<i8s2h", header, 0, 540, b"n+2\0\r\n\x1a\n", 4, 16)
    struct.pack_into("<8q", header, 16, 3, *array.shape[::-1], 1, 1, 1, 1)
    struct.pack_into("<8d", header, 104, 1, 0.8, 0.7, 2.5, 0, 0, 0, 0)
    struct.pack_into("<q2d", header, 168, 544, 1, -24)
    struct.pack_into("<2i", header, 344, 0, 1)
    struct.pack_into("<12d", header, 400, *SFORM[:3].ravel())
    struct.pack_into("<i", header, 500, 2)
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(bytes(header) + array.tobytes()))
    volume = read_nifti(path)
    np.testing.assert_array_equal(volume.array, array - 24)
    np.testing.assert_array_equal(volume.affine, SFORM)


def test_compressed_in_several_members(tmp_path: Path) -> None:
    data = write(tmp_path / "scan.nii", voxels()).read_bytes()
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(data[:1000]) + gzip.compress(data[1000:]))
    np.testing.assert_array_equal(read_nifti(path).array, voxels())


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_frame_of_a_4d_file(tmp_path: Path, name: str) -> None:
    array = voxels(shape=(3, 8, 9, 10))
    path = write(tmp_path / name, array)
    for frame in range(3):
        np.testing.assert_array_equal(read_nifti(path, frame).array, array[frame])


def test_4d_without_a_choice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.nii.gz", voxels(shape=(3, 8, 9, 10)))
    with pytest.raises(InputError, match=r"holds 3 volumes .* frame from 0 to 2"):
        read_nifti(path)
    with pytest.raises(InputError, match="no frame 3"):
        read_nifti(path, 3)
    with pytest.raises(InputError, match="no frame -1"):
        read_nifti(path, -1)


def test_single_frame_needs_no_choice(tmp_path: Path) -> None:
    array = voxels(shape=(1, 8, 9, 10))
    assert read_nifti(write(tmp_path / "scan.nii.gz", array)).array.shape == (8, 9, 10)


def test_no_scalar_volume_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii"
    with pytest.raises(NotCTError, match="single 2D image"):
        read_nifti(write(path, voxels(shape=(9, 10))))
    with pytest.raises(NotCTError, match="color"):
        read_nifti(write(path, voxels("u1", (9, 10, 33)), dim=[3, 11, 10, 9], code=128))
    with pytest.raises(NotCTError, match="vector"):
        read_nifti(write(path, voxels(shape=(3, 1, 9, 10, 11))))
    with pytest.raises(NotCTError, match="complex"):
        read_nifti(write(path, voxels("f4", (9, 10, 22)), dim=[3, 11, 10, 9], code=32))
    with pytest.raises(InputError, match="datatype 1536"):
        read_nifti(write(path, voxels("f4"), code=1536))


@pytest.mark.parametrize("keep", [0, 2, 100, 351, 352, 1000, -1])
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_truncated_file_is_refused(tmp_path: Path, name: str, keep: int) -> None:
    path = write(tmp_path / name, voxels())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"truncated|not a NIfTI file"):
        read_nifti(path)


def test_compressed_file_with_too_few_voxels_is_refused(tmp_path: Path) -> None:
    # The compressed stream itself is whole: the program that wrote it was stopped.
    data = write(tmp_path / "whole.nii", voxels()).read_bytes()
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(data[:-1]))
    with pytest.raises(InputError, match="truncated"):
        read_nifti(path)


@pytest.mark.parametrize("place", [0.2, 0.5, 0.9])
def test_damaged_compressed_data_is_refused(tmp_path: Path, place: float) -> None:
    path = write(tmp_path / "scan.nii.gz", voxels())
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(InputError, match="truncated or damaged"):
        read_nifti(path)


def test_wrong_checksum_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.nii.gz", voxels())
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="checksum"):
        read_nifti(path)


def test_header_that_asks_for_terabytes_takes_no_memory(tmp_path: Path) -> None:
    for name in ("scan.nii", "scan.nii.gz"):
        path = write(tmp_path / name, voxels(), dim=[3, 32767, 32767, 32767])
        with pytest.raises(InputError, match="truncated"):
            read_nifti(path)


def test_other_content_under_the_name_is_refused(tmp_path: Path) -> None:
    for name, content in [("a.nii", b"\x89PNG" + bytes(500)), ("b.nii.gz", b"hello" * 100)]:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match="not a NIfTI file"):
            read_nifti(path)


def test_unusable_position_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii"
    with pytest.raises(InputError, match="metres"):
        read_nifti(write(path, voxels(), units=1))
    with pytest.raises(InputError, match="micrometres"):
        read_nifti(write(path, voxels(), units=3))
    with pytest.raises(InputError, match="negative voxel size"):
        read_nifti(write(path, voxels(), sform=None, pixdim=[1, -1, 1, 1, 0, 0, 0, 0]))


def test_time_units_do_not_matter(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.nii", voxels(), units=2 + 8)
    np.testing.assert_array_equal(read_nifti(path).array, voxels())


def test_real_scans_agree_with_itk(shared_data: Path) -> None:
    for path in sorted((shared_data / "validation").glob("[at]*.nii.gz")):
        volume, image = read_nifti(path), sitk.ReadImage(str(path))
        np.testing.assert_array_equal(volume.array, sitk.GetArrayViewFromImage(image))
        np.testing.assert_allclose(volume.affine, image_affine(image), atol=1e-5)
        assert volume.notes == ()
