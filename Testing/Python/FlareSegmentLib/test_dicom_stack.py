from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from FlareSegmentLib.dicom_stack import SliceHeader, stack
from FlareSegmentLib.errors import InputError, NotCTError


def header(z: float, uid: str = "", **values: object) -> SliceHeader:
    plain = SliceHeader(
        path=Path(f"{uid or z}.dcm"),
        position=(-100.0, -80.0, z),
        orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        pixel_spacing=(0.9, 0.7),
        shape=(12, 10),
        frames=1,
        samples=1,
        uid=uid or f"1.{z}",
        localizer=False,
        order=(1.0, 0.0, z),
        rescale=(1.0, 0.0),
    )
    return replace(plain, **values)  # type: ignore[arg-type]


def series(count: int = 10, step: float = 2.5) -> list[SliceHeader]:
    return [header(step * index) for index in range(count)]


def heights(slices: tuple[SliceHeader, ...]) -> list[float]:
    return [image.position[2] for image in slices]


def test_any_order_of_files_gives_the_same_stack() -> None:
    images = series()
    expected = stack(images, None, "series 1")
    for seed in range(5):
        shuffled = [images[n] for n in np.random.default_rng(seed).permutation(len(images))]
        result = stack(shuffled, None, "series 1")
        assert heights(result.slices) == heights(expected.slices) == sorted(heights(result.slices))
        np.testing.assert_array_equal(result.affine, expected.affine)


def test_rows_and_columns_are_not_mixed_up() -> None:
    # PixelSpacing is (between rows, between columns): 0.9 along j, 0.7 along i.
    affine = stack(series(), None, "series 1").affine
    np.testing.assert_allclose(np.diag(affine), [0.7, 0.9, 2.5, 1])


def test_step_is_the_mean_over_the_whole_stack() -> None:
    # Positions rounded to 0.1 mm: the last slice must still lie where its header says.
    images = [header(round(index * 0.625, 1)) for index in range(40)]
    affine = stack(images, None, "series 1").affine
    assert affine[2, 3] + 39 * affine[2, 2] == pytest.approx(images[-1].position[2])


@pytest.mark.parametrize("missing", [1, 4, 8])
def test_gap_is_named(missing: int) -> None:
    images = series()
    del images[missing]
    sentence = f"gap between z = {missing * 2.5 - 2.5:.1f} mm and z = {missing * 2.5 + 2.5:.1f} mm"
    with pytest.raises(InputError, match=sentence):
        stack(images, None, "series 1")


def test_gap_of_a_sagittal_series_is_named_by_its_point() -> None:
    images = [
        header(0, f"1.{n}", position=(3.0 * n, 0, 50), orientation=(0, 1, 0, 0, 0, -1))
        for n in range(10)
        if n != 4
    ]
    with pytest.raises(InputError, match=r"between \(15\.0, 0\.0, 50\.0\) mm and \(9\.0"):
        stack(images, None, "series 1")


def test_change_of_slice_distance_is_refused() -> None:
    images = [*series(10), *(header(22.5 + 1.25 * n) for n in range(1, 6))]
    with pytest.raises(InputError, match=r"not evenly spaced: most are 2\.50 mm"):
        stack(images, None, "series 1")


def test_sideways_jump_is_refused() -> None:
    images = series()
    images[5] = replace(images[5], position=(-110.0, -80.0, 12.5))
    with pytest.raises(InputError, match=r"do not lie in one line: one is 10\.0 mm off"):
        stack(images, None, "series 1")


def test_files_that_are_there_twice_are_used_once() -> None:
    images = series()
    copies = [replace(image, path=Path("copy") / image.path) for image in images[:3]]
    result = stack([*images, *copies], None, "series 1")
    assert heights(result.slices) == heights(tuple(images))
    assert result.notes == ("3 image(s) were there twice; one of each was used.",)


def test_second_image_at_some_positions_is_refused() -> None:
    with pytest.raises(InputError, match=r"one image at some positions and 2 at others .*z = 5\.0"):
        stack([*series(), header(5.0, "9.9")], None, "series 1")


def test_phases_are_told_apart_by_acquisition_not_by_file() -> None:
    late = [replace(image, uid="2" + image.uid, order=(2.0, 0.0, 0.0)) for image in series()]
    images = [*late, *series()]
    for frame, acquisition in enumerate((1.0, 2.0)):
        result = stack(images, frame, "series 1")
        assert {image.order[0] for image in result.slices} == {acquisition}
    with pytest.raises(InputError, match="holds 2 volumes"):
        stack(images, None, "series 1")
    with pytest.raises(InputError, match="no frame 2"):
        stack(images, 2, "series 1")


def test_few_slices_are_refused() -> None:
    with pytest.raises(InputError, match="only 7 slices"):
        stack(series(7), None, "series 1")
    with pytest.raises(InputError, match="only 1 slice of"):
        stack(series(1), None, "series 1")
    same_place = [header(5.0, f"1.{n}") for n in range(12)]
    for frame in (None, 0):  # not 12 volumes to choose from
        with pytest.raises(InputError, match=r"only 1 position\."):
            stack(same_place, frame, "series 1")


def test_images_of_another_size_are_left_out_when_few() -> None:
    result = stack([*series(), header(99.0, shape=(64, 64))], None, "series 1")
    assert len(result.slices) == 10
    assert "1 image(s) of another orientation or size" in result.notes[0]


def test_two_volumes_of_different_size_are_refused() -> None:
    images = [*series(), *(header(z, f"2.{z}", pixel_spacing=(0.5, 0.5)) for z in range(10))]
    with pytest.raises(InputError, match="mixes images of different orientations or sizes"):
        stack(images, None, "series 1")


def test_rounded_directions_are_the_same_orientation() -> None:
    images = series()
    images[3] = replace(images[3], orientation=(0.99999, 0.0002, 0, -0.0002, 0.99999, 0))
    assert stack(images, None, "series 1").notes == ()


def test_images_that_do_not_say_where_they_lie() -> None:
    captures = [header(0, f"3.{n}", position=()) for n in range(9)]
    with pytest.raises(InputError, match="no image that says where in the patient"):
        stack(captures, None, "series 1")
    result = stack([*series(), *captures], None, "series 1")
    assert len(result.slices) == 10
    assert "9 image(s) of the series were left out" in result.notes[0]


def test_color_and_multi_frame_are_refused() -> None:
    with pytest.raises(NotCTError, match="several values per voxel"):
        stack([header(z, samples=3) for z in range(10)], None, "series 1")
    with pytest.raises(InputError, match=r"multi-frame .* 3D Slicer"):
        stack([header(0, frames=120, position=())], None, "series 1")
