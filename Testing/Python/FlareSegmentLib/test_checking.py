from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from FlareSegmentLib.checking import check_ct, chosen_frame
from FlareSegmentLib.errors import InputError, NotCTError
from FlareSegmentLib.nifti import read_nifti
from FlareSegmentLib.volume import Volume

AFFINE = np.diag([-2.0, -2.0, 5.0, 1.0])


def body(shape: tuple[int, int, int] = (20, 60, 70), seed: int = 0) -> np.ndarray:
    """A CT of the simplest kind in HU, int16: air, a round body of fat, soft tissue in it."""
    k, j, i = np.indices(shape)
    radius = np.hypot((j - shape[1] / 2) / shape[1], (i - shape[2] / 2) / shape[2])
    values = np.where(radius < 0.42, -100.0, -1000.0)
    values[radius < 0.33] = 50.0
    values[(radius < 0.05) & (k > 3)] = 700.0
    noisy = values + np.random.default_rng(seed).normal(0, 15, shape)
    return np.maximum(noisy, -1024).astype(np.int16)


def magnetic(shape: tuple[int, int, int] = (20, 60, 70)) -> np.ndarray:
    """An MR-like image, 0 to 1500: dark background, tissues of arbitrary brightness."""
    rng = np.random.default_rng(1)
    values = body(shape).astype(np.float64)
    tissue = np.select([values > 300, values > 0, values > -300], [60.0, 420.0, 900.0], 8.0)
    return np.hypot(tissue + rng.normal(0, 30, shape), rng.normal(0, 30, shape)).astype(np.int16)


def volume(array: np.ndarray, affine: np.ndarray = AFFINE) -> Volume:
    return Volume(array, affine, name="scan")


def test_plain_ct_passes_untouched() -> None:
    given = volume(body())
    assert check_ct(given) is given


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int16])
def test_number_types_pass(dtype: type) -> None:
    given = volume(body().astype(dtype))
    assert check_ct(given).array.dtype == dtype


def real_scans(folder: Path) -> list[Path]:
    return [*sorted((folder / "ct").glob("*.nii.gz")), *(folder / "validation").glob("*_ct.nii.gz")]


def test_no_real_scan_is_refused(shared_data: Path) -> None:
    paths = real_scans(shared_data)
    assert len(paths) > 20
    for path in paths:
        scan = read_nifti(path)
        # Every second voxel: a quarter of the time, and the values are what is judged.
        thinned = Volume(scan.array[:, ::2, ::2], scan.affine @ np.diag([2, 2, 1, 1]), path.name)
        assert check_ct(thinned).notes == ()


def test_real_scans_cropped_inside_the_body_pass(shared_data: Path) -> None:
    # The middle of a slab: no air around the patient, often none at all.
    for path in real_scans(shared_data)[::3]:
        scan = read_nifti(path)
        k, j, i = scan.array.shape
        inside = scan.array[
            k // 3 : 2 * k // 3, j * 35 // 100 : j * 65 // 100, i * 35 // 100 : i * 65 // 100
        ]
        if inside.shape[0] >= 8:
            check_ct(Volume(inside, scan.affine, path.name))


def test_unsigned_copies_of_real_scans_are_shifted_back(shared_data: Path) -> None:
    for path in real_scans(shared_data)[1::4]:
        scan = read_nifti(path)
        clipped = np.maximum(scan.array[:, ::2, ::2], -1024)
        affine = scan.affine @ np.diag([2, 2, 1, 1])
        checked = check_ct(Volume((clipped + 1024).astype(np.uint16), affine, path.name))
        np.testing.assert_array_equal(checked.array, clipped)


def test_metal_low_dose_and_missing_air_pass() -> None:
    metal = body()
    metal[5:8, 25:30, 30:35] = 3071
    metal[5, 27, 32] = 20000
    check_ct(volume(metal))
    noisy = body() + np.random.default_rng(3).normal(0, 90, body().shape)
    check_ct(volume(noisy.astype(np.int16)))
    check_ct(volume(body()[:, 20:40, 10:60]))


def test_cone_beam_like_values_pass() -> None:
    # Poor calibration: air near -800, everything squeezed and shifted.
    check_ct(volume((body() * 0.8 + 20).astype(np.int16)))


@pytest.mark.parametrize("padding", [-2000, -3024, -32768])
def test_scanner_padding_becomes_air_on_a_copy(padding: int) -> None:
    array = body()
    array[:, :6] = padding
    before = array.copy()
    checked = check_ct(volume(array))
    np.testing.assert_array_equal(array, before)
    assert checked.array.min() == -1024
    np.testing.assert_array_equal(checked.array[:, 6:], before[:, 6:])
    assert str(padding) in checked.notes[-1]
    assert "air" in checked.notes[-1]


def test_noise_below_air_is_cut_without_a_note() -> None:
    array = body().astype(np.float32)
    array[0, 0, :5] = -1100.5
    checked = check_ct(volume(array))
    assert checked.array.min() == -1024
    assert checked.notes == ()


def test_checking_does_not_modify_a_read_only_array() -> None:
    array = body()
    array[0, 0, 0] = -2000
    array.flags.writeable = False
    assert check_ct(volume(array)).array[0, 0, 0] == -1024


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.float32])
def test_missing_rescale_intercept_is_put_right_with_a_note(dtype: type) -> None:
    hounsfield = np.maximum(body(), -1024)
    checked = check_ct(volume((hounsfield.astype(np.int32) + 1024).astype(dtype)))
    np.testing.assert_array_equal(checked.array, hounsfield)
    assert "1024 was subtracted" in checked.notes[-1]


