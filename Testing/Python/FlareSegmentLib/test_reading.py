from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from FlareSegmentLib.errors import InputError, NotCTError
from FlareSegmentLib.geometry import image_affine
from FlareSegmentLib.reading import case_name, is_volume_file, read_label_map, read_volume

FORMATS = ["nii", "nii.gz", "nrrd", "nhdr", "mha", "mhd"]


def voxels(dtype: str = "int16", shape: tuple[int, ...] = (9, 10, 11)) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 2000, shape).astype(dtype)


def image_of(array: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-100.0, -50.0, 30.0))
    image.SetDirection((0, 0, 1, -1, 0, 0, 0, 1, 0))
    return image


def write(path: Path, array: np.ndarray) -> Path:
    sitk.WriteImage(image_of(array), str(path))
    return path


@pytest.mark.parametrize("suffix", FORMATS)
def test_each_format_gives_voxels_position_and_name(tmp_path: Path, suffix: str) -> None:
    volume = read_volume(write(tmp_path / f"patient.1.{suffix}", voxels()))
    np.testing.assert_array_equal(volume.array, voxels())
    assert volume.array.dtype == np.int16
    np.testing.assert_allclose(volume.affine, image_affine(image_of(voxels())), atol=1e-5)
    assert volume.name == "patient.1"
    assert volume.notes == ()


