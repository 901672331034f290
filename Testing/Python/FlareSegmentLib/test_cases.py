from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from FlareSegmentLib.cases import Case, find_cases
from FlareSegmentLib.errors import InputError


def write_scan(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((8.0, 8.0, 8.0))
    sitk.WriteImage(image, str(path))
    return path


def names(cases: list[Case]) -> list[str]:
    return [case.name for case in cases]


def test_files_are_cases_in_the_order_given(tmp_path: Path, tiny_ct: np.ndarray) -> None:
    paths = [write_scan(tmp_path / name, tiny_ct) for name in ("b.nii.gz", "a.nrrd", "c.mha")]
    assert names(find_cases(paths, tmp_path / "out")) == ["b", "a", "c"]


def test_folder_gives_every_scan_in_it_and_below(tmp_path: Path, tiny_ct: np.ndarray) -> None:
    for name in ("x.nii.gz", "deep/er/y.nrrd", "z.nii"):
        write_scan(tmp_path / "in" / name, tiny_ct)
    (tmp_path / "in" / "notes.txt").write_text("not a scan")
    assert names(find_cases([tmp_path / "in"], tmp_path / "out")) == ["x", "z", "y"]


def test_results_and_the_output_folder_are_no_scans(tmp_path: Path, tiny_ct: np.ndarray) -> None:
    for name in ("x.nii.gz", "x_seg.nii.gz", "out/copy.nii.gz", ".hidden/h.nii.gz", "x.seg.nrrd"):
        write_scan(tmp_path / name, tiny_ct)
    assert names(find_cases([tmp_path], tmp_path / "out")) == ["x"]


def test_file_given_by_name_is_a_case_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "odd_seg.nii.gz"
    assert names(find_cases([path], tmp_path)) == ["odd_seg"]


def test_equal_names_get_their_folders_in_front(tmp_path: Path, tiny_ct: np.ndarray) -> None:
    for name in ("p1/ct.nii.gz", "p2/CT.nii.gz", "p2/other.nii.gz", "p3/deep/ct.nrrd"):
        write_scan(tmp_path / name, tiny_ct)
    found = names(find_cases([tmp_path], tmp_path / "out"))
    assert sorted(found) == ["other", "p1_ct", "p2_CT", "p3_deep_ct"]


def test_names_that_still_collide_are_numbered(tmp_path: Path, tiny_ct: np.ndarray) -> None:
    paths = [write_scan(tmp_path / name, tiny_ct) for name in ("s.nii.gz", "s.nrrd", "s.mha")]
    assert names(find_cases(paths, tmp_path / "out")) == ["s", "s_2", "s_3"]


def test_scan_given_twice_is_one_case(tmp_path: Path, tiny_ct: np.ndarray) -> None:
    path = write_scan(tmp_path / "in" / "x.nii.gz", tiny_ct)
    assert names(find_cases([path, tmp_path / "in", path], tmp_path / "out")) == ["x"]


def test_missing_file_and_empty_folder_stay_to_be_reported(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    cases = find_cases([tmp_path / "missing.nii.gz", tmp_path / "empty"], tmp_path / "out")
    assert names(cases) == ["missing", "empty"]
    with pytest.raises(InputError, match="no file"):
        cases[0].read()
    with pytest.raises(InputError, match="no DICOM"):
        cases[1].read()


def test_dicom_study_with_two_series_is_one_case(
    tmp_path: Path, tiny_ct: np.ndarray, write_dicom: Callable[..., Path]
) -> None:
    """The larger series is read by default, the other one when it is wanted."""
    write_dicom(tmp_path / "study" / "a", tiny_ct, "1.2.3", "1.2.3.4")
    write_dicom(tmp_path / "study" / "b", tiny_ct[:10] + 7, "1.2.3", "1.2.3.5")
    (case,) = find_cases([tmp_path / "study"], tmp_path / "out")
    assert case.name == "study"
    volume = case.read()
    assert np.array_equal(volume.array, tiny_ct)
    assert volume.name == "study"
    assert any("series" in note for note in volume.notes)
    assert np.array_equal(case.read(series="5").array, tiny_ct[:10] + 7)


def test_studies_are_never_mixed(
    tmp_path: Path, tiny_ct: np.ndarray, write_dicom: Callable[..., Path]
) -> None:
    """Patients in one heap of files: reading only the largest series would lose a patient."""
    write_dicom(tmp_path / "heap", tiny_ct, "1.2.3", "1.2.3.4")
    write_dicom(tmp_path / "heap", tiny_ct[:10] + 7, "1.2.9", "1.2.9.1")
    write_dicom(tmp_path / "other" / "p", tiny_ct[:12], "1.2.5", "1.2.5.1")
    cases = find_cases([tmp_path], tmp_path / "out")
    assert sorted(names(cases)) == ["heap", "heap_2", "p"]
    assert sorted(len(case.read().array) for case in cases) == [10, 12, 24]


def test_damaged_study_does_not_stop_the_others(
    tmp_path: Path, tiny_ct: np.ndarray, write_dicom: Callable[..., Path]
) -> None:
    write_scan(tmp_path / "in" / "x.nii.gz", tiny_ct)
    write_dicom(tmp_path / "in" / "good", tiny_ct, "1.2.3", "1.2.3.4")
    write_dicom(tmp_path / "in" / "bad", tiny_ct, "1.2.9", "1.2.9.1")
    for path in (tmp_path / "in" / "bad").iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    cases = find_cases([tmp_path / "in"], tmp_path / "out")
    assert names(cases) == ["x", "bad", "good"]
    with pytest.raises(InputError, match="truncated, damaged"):
        cases[1].read()
    assert np.array_equal(cases[2].read().array, tiny_ct)


def test_linked_folders_are_looked_into_and_circles_end(
    tmp_path: Path, tiny_ct: np.ndarray
) -> None:
    write_scan(tmp_path / "archive" / "far.nii.gz", tiny_ct)
    write_scan(tmp_path / "in" / "near.nii.gz", tiny_ct)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "archive")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "archive")
    (tmp_path / "archive" / "circle").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "nowhere.nii.gz").symlink_to(tmp_path / "missing")
    (tmp_path / "in" / "itself.nii.gz").symlink_to(tmp_path / "in" / "itself.nii.gz")
    cases = find_cases([tmp_path / "in"], tmp_path / "out")
    assert sorted(names(cases)) == ["far", "itself", "near", "nowhere"]
    for case in cases:
        if case.name in ("itself", "nowhere"):
            with pytest.raises(InputError, match="There is no file"):
                case.read()


