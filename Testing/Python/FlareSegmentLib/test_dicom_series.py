"""Several DICOM series in a folder: which there are, and which one is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom_files import (
    COLUMNS,
    CORONAL,
    ROWS,
    write_series,
)

from FlareSegmentLib.dicom import find_dicom_series, read_dicom_series
from FlareSegmentLib.errors import InputError, NotCTError
from FlareSegmentLib.reading import read_volume


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study: localizer, a short and a long axial CT, a longer coronal one, an MR."""
    write_series(tmp_path / "1", 2, **{"0020_000e": "1.1", "0020_0011": 1, "0008_103e": "Scout"})
    write_series(tmp_path / "2", 9, **{"0020_000e": "1.2", "0020_0011": 2, "0008_103e": "Thorax"})
    write_series(tmp_path / "3", 11, **{"0020_000e": "1.3", "0020_0011": 30})
    cut = {"step": (0.0, 3.0, 0.0), "orientation": CORONAL}
    write_series(tmp_path / "4", 15, **cut, **{"0020_000e": "1.4", "0020_0011": 4})
    write_series(tmp_path / "5", 20, **{"0020_000e": "1.5", "0020_0011": 5, "0008_0060": "MR"})
    return tmp_path


def test_largest_axial_ct_is_taken_and_the_others_named(study: Path) -> None:
    volume = read_volume(study)
    assert volume.array.shape[0] == 11
    (note,) = volume.notes
    assert note.startswith("Of 5 series, series 30 (Abdomen venous, CT, 11 images) was used")
    for other in ("series 1 (Scout, CT", "series 2 (Thorax", "series 4", "series 5"):
        assert other in note


def test_a_map_computed_from_the_scan_is_not_taken_for_it(tmp_path: Path) -> None:
    """An iodine map or a projection has the modality CT too, and often more images."""
    derived = {"0008_0008": "DERIVED\\SECONDARY\\AXIAL", "0020_000e": "1.2", "0020_0011": 2}
    write_series(tmp_path / "scan", 10, **{"0020_000e": "1.1", "0020_0011": 1})
    write_series(tmp_path / "map", 13, **derived)
    assert read_volume(tmp_path).array.shape[0] == 10
    assert read_volume(tmp_path, series="2").array.shape[0] == 13


def test_a_reconstruction_is_taken_before_a_few_images_of_the_scanner(tmp_path: Path) -> None:
    """Bolus tracking is original and primary; the volume was computed from thinner slices."""
    derived = {"0008_0008": "DERIVED\\SECONDARY\\AXIAL", "0020_000e": "1.2", "0020_0011": 2}
    write_series(tmp_path / "tracking", 4, **{"0020_000e": "1.1", "0020_0011": 1})
    write_series(tmp_path / "volume", 20, **derived)
    assert read_volume(tmp_path).array.shape[0] == 20


@pytest.mark.parametrize(
    ("wanted", "slices"), [("2", 9), ("1.2", 9), ("thor", 9), ("30", 11), ("4", 15)]
)
def test_series_is_chosen_by_number_uid_or_description(
    study: Path, wanted: str, slices: int
) -> None:
    volume = read_volume(study, series=wanted)
    assert volume.array.shape[0] == slices
    assert volume.notes == ()


def test_unclear_choice_of_series_is_refused(study: Path) -> None:
    with pytest.raises(InputError, match=r'fits "liver".*series 2 \(Thorax, CT, 9 images\)'):
        read_volume(study, series="liver")
    with pytest.raises(InputError, match=r'3 series .* fit "abdomen".*UID 1\.3'):
        read_volume(study, series="abdomen")
    with pytest.raises(NotCTError, match="not CT but MR"):
        read_volume(study, series="5")
    with pytest.raises(InputError, match="only 2 slices"):
        read_volume(study, series="1")


def test_folder_without_ct_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path, **{"0008_0060": "PT"})
    with pytest.raises(NotCTError, match="only DICOM of modality PT"):
        read_volume(tmp_path)


def test_study_is_expanded_into_its_series(study: Path) -> None:
    series = find_dicom_series(study)
    assert [s.uid for s in series] == ["1.1", "1.2", "1.4", "1.5", "1.3"]
    assert [s.modality for s in series] == ["CT", "CT", "CT", "MR", "CT"]
    assert [s.axial for s in series] == [True, True, False, True, True]
    assert [s.folder.name for s in series] == ["1", "2", "4", "5", "3"]
    assert series[-1].case_name == "3_30_Abdomen-venous"
    assert read_dicom_series(series[1]).array.shape == (9, ROWS, COLUMNS)
    assert find_dicom_series(study / "3")[0].uid == "1.3"


def test_no_dicom_gives_no_series(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    assert find_dicom_series(tmp_path) == []


def test_damaged_image_of_another_series_does_no_harm(study: Path) -> None:
    path = study / "2" / "IM0000.dcm"
    path.write_bytes(path.read_bytes()[:-20])
    assert read_volume(study, series="30").array.shape[0] == 11
    with pytest.raises(InputError, match=r"IM0000\.dcm is truncated"):
        read_volume(study, series="2")


def test_series_that_is_damaged_as_a_whole_is_named(study: Path) -> None:
    """The largest scan of the study: without a word another one would be taken for it."""
    for path in (study / "3").iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    volume = read_volume(study)
    assert volume.array.shape[0] == 9
    assert "damaged" in volume.notes[0]
    damaged = [series for series in find_dicom_series(study) if series.broken]
    assert [(series.uid, series.study, len(series.broken)) for series in damaged] == [
        ("1.3", "1.2.3.1", 11)
    ]
