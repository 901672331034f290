from __future__ import annotations

import gzip
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from FlareSegmentLib.errors import OutputError
from FlareSegmentLib.geometry import image_affine
from FlareSegmentLib.labels import target_by_key, targets
from FlareSegmentLib.nifti import read_nifti
from FlareSegmentLib.reading import read_label_map, read_volume
from FlareSegmentLib.writing import LABEL_MAP_SUFFIXES, replaced_file, write_label_map

AFFINE = np.array([[-0.8, 0, 0, 101.5], [0, -0.8, 0, 77.25], [0, 0, 2.5, -30], [0, 0, 0, 1.0]])
TILTED = np.array([[-0.8, 0, 0, 10], [0, -0.7, -1.2, 20], [0, 0, 2.5, -30], [0, 0, 0, 1.0]])


def labels(shape: tuple[int, int, int] = (9, 10, 11)) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 15, shape).astype(np.uint8)


def oblique() -> np.ndarray:
    affine = np.eye(4)
    rotation = Rotation.from_euler("xyz", (12, -7, 33), degrees=True).as_matrix()
    affine[:3, :3] = rotation @ np.diag([-0.68359375, 0.7, 1.3])
    affine[:3, 3] = (1 / 3, -200.123456789, 55.5)
    return affine


@pytest.mark.parametrize("suffix", LABEL_MAP_SUFFIXES)
@pytest.mark.parametrize("affine", [AFFINE, oblique()], ids=["aligned", "oblique"])
def test_other_programs_read_what_was_written(
    tmp_path: Path, suffix: str, affine: np.ndarray
) -> None:
    path = tmp_path / f"case_seg{suffix}"
    write_label_map(path, labels(), affine, targets())
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(image), labels())
    assert image.GetPixelID() == sitk.sitkUInt8
    tolerance = 2e-5 if suffix == ".nii.gz" else 1e-12
    np.testing.assert_allclose(image_affine(image), affine, atol=tolerance)


@pytest.mark.parametrize("suffix", LABEL_MAP_SUFFIXES)
@pytest.mark.parametrize("affine", [AFFINE, oblique(), TILTED], ids=["aligned", "oblique", "tilt"])
def test_read_back_by_ourselves(tmp_path: Path, suffix: str, affine: np.ndarray) -> None:
    path = tmp_path / f"case_seg{suffix}"
    write_label_map(path, labels(), affine, targets())
    array, again = read_label_map(path)
    np.testing.assert_array_equal(array, labels())
    expected = affine.astype(np.float32) if suffix == ".nii.gz" else affine
    np.testing.assert_allclose(again, expected, rtol=0, atol=0 if suffix == ".nii.gz" else 1e-12)


@pytest.mark.parametrize("source", ["nii.gz", "nrrd", "mha"])
@pytest.mark.parametrize("suffix", LABEL_MAP_SUFFIXES)
def test_grid_of_an_axis_aligned_scan_is_kept(tmp_path: Path, source: str, suffix: str) -> None:
    scan = sitk.GetImageFromArray(np.zeros((9, 10, 11), np.int16))
    # Values that NIfTI's float32 can hold, else only the other formats could keep them.
    spacing = np.float32([0.6835939884185791, 0.7, 2.499999]).astype(float)
    origin = np.float32([-171.3, 1 / 3, 1234.5678]).astype(float)
    scan.SetSpacing(spacing.tolist())
    scan.SetOrigin(origin.tolist())
    scan.SetDirection((0, -1, 0, 0, 0, 1, -1, 0, 0))
    given = tmp_path / f"scan.{source}"
    sitk.WriteImage(scan, str(given))
    path = tmp_path / f"seg{suffix}"
    write_label_map(path, labels(), read_volume(given).affine, targets())
    scan, result = sitk.ReadImage(str(given)), sitk.ReadImage(str(path))
    assert result.GetSize() == scan.GetSize()
    # To the bit, but for NRRD: it has no spacing of its own, and ITK takes the length of a vector.
    last_digit = 4e-16 if "nrrd" in source + suffix else 0
    for get in ("GetSpacing", "GetOrigin", "GetDirection"):
        expected = getattr(scan, get)()
        np.testing.assert_allclose(getattr(result, get)(), expected, rtol=last_digit, atol=0)


def test_grid_of_real_scans_is_kept(shared_data: Path, tmp_path: Path) -> None:
    for scan in sorted((shared_data / "validation").glob("[at]*_label.nii.gz")):
        volume = read_nifti(scan)
        array = np.where(volume.array == 255, 0, volume.array).astype(np.uint8)
        path = tmp_path / "seg.nii.gz"
        write_label_map(path, array, volume.affine, targets())
        again = read_nifti(path)
        np.testing.assert_array_equal(again.affine, volume.affine)
        np.testing.assert_array_equal(again.array, array)


def test_nifti_of_a_tilted_scan_is_never_shown_elsewhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "seg.nii.gz"
    write_label_map(path, labels(), oblique(), targets())
    assert caplog.text == ""
    write_label_map(path, labels(), TILTED, targets())
    assert "seg.nrrd are read by them" in caplog.text
    header = gzip.decompress(path.read_bytes())[:348]
    assert np.frombuffer(header, "<i2", 2, 252).tolist() == [0, 1]  # qform_code, sform_code
    with pytest.raises(RuntimeError):  # ITK refuses shear; it must not fall back to another place
        sitk.ReadImage(str(path))


