"""Packed cases are mapped, not held: thousands fit, and nothing depends on what is open."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from FlareSegmentLib.errors import InputError
from FlareTrainLib.crop_settings import SamplingSettings
from FlareTrainLib.mapped_npz import map_npz, write_npz
from FlareTrainLib.packed_cases import VOXELS_PER_CLASS, find_places, load_cases
from FlareTrainLib.packing import PackedCase, read_case, write_case, write_index
from FlareTrainLib.sampling import CropSampler

SPACING = (8.0, 8.0, 8.0)
COUNT = 12


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A dozen small cases; label n + 1 is in case n only."""
    folder = tmp_path / "packed"
    folder.mkdir()
    cases = []
    for number in range(COUNT):
        rng = np.random.default_rng(number)
        image = rng.integers(-100, 100, (16, 20, 24)).astype(np.int16)
        labels = np.zeros(image.shape, np.uint8)
        labels[4:12, 5:15, 6:18] = number + 1
        labels[0] = 255
        name = f"case_{number}"
        write_case(folder, name, image, labels)
        cases.append(PackedCase(name, tuple(range(1, 15)), (), "annotated"))
    write_index(folder, cases, SPACING)
    return folder


def sampler(folder: Path, most_open: int) -> CropSampler:
    settings = SamplingSettings(patches=((8, 16, 16),), patch_weights=())
    return CropSampler(load_cases(folder, most_open), SPACING, settings)


def test_voxels_are_mapped_from_the_file_and_the_file_is_not_written_to(many: Path) -> None:
    case = load_cases(many)[3]
    before = (many / "case_3.npz").read_bytes()
    image, labels = case.image, case.labels
    mapped = map_npz(many / "case_3.npz")
    assert mapped is not None
    assert all(isinstance(array, np.memmap) for array in mapped.values())
    if Path("/proc/self/maps").is_file():
        del mapped
        ranges = [
            [int(n, 16) for n in line.split()[0].split("-")]
            for line in Path("/proc/self/maps").read_text().splitlines()
            if line.endswith("case_3.npz")
        ]
        assert any(start <= image.data_ptr() < stop for start, stop in ranges)
    expected_image, expected_labels = read_case(many, "case_3")
    np.testing.assert_array_equal(image.numpy(), expected_image)
    np.testing.assert_array_equal(labels.numpy(), expected_labels)
    image[:] = 0
    assert (many / "case_3.npz").read_bytes() == before
    assert image.data_ptr() % 64 == 0


def test_no_more_than_the_allowed_number_is_open(many: Path) -> None:
    cases = load_cases(many, most_open=3)
    store = cases[0].store
    for case in [*cases, *cases[:2]]:
        assert case.image.shape == (16, 20, 24)
        assert len(store.opened) <= 3
    assert store.opened == ["case_11", "case_0", "case_1"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts handles as Linux does")
def test_file_handles_do_not_grow_with_the_number_of_cases(many: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    few = load_cases(many, most_open=2)
    for case in few:
        assert case.labels.any()
    # Image, labels and places of two cases.
    assert len(os.listdir("/proc/self/fd")) - before <= 6
    everything = load_cases(many, most_open=COUNT)
    assert len(os.listdir("/proc/self/fd")) - before > 6
    assert len(everything) == COUNT


def test_batches_do_not_depend_on_how_many_cases_are_open(many: Path) -> None:
    one, all_of_them = sampler(many, 1), sampler(many, COUNT)
    for step in range(6):
        a, b = one.batch((1, 0), step, range(3)), all_of_them.batch((1, 0), step, range(3))
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.labels, b.labels)
        assert torch.equal(a.known, b.known)


def test_cases_packed_by_an_earlier_version_are_read_too(many: Path) -> None:
    expected = sampler(many, 2).batch((1, 0), 0, range(4))
    for number in range(COUNT):
        path = many / f"case_{number}.npz"
        image, labels = read_case(many, f"case_{number}")
        np.savez_compressed(path, image=image, labels=labels)
        assert map_npz(path) is None
    batch = sampler(many, 2).batch((1, 0), 0, range(4))
    assert torch.equal(batch.image, expected.image)
    assert torch.equal(batch.labels, expected.labels)


def test_places_are_voxels_of_their_label_few_and_kept(many: Path) -> None:
    case = load_cases(many)[4]
    assert case.classes == {5}
    places = case.places(5)
    assert len(places) == 8 * 10 * 12
    assert bool((case.labels.numpy()[tuple(places.T)] == 5).all())
    assert len(case.places(6)) == 0
    kept = many / "case_4.places.npy"
    stamp = kept.stat().st_mtime_ns
    load_cases(many)
    assert kept.stat().st_mtime_ns == stamp
    image, labels = read_case(many, "case_4")
    write_case(many, "case_4", image, np.where(labels == 5, 7, labels).astype(np.uint8))
    later = kept.stat().st_mtime_ns + 1
    os.utime(many / "case_4.npz", ns=(later, later))
    assert load_cases(many)[4].classes == {7}


def test_of_a_large_organ_some_places_are_remembered() -> None:
    labels = np.ones((30, 30, 30), np.uint8)
    places = find_places(labels, "any")
    assert places.shape == (VOXELS_PER_CLASS, 4)
    assert len(np.unique(places, axis=0)) == VOXELS_PER_CLASS
    np.testing.assert_array_equal(places, find_places(labels, "any"))
    assert not np.array_equal(places, find_places(labels, "other"))


def test_a_damaged_case_is_told(many: Path) -> None:
    path = many / "case_2.npz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"packed case .*case_2.npz cannot be read.*packs the"):
        load_cases(many)


def test_the_file_is_an_ordinary_npz(tmp_path: Path) -> None:
    arrays = {"a": np.arange(7, dtype=np.int16), "long_name": np.zeros((3, 0, 2), np.uint8)}
    arrays["c"] = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    path = tmp_path / "x.npz"
    write_npz(path, arrays)
    mapped = map_npz(path)
    assert mapped is not None
    with np.load(path) as loaded:
        for name, array in arrays.items():
            np.testing.assert_array_equal(loaded[name], array)
            np.testing.assert_array_equal(mapped[name], array)
            assert mapped[name].dtype == array.dtype


def test_crops_are_made_on_the_device_that_was_asked_for(many: Path) -> None:
    """The cases stay where they are; "meta" has no voxels, so only a true move gets there."""
    case = load_cases(many)[0]
    from FlareTrainLib.augmentation import crop

    centre = np.array([8.0, 8.0, 8.0])
    image, labels = crop(case.image, case.labels, centre, (32, 8, 8), torch.device("meta"))
    assert image.device.type == labels.device.type == "meta"
    assert image.shape == labels.shape == (32, 8, 8)
    assert replace(case).image.device.type == "cpu"