@pytest.mark.parametrize("suffix", FORMATS)
def test_spaces_and_letters_of_all_languages_in_the_path(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "Größe 患者 42"
    folder.mkdir()
    volume = read_volume(write(folder / f"Żółć äöü 腹部.{suffix}", voxels()))
    np.testing.assert_array_equal(volume.array, voxels())
    assert volume.name == "Żółć äöü 腹部"


def test_array_outlives_the_image_it_came_from(tmp_path: Path) -> None:
    volume = read_volume(write(tmp_path / "a.nrrd", voxels()))
    volume.array[0, 0, 0] += 1
    np.testing.assert_array_equal(volume.array.ravel()[1:], voxels().ravel()[1:])


@pytest.mark.parametrize(
    ("stored", "given"),
    [
        ("uint8", "uint8"),
        ("uint16", "uint16"),
        ("int32", "int32"),
        ("uint32", "int32"),
        ("int64", "int32"),
        ("float32", "float32"),
        ("float64", "float32"),
    ],
)
def test_number_types_of_nrrd(tmp_path: Path, stored: str, given: str) -> None:
    volume = read_volume(write(tmp_path / "a.nrrd", (voxels() % 200).astype(stored)))
    assert volume.array.dtype == np.dtype(given)
    np.testing.assert_array_equal(volume.array, voxels() % 200)


@pytest.mark.parametrize("suffix", ["nrrd", "mha", "nii.gz"])
def test_4d_needs_a_frame(tmp_path: Path, suffix: str) -> None:
    frames = voxels(shape=(3, 9, 10, 11))
    path = tmp_path / f"a.{suffix}"
    sitk.WriteImage(sitk.JoinSeries([image_of(frame) for frame in frames]), str(path))
    with pytest.raises(InputError, match=r"holds 3 volumes .* from 0 to 2"):
        read_volume(path)
    with pytest.raises(InputError, match="no frame 3"):
        read_volume(path, frame=3)
    volume = read_volume(path, frame=1)
    np.testing.assert_array_equal(volume.array, frames[1])
    np.testing.assert_allclose(volume.affine, image_affine(image_of(frames[1])), atol=1e-5)


def test_slicer_sequence_is_a_list_of_frames(tmp_path: Path) -> None:
    frames = voxels(shape=(9, 10, 11, 2))  # the list is the fastest axis
    header = (
        "NRRD0005\ntype: short\ndimension: 4\nspace: left-posterior-superior\n"
        "sizes: 2 11 10 9\nspace directions: none (0.7,0,0) (0,0.8,0) (0,0,2.5)\n"
        "kinds: list domain domain domain\nendian: little\nencoding: raw\n"
        "space origin: (1,2,3)\n\n"
    )
    path = tmp_path / "a.seq.nrrd"
    path.write_bytes(header.encode() + frames.tobytes())
    np.testing.assert_array_equal(read_volume(path, frame=1).array, frames[..., 1])
    with pytest.raises(InputError, match="holds 2 volumes"):
        read_volume(path)


@pytest.mark.parametrize("suffix", ["nrrd", "mha", "nii.gz"])
def test_no_scalar_volume_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    color = sitk.GetImageFromArray(voxels("uint8", (9, 10, 11, 3)), isVector=True)
    sitk.WriteImage(color, str(path))
    with pytest.raises(NotCTError, match="several values per voxel"):
        read_volume(path)
    sitk.WriteImage(sitk.GetImageFromArray(voxels(shape=(10, 11))), str(path))
    with pytest.raises(NotCTError, match="single 2D image"):
        read_volume(path)


def test_complex_nrrd_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mha"
    sitk.WriteImage(sitk.GetImageFromArray(voxels().astype(np.complex64)), str(path))
    with pytest.raises(NotCTError, match=r"complex numbers|several values"):
        read_volume(path)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("suffix", ["nii", "nii.gz", "nrrd", "mha"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_truncated_file_is_refused(
    tmp_path: Path, suffix: str, compressed: bool, share: float
) -> None:
    path = tmp_path / f"a.{suffix}"
    sitk.WriteImage(image_of(voxels()), str(path), useCompression=compressed)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=r"truncated|not a NIfTI file"):
        read_volume(path)


@pytest.mark.parametrize("suffix", ["nhdr", "mhd"])
def test_header_without_its_data_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a.{suffix}", voxels())
    for data in tmp_path.iterdir():
        if data != path:
            data.unlink()
    with pytest.raises(InputError, match="data file is missing"):
        read_volume(path)


def test_impossible_spacing_in_the_header_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mha", voxels())
    path.write_bytes(re.sub(rb"ElementSpacing = \S+", b"ElementSpacing = 0", path.read_bytes()))
    with pytest.raises(InputError, match="impossible voxel size"):
        read_volume(path)


def test_what_is_no_scan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file or folder"):
        read_volume(tmp_path / "missing.nii.gz")
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(InputError, match="no known format"):
        read_volume(tmp_path / "a.txt")
    (tmp_path / "IM0001").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(InputError, match="give the folder"):
        read_volume(tmp_path / "IM0001")
    with pytest.raises(InputError, match="is a segmentation, not a scan"):
        read_volume(write(tmp_path / "a.seg.nrrd", voxels("uint8")))
    with pytest.raises(InputError, match="only be chosen in a DICOM folder"):
        read_volume(write(tmp_path / "a.nrrd", voxels()), series="3")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no DICOM images"):
        read_volume(tmp_path / "empty")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="access rights are tested the POSIX way")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_unreadable_file_and_folder_are_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "secret"
    if what == "file":
        path = write(tmp_path / "secret.nii.gz", voxels())
    else:
        path.mkdir()
    path.chmod(0)
    # root may read everything, so a child gives up that right first.
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            read_volume(path)
            os.write(sending, b"was read")
        except InputError as error:
            os.write(sending, str(error).encode())
        except BaseException as error:
            os.write(sending, repr(error).encode())
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    path.chmod(0o700)
    assert "not permitted" in text
    assert "Change its access rights" in text


def test_case_names(tmp_path: Path) -> None:
    assert case_name(Path("a/b/scan.v2.NII.GZ")) == "scan.v2"
    assert case_name(Path("scan.seg.nrrd")) == "scan"
    assert case_name(Path("scan.mha")) == "scan"
    assert case_name(tmp_path) == tmp_path.name
    (tmp_path / "study.nii").mkdir()
    assert case_name(tmp_path / "study.nii") == "study.nii"


def test_volume_files_are_known_by_name() -> None:
    names = ["a.nii", "a.NII.gz", "a.nrrd", "a.mhd", "a.seg.nrrd", "a.gz", "a.dcm", "a.raw"]
    assert [is_volume_file(Path(name)) for name in names] == [True] * 4 + [False] * 4


@pytest.mark.parametrize("suffix", FORMATS)
def test_label_map_of_each_format(tmp_path: Path, suffix: str) -> None:
    labels = (voxels() % 15).astype(np.uint8)
    array, affine = read_label_map(write(tmp_path / f"a.{suffix}", labels))
    np.testing.assert_array_equal(array, labels)
    assert array.dtype.kind in "iu"
    np.testing.assert_allclose(affine, image_affine(image_of(labels)), atol=1e-5)


def test_labels_stored_as_whole_floats_become_integers(tmp_path: Path) -> None:
    labels = voxels() % 15
    array, _ = read_label_map(write(tmp_path / "a.nii.gz", labels.astype(np.float32)))
    assert array.dtype == np.int32
    np.testing.assert_array_equal(array, labels)


def test_fractions_and_nan_are_no_labels(tmp_path: Path) -> None:
    for value in (0.5, np.nan, np.inf):
        array = np.zeros((9, 10, 11), np.float32)
        array[3, 3, 3] = value
        with pytest.raises(InputError, match="not a label map"):
            read_label_map(write(tmp_path / "a.nii.gz", array))


def test_label_map_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        read_label_map(tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match="no known format"):
        read_label_map(tmp_path)


def test_reading_a_nifti_file_imports_neither_torch_nor_itk(
    tmp_path: Path, repository: Path
) -> None:
    # Start-up time: both take longer to import than a small scan to segment.
    path = write(tmp_path / "a.nii.gz", voxels())
    code = (
        "import sys; from FlareSegmentLib.reading import read_volume; "
        f"read_volume({str(path)!r}); "
        "print([m for m in ('torch', 'SimpleITK', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
