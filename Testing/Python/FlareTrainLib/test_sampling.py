"""Which crops are drawn, from which scans, and what is said to be known in them."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from FlareSegmentLib.errors import InputError
from FlareTrainLib.augmentation import bend, change_intensity
from FlareTrainLib.crop_places import CropPlaces
from FlareTrainLib.crop_settings import (
    AugmentationSettings,
    CutMixSettings,
    SamplingSettings,
    TumorSettings,
)
from FlareTrainLib.label_values import IGNORE, TUMOR
from FlareTrainLib.packed_cases import load_cases
from FlareTrainLib.packing import PackedCase, write_index
from FlareTrainLib.prefetch import Prefetcher
from FlareTrainLib.sampling import CropSampler, target_numbers

SPACING = (8.0, 8.0, 8.0)
PLAIN = SamplingSettings(patches=((8, 8, 8),), patch_weights=(), negative=0.0)
NO_TUMORS = TumorSettings(probability=0.0)


def sampler_of(packed: Path, sampling: SamplingSettings = PLAIN, **parts: object) -> CropSampler:
    parts = {"tumors": NO_TUMORS, **parts}
    return CropSampler(load_cases(packed), SPACING, sampling, **parts)  # type: ignore[arg-type]


def test_a_crop_depends_on_its_number_only(packed_patients: Path) -> None:
    mixed = CutMixSettings(probability=0.5)
    sampler = sampler_of(packed_patients, cutmix=mixed, tumors=TumorSettings())
    whole = sampler.batch((1, 0), 5, range(4))
    sampler.batch((1, 0), 6, range(4))
    torch.randn(3)
    for index in range(4):
        alone = sampler.batch((1, 0), 5, [index])
        assert torch.equal(alone.image[0], whole.image[index])
        assert torch.equal(alone.labels[0], whole.labels[index])
        assert torch.equal(alone.known[0], whole.known[index])
    assert not torch.equal(sampler.batch((2, 0), 5, [0]).image[0], whole.image[0])


def test_what_is_known_follows_the_annotation_of_the_case(packed_patients: Path) -> None:
    cases = {c.case.name: c.known for c in load_cases(packed_patients)}
    everything = frozenset(range(1, 15))
    assert cases["all"] == cases["healthy"] == cases["empty"] == everything
    assert cases["three"] == frozenset({1, 2, 3})


def test_batches_by_type_never_mix_annotations(packed_patients: Path) -> None:
    by_type = replace(PLAIN, by_type=True)
    sampler = sampler_of(packed_patients, by_type)
    full = [bool(sampler.batch((1,), s, range(4)).known.all()) for s in range(60)]
    for step in range(60):
        known = sampler.batch((1,), step, range(4)).known
        assert torch.equal(known, known[:1].expand_as(known))
    assert 25 < sum(full) < 55, "two of three scans are fully annotated"
    never = sampler_of(packed_patients, replace(by_type, full_fraction=0.0, full_first=10))
    full = [bool(never.batch((1,), s, range(2)).known.all()) for s in range(20)]
    assert full == [True] * 10 + [False] * 10


def test_foreground_crops_show_every_class_as_often(packed_patients: Path) -> None:
    sampler = sampler_of(packed_patients, replace(PLAIN, foreground=1.0))
    places = CropPlaces(sampler.scans, sampler.sampling, sampler.targets)
    rng = np.random.default_rng(0)
    drawn = Counter(places._class(rng, places._classes(sampler.scans)) for _ in range(2800))
    assert set(drawn) == set(range(1, 15))
    assert min(drawn.values()) > 140
    biased = CropPlaces(sampler.scans, replace(PLAIN, tumor_bias=0.8), sampler.targets)
    drawn = Counter(biased._class(rng, list(range(1, 15))) for _ in range(500))
    assert 0.75 < drawn[TUMOR] / 500 < 0.88


def test_a_foreground_crop_contains_the_class_it_is_centred_on(packed_patients: Path) -> None:
    augmentation = AugmentationSettings(spatial=0.0)
    sampling = replace(PLAIN, foreground=1.0, tumor_bias=1.0)
    sampler = sampler_of(packed_patients, sampling, augmentation=augmentation)
    for step in range(10):
        assert bool((sampler.batch((1,), step, [0]).labels == TUMOR).any())


def test_scan_first_sampling_takes_every_scan_as_often(packed_patients: Path) -> None:
    sampling = replace(PLAIN, foreground=1.0, class_balanced=False)
    sampler = sampler_of(packed_patients, sampling)
    places = CropPlaces(sampler.scans, sampling, sampler.targets)
    rng = np.random.default_rng(0)
    names = Counter(places.draw(rng, (8, 8, 8), sampler.scans)[0].case.name for _ in range(600))
    assert all(150 < names[name] < 250 for name in ("all", "three", "healthy"))


def test_a_pasted_tumor_makes_the_crop_an_annotated_one(packed_patients: Path) -> None:
    sampling = replace(PLAIN, patches=((16, 24, 24),), foreground=0.0)
    always = CutMixSettings(probability=1.0, tumor_free=False)
    sampler = sampler_of(packed_patients, sampling, cutmix=always)
    three = next(c for c in sampler.scans if c.case.name == "three")
    healthy = next(c for c in sampler.scans if c.case.name == "healthy")
    pasted = 0
    for seed in range(8):
        sample = sampler.draw(
            np.random.default_rng(seed), (16, 24, 24), [three], sampler.augmentation
        )
        shows = bool((sample.labels == TUMOR).any())
        assert (TUMOR in sample.known) == shows
        pasted += shows
        free = sampler.draw(
            np.random.default_rng(seed), (16, 24, 24), [healthy], sampler.augmentation
        )
        assert not bool((free.labels == TUMOR).any())
    assert pasted >= 6


def test_numbers_follow_the_order_of_the_targets() -> None:
    table = target_numbers((3, 1))
    assert table[[0, 1, 2, 3, TUMOR, IGNORE]].tolist() == [0, 2, 0, 1, IGNORE, IGNORE]
    assert target_numbers((TUMOR,))[[1, TUMOR]].tolist() == [0, 1]
    assert target_numbers(tuple(range(1, 15)))[:15].tolist() == list(range(15))


def test_left_and_right_are_never_exchanged(packed_patients: Path) -> None:
    """In every augmented crop that shows both kidneys, the left one is at larger i."""
    sampling = replace(PLAIN, patches=((24, 32, 36),), foreground=0.0)
    sampler = sampler_of(packed_patients, sampling, augmentation=AugmentationSettings(spatial=1))
    seen = 0
    for step in range(12):
        batch = sampler.batch((1,), step, [0])
        right = (batch.labels[0] == 2).nonzero()[:, 2].float()
        left = (batch.labels[0] == 13).nonzero()[:, 2].float()
        if len(right) > 20 and len(left) > 20:
            seen += 1
            assert float(left.mean()) > float(right.mean()) + 5
    assert seen >= 3


def test_gamma_bends_the_soft_tissue_window_only() -> None:
    hu = torch.tensor([-1000.0, -160.0, 40.0, 240.0, 800.0])
    bent = bend(hu, 2.0)
    assert bent.tolist() == pytest.approx([-1000, -160, -60, 240, 800])
    assert bool((bend(torch.linspace(-200, 300, 50), 1.5).diff() > 0).all())


def test_slices_thicker_than_any_simulated_ones_are_left_alone() -> None:
    settings = AugmentationSettings(low_resolution=1.0)
    image, labels = torch.zeros(4, 6, 6), torch.zeros(4, 6, 6, dtype=torch.int64)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        assert change_intensity(image, labels, rng, settings, (8.0, 1.0, 1.0)).shape == image.shape


def test_a_folder_without_scans_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"index\.json is missing"):
        load_cases(tmp_path)
    write_index(tmp_path, [PackedCase("n", kind="negative")], SPACING)
    with pytest.raises(InputError, match="no scan to train with"):
        load_cases(tmp_path)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="2 patches but 1"):
        SamplingSettings(patches=((8, 8, 8), (8, 8, 16)), patch_weights=(1.0,))
    with pytest.raises(ValueError, match="patches is empty"):
        SamplingSettings(patches=())


@pytest.mark.parametrize("depth", [0, 3])
def test_batches_come_in_order_and_their_errors_too(depth: int) -> None:
    def draw(step: int) -> int:
        if step == 7:
            raise InputError("step seven")
        return step

    batches = Prefetcher(draw, 4, depth, torch.device("cpu"))  # type: ignore[arg-type]
    assert [batches.next() for _ in range(3)] == [4, 5, 6]
    with pytest.raises(InputError, match="step seven"):
        batches.next()
    batches.close()


def test_closing_ends_the_thread_with_batches_still_waiting() -> None:
    before = threading.active_count()
    batches = Prefetcher(lambda step: step, 0, 2, torch.device("cpu"))  # type: ignore[arg-type, return-value]
    assert batches.next() == 0
    batches.close()
    assert threading.active_count() == before


def test_crops_are_calmer_towards_the_end(packed_patients: Path) -> None:
    """With `calm` 0 the last tenth of the steps shows scans without any of the chances."""
    wild = AugmentationSettings(spatial=1.0, recolor=1.0, low_resolution=1.0, blur=1.0)
    calm = replace(wild, calm_from=0.9, calm=0.0)
    plain = AugmentationSettings(spatial=0.0, recolor=0.0, low_resolution=0.0, blur=0.0)

    def crop(augmentation: AugmentationSettings, step: int) -> torch.Tensor:
        sampler = sampler_of(packed_patients, augmentation=augmentation, steps=100)
        return sampler.batch((1, 0), step, [0]).image

    assert torch.equal(crop(calm, 89), crop(wild, 89))
    assert not torch.equal(crop(calm, 90), crop(wild, 90))
    assert torch.equal(crop(calm, 90), crop(plain, 90))
    assert not torch.equal(crop(wild, 90), crop(plain, 90))


def test_chances_and_only_they_are_multiplied() -> None:
    settings = AugmentationSettings(calm_from=0.5, calm=0.25)
    assert settings.at(0.49) == settings
    later = settings.at(0.5)
    assert (later.spatial, later.recolor) == (settings.spatial / 4, settings.recolor / 4)
    assert (later.noise, later.rotation) == (settings.noise, settings.rotation)
    assert AugmentationSettings().at(1.0) == AugmentationSettings()


def test_noise_of_larger_voxels_has_grains() -> None:
    """Neighbours are alike in half of the crops, as in a scan of larger voxels; else white."""
    settings = AugmentationSettings(
        noise_chance=1.0, noise_grain=3.0, noise=50.0, recolor=0.0, blur=0.0, low_resolution=0.0
    )
    white = replace(settings, noise_grain=1.0)

    def likeness(settings: AugmentationSettings) -> list[float]:
        flat, labels = torch.zeros(24, 24, 24), torch.zeros(24, 24, 24, dtype=torch.int64)
        found = []
        for seed in range(20):
            rng = np.random.default_rng(seed)
            image = change_intensity(flat, labels, rng, settings, SPACING)
            image = image - image.mean()
            shifted = (image[:, :, 1:] * image[:, :, :-1]).mean() / image.square().mean()
            found.append(float(shifted))
        return found

    assert max(map(abs, likeness(white))) < 0.1
    grained = [value > 0.2 for value in likeness(settings)]
    assert 4 <= sum(grained) <= 16
