"""Series are real DICOM files, written by SimpleITK (GDCM) with the tags a scanner writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from FlareSegmentLib.dicom import find_dicom_series, read_dicom_series
from FlareSegmentLib.errors import InputError, NotCTError
from FlareSegmentLib.reading import read_volume

ROWS, COLUMNS = 12, 10
AXIAL = (1, 0, 0, 0, 1, 0)
CORONAL = (1, 0, 0, 0, 0, -1)
SAGITTAL = (0, 1, 0, 0, 0, -1)


def hounsfield(index: int, rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray:
    return np.random.default_rng(index).integers(-1000, 1000, (rows, columns)).astype(np.int16)


def write_slice(
    path: Path,
    position: tuple[float, ...] | None,
    pixels: np.ndarray,
    orientation: tuple[float, ...] = AXIAL,
    **tags: Any,
) -> None:
    """Write one image; `pixels` are HU and are stored as such (intercept 0) unless tags say so."""
    image = sitk.GetImageFromArray(pixels[None] if pixels.ndim == 2 else pixels)
    image.SetSpacing((0.7, 0.9, 1.0))
    values = {
        "0008|0060": "CT",
        "0008|0008": "ORIGINAL\\PRIMARY\\AXIAL",
        "0020|000d": "1.2.3.1",
        "0020|000e": "1.2.3.4",
        "0020|0011": "3",
        "0008|103e": "Abdomen venous",
        "0020|0037": "\\".join(map(str, orientation)),
    }
    if position is not None:
        values["0020|0032"] = "\\".join(f"{x:.10g}" for x in position)
    values.update({key.replace("_", "|"): str(value) for key, value in tags.items()})
    for key, value in values.items():
        if value != "None":
            image.SetMetaData(key, value)
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(path))
    writer.Execute(image)


def write_series(
    folder: Path,
    count: int = 10,
    step: tuple[float, ...] = (0.0, 0.0, 2.5),
    orientation: tuple[float, ...] = AXIAL,
    leave_out: tuple[int, ...] = (),
    prefix: str = "IM",
    suffix: str = ".dcm",
    **tags: Any,
) -> np.ndarray:
    """Write a series in an order of names that is not that of the slices; give all its voxels."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        if index in leave_out:
            continue
        position = tuple(start + index * s for start, s in zip((-50, 40, 100), step, strict=True))
        name = f"{prefix}{(index * 7) % count:04d}{suffix}"
        write_slice(
            folder / name, position, hounsfield(index), orientation, **{"0020_0013": index, **tags}
        )
    return np.stack([hounsfield(index) for index in range(count)])


def test_slices_are_sorted_by_position_and_placed(tmp_path: Path) -> None:
    expected = write_series(tmp_path / "scan")
    volume = read_volume(tmp_path / "scan")
    np.testing.assert_array_equal(volume.array, expected)
    assert volume.array.dtype == np.int16
    wanted = [[-0.7, 0, 0, 50], [0, -0.9, 0, -40], [0, 0, 2.5, 100], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.affine, wanted, atol=1e-9)
    assert (volume.name, volume.notes) == ("scan", ())


def test_same_place_as_itk_reads_it(tmp_path: Path) -> None:
    write_series(tmp_path, step=(0, 0, -2.5))
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path), "1.2.3.4"))
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.array, sitk.GetArrayViewFromImage(image))
    lps = np.array(image.TransformIndexToPhysicalPoint((4, 5, 6)))
    np.testing.assert_allclose((volume.affine @ [4, 5, 6, 1])[:3], lps * [-1, -1, 1], atol=1e-5)


def test_stored_values_are_rescaled_to_int16(tmp_path: Path) -> None:
    # HU + 1024 in unsigned numbers is how most scanners store CT.
    for index in range(8):
        raw = (hounsfield(index) + 1024).astype(np.uint16)
        tags = {"0028_1052": -1024, "0028_1053": 1}
        # SimpleITK takes the image's values as HU and stores HU - intercept.
        write_slice(tmp_path / f"{index}.dcm", (0, 0, index), raw.astype(np.int32) - 1024, **tags)
    stored = sitk.ReadImage(str(tmp_path / "0.dcm"))
    assert stored.GetMetaData("0028|1052").strip() == "-1024"
    volume = read_volume(tmp_path)
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array, [hounsfield(index) for index in range(8)])


def test_files_need_no_ending_and_may_lie_deeper(tmp_path: Path) -> None:
    expected = write_series(tmp_path / "a" / "b", suffix=".dcm")
    for path in (tmp_path / "a" / "b").iterdir():
        path.rename(path.with_suffix(""))
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(50))
    np.testing.assert_array_equal(read_volume(tmp_path).array, expected)


def test_spaces_and_letters_of_all_languages_in_the_path(tmp_path: Path) -> None:
    expected = write_series(tmp_path / "plain")
    (tmp_path / "plain").rename(tmp_path / "Größe 患者 1")
    np.testing.assert_array_equal(read_volume(tmp_path / "Größe 患者 1").array, expected)


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
def test_compressed_images_are_read(tmp_path: Path, compressor: str) -> None:
    expected = write_series(tmp_path / "plain")
    (tmp_path / "packed").mkdir()
    for path in sorted((tmp_path / "plain").iterdir()):
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(path))
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.KeepOriginalImageUIDOn()
        writer.SetUseCompression(True)
        writer.SetCompressor(compressor)
        writer.SetFileName(str(tmp_path / "packed" / path.name))
        writer.Execute(reader.Execute())
    assert b"1.2.840.10008.1.2.4." in (tmp_path / "packed" / "IM0000.dcm").read_bytes()[:1000]
    np.testing.assert_array_equal(read_volume(tmp_path / "packed").array, expected)


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