def test_hidden_files_are_no_scans(
    tmp_path: Path, tiny_ct: np.ndarray, write_dicom: Callable[..., Path]
) -> None:
    """Trash and the companions that macOS leaves on foreign disks."""
    write_scan(tmp_path / "in" / "x.nii.gz", tiny_ct)
    (tmp_path / "in" / "._x.nii.gz").write_bytes(b"Mac OS X")
    write_dicom(tmp_path / "in" / ".Trash" / "s", tiny_ct, "1.2.3", "1.2.3.4")
    assert names(find_cases([tmp_path / "in"], tmp_path / "out")) == ["x"]


def test_looking_for_scans_is_told(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}").write_bytes(b"nothing")
    counts: list[int] = []
    find_cases([tmp_path], tmp_path / "out", counts.append)
    assert counts == [1, 2, 3, 4, 5]


def test_scan_in_a_data_file_of_its_own_is_told_from_another(
    tmp_path: Path, tiny_ct: np.ndarray
) -> None:
    """The headers are equal; only the data files differ."""
    prints = set()
    for number, suffix in enumerate(("nhdr", "nhdr", "mhd", "mhd")):
        array = tiny_ct + np.int16(number)
        path = write_scan(tmp_path / str(number) / f"a.{suffix}", array)
        prints.add(Case("a", path).fingerprint())
    assert len(prints) == 4


def test_fingerprint_follows_the_content(tmp_path: Path, tiny_ct: np.ndarray) -> None:
    a = write_scan(tmp_path / "a.nii.gz", tiny_ct)
    other = tiny_ct.copy()
    other[-1, -1, -1] += 1
    b = write_scan(tmp_path / "b.nii.gz", other)
    moved = tmp_path / "elsewhere" / "a.nii.gz"
    moved.parent.mkdir()
    moved.write_bytes(a.read_bytes())
    first = Case("a", a).fingerprint()
    assert Case("a", moved).fingerprint() == first
    assert Case("a", b).fingerprint() != first