def test_left_handed_grid_gets_a_quaternion_that_agrees(tmp_path: Path) -> None:
    affine = oblique() @ np.diag([1, 1, -1, 1])
    for handed in (affine, oblique()):
        path = tmp_path / "seg.nii.gz"
        write_label_map(path, labels(), handed, targets())
        data = bytearray(gzip.decompress(path.read_bytes()))
        data[254:256] = bytes(2)  # without the sform, readers use the quaternion
        path.write_bytes(gzip.compress(bytes(data)))
        np.testing.assert_allclose(read_nifti(path).affine, handed, atol=1e-4)
        np.testing.assert_allclose(image_affine(sitk.ReadImage(str(path))), handed, atol=1e-4)


@pytest.mark.parametrize("suffix", LABEL_MAP_SUFFIXES)
def test_views_are_written_like_copies(tmp_path: Path, suffix: str) -> None:
    view = labels().transpose(2, 0, 1)[::-1, :, ::-1]
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    write_label_map(first, view, AFFINE, targets())
    write_label_map(second, view.copy(), AFFINE, targets())
    assert first.read_bytes() == second.read_bytes()
    np.testing.assert_array_equal(read_label_map(first)[0], view)


def test_empty_result_can_be_written(tmp_path: Path) -> None:
    for suffix in LABEL_MAP_SUFFIXES:
        path = tmp_path / f"a{suffix}"
        write_label_map(path, np.zeros((9, 10, 11), np.uint8), AFFINE, targets())
        assert sitk.ReadImage(str(path)).GetSize() == (11, 10, 9)


def test_path_with_spaces_and_letters_of_all_languages(tmp_path: Path) -> None:
    folder = tmp_path / "Größe 患者"
    folder.mkdir()
    for suffix in LABEL_MAP_SUFFIXES:
        path = folder / f"Żółć äöü 腹部{suffix}"
        write_label_map(path, labels(), AFFINE, targets())
        np.testing.assert_array_equal(read_label_map(path)[0], labels())


def test_longest_possible_name(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 248 + ".nii.gz")
    write_label_map(path, labels(), AFFINE, targets())
    assert path.exists()


def test_wrong_arrays_and_endings_are_the_callers_fault(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3D uint8"):
        write_label_map(tmp_path / "a.nii.gz", labels().astype(np.int16), AFFINE, targets())
    with pytest.raises(ValueError, match="3D uint8"):
        write_label_map(tmp_path / "a.nii.gz", labels()[0], AFFINE, targets())
    with pytest.raises(ValueError, match="ending"):
        write_label_map(tmp_path / "a.png", labels(), AFFINE, targets())
    with pytest.raises(ValueError, match="without a target"):
        write_label_map(tmp_path / "a.seg.nrrd", labels(), AFFINE, [target_by_key("liver")])
    assert list(tmp_path.iterdir()) == []


def test_existing_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "seg.nii.gz"
    path.write_bytes(b"old")
    with replaced_file(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_halfway_keeps_the_old_file_and_leaves_nothing(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "seg.nii.gz"
    path.write_bytes(b"old")

    def stop_halfway() -> None:
        with replaced_file(path) as file:
            file.write(b"half of the new")
            raise error

    with pytest.raises(error):
        stop_halfway()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="umask is POSIX")
def test_result_has_ordinary_access_rights(tmp_path: Path) -> None:
    path = tmp_path / "seg.nii.gz"
    before = os.umask(0o022)
    try:
        write_label_map(path, labels(), AFFINE, targets())
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_missing_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        write_label_map(tmp_path / "missing" / "a.nii.gz", labels(), AFFINE, targets())
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="there is no folder"):
        write_label_map(tmp_path / "file" / "a.nii.gz", labels(), AFFINE, targets())


def test_folder_of_that_name_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.mkdir()
    with pytest.raises(OutputError, match="a folder has that name"):
        write_label_map(path, labels(), AFFINE, targets())
    assert list(tmp_path.iterdir()) == [path]


WRITE_IN_A_CHILD = """
import os, resource, sys
from pathlib import Path
import numpy as np
from FlareSegmentLib.errors import OutputError
from FlareSegmentLib.labels import targets
from FlareSegmentLib.writing import write_label_map
array = np.random.default_rng(0).integers(0, 15, (20, 100, 100)).astype(np.uint8)
targets()
{limit}
try:
    write_label_map(Path(sys.argv[1]), array, np.eye(4), targets())
except OutputError as error:
    print(error)
"""


def write_in_a_child(path: Path, limit: str) -> str:
    code = WRITE_IN_A_CHILD.format(limit=limit)
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.skipif(os.name != "posix", reason="limits of a process are set the POSIX way")
@pytest.mark.parametrize("suffix", LABEL_MAP_SUFFIXES)
def test_no_space_is_a_sentence_and_leaves_the_old_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"seg{suffix}"
    path.write_bytes(b"old")
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))"
    said = write_in_a_child(path, limit)
    assert "there is no space left" in said
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's always full device")
def test_full_disk_is_told_from_the_systems_own_answer() -> None:
    with (
        pytest.raises(OSError, match="No space left") as raised,
        open("/dev/full", "wb", buffering=0) as full,
    ):
        full.write(b"x")
    with pytest.raises(OutputError, match="no space left"), replaced_file(Path("x")):
        raise raised.value
    assert not Path("x").exists()


@pytest.mark.skipif(os.name != "posix", reason="access rights are tested the POSIX way")
def test_folder_that_may_not_be_written_is_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(parent.stat().st_mode | 0o055)
    # root may write everywhere, so the child gives up that right after its imports.
    said = write_in_a_child(folder / "a.nii.gz", "os.getuid() == 0 and os.setuid(65534)")
    assert "not permitted" in said
    assert list(folder.iterdir()) == []