def test_unsigned_metal_beyond_int16_is_kept() -> None:
    raw = (np.maximum(body(), -1024).astype(np.int32) + 1024).astype(np.uint16)
    raw[3, 3, 3] = 65535
    assert check_ct(volume(raw)).array[3, 3, 3] == 65535 - 1024


REFUSED = {
    "MR": (magnetic(), "no negative values"),
    "MR in unsigned numbers": (magnetic().astype(np.uint16), "no negative values"),
    "MR around 1000": (
        np.abs(np.random.default_rng(5).normal(1000, 250, (20, 60, 70))),
        "no negative values",
    ),
    "MR interpolated": ((magnetic() - 5).astype(np.int16), "does not look like CT"),
    "MR padded with -1000": (
        np.where(body() < -500, -1000, magnetic()).astype(np.int16),
        "does not look like CT",
    ),
    "MR standardized": ((magnetic() - 400.0) / 300.0, "does not look like CT"),
    "PET": (np.random.default_rng(2).exponential(2.0, (20, 60, 70)), "no negative values"),
    "scaled to 0..1": ((body() + 1100) / 3000.0, "no negative values"),
    "8-bit picture": (np.clip((body() + 160) * 0.64, 0, 255).astype(np.uint8), "no negative"),
    "label map": ((body() > 0).astype(np.uint8) * 13, "label map"),
    "truth values": (body() > 0, "does not hold numbers"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_other_images_are_refused(kind: str) -> None:
    array, sentence = REFUSED[kind]
    with pytest.raises(NotCTError, match=sentence):
        check_ct(volume(array))


def test_dimensions_are_refused_each_with_its_sentence() -> None:
    with pytest.raises(NotCTError, match="single 2D image"):
        check_ct(volume(body()[0]))
    with pytest.raises(NotCTError, match="color image"):
        check_ct(volume(np.stack([body()] * 3, axis=-1)))
    with pytest.raises(NotCTError, match=r"four dimensions \(2 x 20 x 60 x 70\)"):
        check_ct(volume(np.stack([body()] * 2)))
    with pytest.raises(NotCTError, match="5 dimensions"):
        check_ct(volume(body()[None, None]))
    with pytest.raises(NotCTError, match="complex"):
        check_ct(volume(body().astype(np.complex64)))


@pytest.mark.parametrize("value", [0, -1024, 37])
def test_constant_volume_is_refused(value: int) -> None:
    with pytest.raises(InputError, match=rf"every voxel has the value {value}"):
        check_ct(volume(np.full((20, 30, 30), value, np.int16)))


def test_volume_without_voxels_is_refused() -> None:
    with pytest.raises(InputError, match="no voxels"):
        check_ct(volume(np.zeros((20, 0, 30), np.int16)))


def test_nothing_but_air_is_refused() -> None:
    air = np.random.default_rng(0).normal(-990, 10, (20, 30, 30)).astype(np.int16)
    with pytest.raises(InputError, match="nothing but air"):
        check_ct(volume(air))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_voxel_without_a_number_is_found(value: float) -> None:
    array = body((20, 120, 140)).astype(np.float32)
    array[13, 77, 31] = value
    with pytest.raises(InputError, match=r"has 1 voxels without a number"):
        check_ct(volume(array))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_are_counted_from_feet_to_head(axis: int) -> None:
    shape = [40, 40, 40]
    shape[axis] = 7
    array = body((40, 40, 40))[tuple(slice(n) for n in shape)]
    columns = np.eye(3)[[[0, 1, 2], [0, 2, 1], [2, 1, 0]][axis]]
    affine = np.eye(4)
    affine[:3, :3] = columns
    # The affine makes the short axis the body axis: array axis a belongs to column 2 - a.
    with pytest.raises(InputError, match="has 7 slices"):
        check_ct(volume(array, affine))


def test_eight_slices_are_enough_and_short_rows_no_fault() -> None:
    check_ct(volume(body()[:8]))
    sagittal_strip = body((40, 60, 70))[:, :, 30:36]
    check_ct(volume(sagittal_strip))


@pytest.mark.parametrize("size", [0.0, 20.5, 1000.0, 0.001, np.nan])
@pytest.mark.parametrize("column", [0, 2])
def test_absurd_spacing_is_refused(size: float, column: int) -> None:
    affine = AFFINE.copy()
    affine[column, column] = size
    with pytest.raises(InputError, match="which no CT scanner makes"):
        check_ct(volume(body(), affine))


def test_twenty_millimetres_are_still_possible() -> None:
    check_ct(volume(body(), np.diag([-1.0, -1.0, 20.0, 1.0])))


def test_errors_name_the_scan() -> None:
    for array in (magnetic(), body()[:3], np.zeros((9, 9, 9))):
        with pytest.raises(InputError, match=r"^scan "):
            check_ct(volume(array))
        with pytest.raises(InputError, match=r"^The scan "):
            check_ct(Volume(array, AFFINE))


def test_frames_are_chosen_or_asked_for() -> None:
    assert chosen_frame(1, None, "scan") == 0
    assert chosen_frame(4, 3, "scan") == 3
    for frames, frame, sentence in [
        (4, None, "scan holds 4 volumes"),
        (4, 4, "no frame 4: it holds 4 volumes, 0 to 3"),
        (1, 1, "no frame 1: it holds 1 volume, number 0"),
    ]:
        with pytest.raises(InputError, match=re.escape(sentence)):
            chosen_frame(frames, frame, "scan")