def test_description_in_latin_letters_beyond_ascii(tmp_path: Path) -> None:
    # GDCM writes bytes as given; scanners say ISO_IR 100 and write one byte per letter.
    write_series(tmp_path, 8, **{"0008_0005": "ISO_IR 192", "0008_103e": "Abdomen venös"})
    assert find_dicom_series(tmp_path)[0].description == "Abdomen venös"
    assert find_dicom_series(tmp_path)[0].case_name.endswith("3_Abdomen-venös")


def test_tilted_gantry_keeps_its_shear(tmp_path: Path) -> None:
    # The table moves along z, the slices lean by 20 degrees about x.
    lean = np.radians(20.0)
    orientation = (1, 0, 0, 0, np.cos(lean), -np.sin(lean))
    write_series(tmp_path, orientation=orientation, step=(0, 0, 3.0))
    volume = read_volume(tmp_path)
    for index in (0, 4, 9):
        first_voxel = (volume.affine @ [0, 0, index, 1])[:3]
        np.testing.assert_allclose(first_voxel, (50, -40, 100 + 3 * index), atol=1e-9)
    down = volume.affine[:3, 1] / 0.9
    np.testing.assert_allclose(down, (0, -np.cos(lean), -np.sin(lean)), atol=1e-9)
    assert volume.voxel_volume_ml == pytest.approx(0.7 * 0.9 * 3.0 * np.cos(lean) / 1000)
    assert volume.notes == ("The gantry was tilted by 20.0 degrees; slices are kept as they lie.",)


def test_oblique_series_is_no_tilt(tmp_path: Path) -> None:
    lean = np.radians(20.0)
    orientation = (1, 0, 0, 0, np.cos(lean), -np.sin(lean))
    step = (0, 3 * np.sin(lean), 3 * np.cos(lean))
    write_series(tmp_path, orientation=orientation, step=step)
    assert read_volume(tmp_path).notes == ()


def test_frame_of_a_series_with_several_phases(tmp_path: Path) -> None:
    for phase in (1, 2):
        for index in range(8):
            pixels = hounsfield(100 * phase + index)
            tags = {"0020_0012": phase, "0020_0013": index}
            write_slice(tmp_path / f"{3 - phase}_{index}.dcm", (0, 0, index), pixels, **tags)
    with pytest.raises(InputError, match=r"holds 2 volumes .* from 0 to 1"):
        read_volume(tmp_path)
    for phase in (1, 2):
        expected = [hounsfield(100 * phase + index) for index in range(8)]
        np.testing.assert_array_equal(read_volume(tmp_path, frame=phase - 1).array, expected)


def test_missing_slice_is_refused_and_named(tmp_path: Path) -> None:
    write_series(tmp_path, leave_out=(4, 5))
    sentence = r"gap between z = 107.5 mm and z = 115.0 mm: 2 slices of 2.50 mm seem to be missing"
    with pytest.raises(InputError, match=sentence):
        read_volume(tmp_path)


def test_images_of_other_kinds_in_the_series_are_left_out(tmp_path: Path) -> None:
    expected = write_series(tmp_path)
    write_slice(tmp_path / "scout.dcm", (0, 0, 0), hounsfield(90, 40, 50), CORONAL)
    write_slice(
        tmp_path / "marked.dcm", (0, 0, 0), hounsfield(91), **{"0008_0008": "ORIGINAL\\LOCALIZER"}
    )
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.array, expected)
    assert len(volume.notes) == 2
    assert all("left out" in note for note in volume.notes)


def test_two_orientations_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path)
    cut = {"step": (0.0, 3.0, 0.0), "orientation": CORONAL}
    write_series(tmp_path, prefix="C", **cut)
    with pytest.raises(InputError, match=r"mixes images .*10 images coronal.*10 images axial"):
        read_volume(tmp_path)


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("name", ["IM0000.dcm", "IM0003.dcm", "IM0007.dcm"])
def test_damaged_image_is_refused_and_named(tmp_path: Path, name: str, share: float) -> None:
    # IM0000 is the first slice, IM0003 the last: without them there would be no gap.
    write_series(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError, match=rf"{name} is truncated, damaged"):
        read_volume(tmp_path)


def test_damaged_image_of_another_series_does_no_harm(study: Path) -> None:
    path = study / "2" / "IM0000.dcm"
    path.write_bytes(path.read_bytes()[:-20])
    assert read_volume(study, series="30").array.shape[0] == 11
    with pytest.raises(InputError, match=r"IM0000\.dcm is truncated"):
        read_volume(study, series="2")


def test_only_damaged_images_are_not_called_no_dicom(tmp_path: Path) -> None:
    write_series(tmp_path, 8)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="truncated, damaged"):
        read_volume(tmp_path)


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


def test_color_series_is_refused(tmp_path: Path) -> None:
    for index in range(8):
        color = sitk.GetImageFromArray(
            np.zeros((1, ROWS, COLUMNS, 3), np.uint8) + np.uint8(index), isVector=True
        )
        for key, value in {
            "0008|0060": "CT",
            "0020|000e": "1.7",
            "0020|0032": f"0\\0\\{index}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }.items():
            color.SetMetaData(key, value)
        sitk.WriteImage(color, str(tmp_path / f"{index}.dcm"))
    with pytest.raises(NotCTError, match="several values per voxel"):
        read_volume(tmp_path)
