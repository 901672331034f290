"""The volume of one DICOM series: real files with the tags a scanner writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import (
    COLUMNS,
    CORONAL,
    ROWS,
    hounsfield,
    write_series,
    write_slice,
)

from FlareSegmentLib.dicom import find_dicom_series
from FlareSegmentLib.errors import InputError, NotCTError
from FlareSegmentLib.reading import read_volume


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


def test_only_damaged_images_are_not_called_no_dicom(tmp_path: Path) -> None:
    write_series(tmp_path, 8)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="truncated, damaged"):
        read_volume(tmp_path)


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
