"""Scans that a teacher labels after they were distorted, and labels that are probabilities."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import MakePatient

from FlareSegmentLib.bundle import ModelBundle, ModelInfo, NetworkEntry, save_bundle
from FlareSegmentLib.bundle_info import IntensityStatistics
from FlareSegmentLib.errors import BundleError, InputError
from FlareSegmentLib.labels import targets
from FlareSegmentLib.network import build_network
from FlareTrainLib.crop_settings import AugmentationSettings, SamplingSettings, TumorSettings
from FlareTrainLib.dataset import read_dataset
from FlareTrainLib.grid import PackSettings
from FlareTrainLib.pack_dataset import pack_refined
from FlareTrainLib.packed_cases import load_cases
from FlareTrainLib.packing import (
    PackedCase,
    SoftLabels,
    pack_case,
    read_case,
    read_index,
    write_case,
    write_index,
)
from FlareTrainLib.refine_settings import RefineSettings
from FlareTrainLib.refinement import refine_dataset
from FlareTrainLib.sampling import CropSampler
from FlareTrainLib.taught_cases import add_taught_cases, distorted_scan
from FlareTrainLib.teacher_network import open_teacher
from FlareTrainLib.teacher_settings import OnnxSettings, TaughtSettings

SPACING = (8.0, 8.0, 8.0)
ORGANS = tuple(range(1, 14))
AS_IT_IS = AugmentationSettings(
    spatial=1.0,
    rotation=0.0,
    scale=1.0,
    elastic_mm=0.0,
    shift=0.0,
    contrast=0.0,
    noise_chance=0.0,
    low_resolution=0.0,
    blur=0.0,
    recolor=0.0,
)
WHOLE = TaughtSettings(length_mm=(1e4, 1e4), blended=0, mixed=0, coarse=0, distortion=AS_IT_IS)
FLARE25 = OnnxSettings((1.9736, 1.538, 1.538), (-970, 279, 79.5, 141), ORGANS)


@pytest.fixture
def folder(make_patient: MakePatient, tmp_path: Path) -> Path:
    """Two packed scans, one with tumors that nobody annotated."""
    packed = tmp_path / "packed"
    packed.mkdir()
    cases = [PackedCase("one", (), ORGANS, "absent"), PackedCase("two", (), ORGANS, "unknown")]
    for seed, case in enumerate(cases):
        pack_case(packed, case, *make_patient(seed, tumor=False), SPACING, SPACING)
    write_index(packed, cases, SPACING)
    return packed


def save_teacher(folder: Path, activation: str = "softmax", seed: int = 0) -> Path:
    """A bundle with random weights: it is sure of nothing."""
    channels = 15 if activation == "softmax" else 14
    arguments = {"channels": channels, "widths": [2], "stem_stride": [1, 1, 1], "convolutions": 1}
    torch.manual_seed(seed)
    network = build_network("SubvoxelUNet", arguments)
    entry = NetworkEntry(
        name="SubvoxelUNet",
        arguments=arguments,
        weights="weights.pt",
        sha256="",
        spacing=SPACING,
        patch=(16, 16, 16),
        intensity=IntensityStatistics(-500, 500, 40, 140),
    )
    info = ModelInfo(
        name="teacher",
        version="1",
        targets=tuple(target.key for target in targets()),
        activation=activation,
        network=entry,
        localiser=None,
    )
    save_bundle(folder, info, network.state_dict())
    return folder


def settings(**changes: Any) -> TaughtSettings:
    return dataclasses.replace(TaughtSettings(length_mm=(120.0, 160.0), cases=3), **changes)


def files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*_taught_*.npz")}


def test_soft_labels_are_drawn_with_their_probabilities(tmp_path: Path) -> None:
    labels = np.full((20, 20, 20), 3, np.uint8)
    share = np.full(labels.shape, 204, np.uint8)  # 0.8
    share[0] = 255
    share[1], labels[1] = 255, 255  # nothing known
    soft = SoftLabels(np.full(labels.shape, 11, np.uint8), share)
    write_case(tmp_path, "case", labels.astype(np.int16), labels, soft)
    write_index(tmp_path, [PackedCase("case", (), ORGANS)], SPACING)
    (loaded,) = load_cases(tmp_path)
    drawn = [loaded.drawn_labels(np.random.default_rng(n)).numpy() for n in range(20)]
    assert all((one[0] == 3).all() and (one[1] == 255).all() for one in drawn)
    assert {3, 11} == set(np.unique([one[2:] for one in drawn]))
    # Five standard deviations of a mean over 144000 voxels.
    assert np.mean([one[2:] == 3 for one in drawn]) == pytest.approx(0.8, abs=0.0053)
    again = loaded.drawn_labels(np.random.default_rng(7)).numpy()
    np.testing.assert_array_equal(again, drawn[7])


def test_labels_without_probabilities_are_given_as_they_are(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for case in load_cases(folder):
        assert case.drawn_labels(rng).data_ptr() == case.labels.data_ptr()
        assert not case.taught


@pytest.mark.parametrize(("share", "expected"), [(1.0, {50}), (0.0, {5}), (None, {5, 50})])
def test_taught_cases_are_drawn_as_often_as_wished(
    tmp_path: Path, share: float | None, expected: set[int]
) -> None:
    labels = np.ones((16, 16, 16), np.uint8)
    soft = SoftLabels(labels, np.full_like(labels, 255))
    cases = [PackedCase("hard", (), ORGANS), PackedCase("taught", (), ORGANS)]
    write_case(tmp_path, "hard", np.full(labels.shape, 5, np.int16), labels)
    write_case(tmp_path, "taught", np.full(labels.shape, 50, np.int16), labels, soft)
    write_index(tmp_path, cases, SPACING)
    sampling = SamplingSettings(patches=((8, 8, 8),), patch_weights=(), taught=share)
    sampler = CropSampler(
        load_cases(tmp_path), SPACING, sampling, AS_IT_IS, TumorSettings(probability=0.0)
    )
    seen = {round(float(v)) for n in range(12) for v in sampler.batch((1,), n, [0]).image.unique()}
    assert seen == expected


def test_the_labels_are_the_teachers_for_the_distorted_scan(folder: Path, tmp_path: Path) -> None:
    wish = settings(teacher=str(save_teacher(tmp_path / "teacher")), cases=2)
    made = add_taught_cases(folder, wish, tmp_path)
    assert len(made) == len(files(folder)) == 2
    teacher = open_teacher(wish, tmp_path)
    cases = {case.name: case for case in read_index(folder)[0]}
    for number, case in enumerate(made):
        rng = np.random.default_rng([wish.seed, number])
        names = [("one", "two")[int(n)] for n in rng.integers(2, size=2)]
        pair = (cases[names[0]], cases[names[1]])
        image, _ = distorted_scan(folder, pair, SPACING, wish, rng)
        expected, soft = teacher.label(image, SPACING)
        kept, labels = read_case(folder, case.name)
        # One slice of 8 mm is cut at either end.
        np.testing.assert_array_equal(kept, image[1:-1])
        np.testing.assert_array_equal(labels, expected[1:-1])
        assert (soft.share >= 127).all()
        assert (soft.second != expected).all()
        assert not np.array_equal(image.shape, read_case(folder, pair[0].name)[0].shape)
        assert case.tumor == "pseudo"
        assert case.pseudo == ORGANS


def test_a_bundles_offsets_are_part_of_what_it_teaches(folder: Path, tmp_path: Path) -> None:
    bundle = save_teacher(tmp_path / "teacher")
    content = json.loads((bundle / "model.json").read_text())
    content["inference"]["logit_offsets"] = {"spleen": 100.0}
    (bundle / "model.json").write_text(json.dumps(content))
    (made,) = add_taught_cases(folder, settings(teacher=str(bundle), cases=1), tmp_path)
    assert (read_case(folder, made.name)[1] == 3).all()


def test_nothing_is_made_twice_and_the_scans_are_left_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = settings(teacher=str(save_teacher(tmp_path / "teacher")))
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    made = add_taught_cases(folder, wish, tmp_path)
    times = files(folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.name in before} == before
    more = add_taught_cases(folder, dataclasses.replace(wish, cases=4), tmp_path)
    assert more[:3] == made
    assert times.items() < files(folder).items()

    def refuse(*_: object) -> None:
        raise AssertionError("the teacher is loaded though nothing is to be labelled")

    monkeypatch.setattr("FlareTrainLib.taught_cases.open_teacher", refuse)
    assert add_taught_cases(folder, wish, tmp_path) == made
    monkeypatch.undo()
    save_teacher(tmp_path / "teacher", seed=1)
    add_taught_cases(folder, dataclasses.replace(wish, cases=1), tmp_path)
    assert files(folder)[made[0].name + ".npz"] > times[made[0].name + ".npz"]
    times = files(folder)
    other = dataclasses.replace(wish, cases=1, coarse=1.0)
    add_taught_cases(folder, other, tmp_path)
    assert files(folder)[made[0].name + ".npz"] > times[made[0].name + ".npz"]


def test_a_mixture_shows_both_scans_and_says_so(folder: Path) -> None:
    cases, _ = read_index(folder)
    pair = (cases[0], cases[1])
    plain = dataclasses.replace(WHOLE, blended=1.0)
    for seed in range(3):
        image, origins = distorted_scan(folder, pair, SPACING, plain, np.random.default_rng(seed))
        assert origins == list(pair)
        one, two = (read_case(folder, case.name)[0] for case in pair)
        assert image.shape == one.shape
        assert abs(float(image.mean()) - float((one.mean() + two.mean()) / 2)) < 60
        assert not np.array_equal(image, one)
    parts = dataclasses.replace(WHOLE, mixed=1.0)
    image, _ = distorted_scan(folder, pair, SPACING, parts, np.random.default_rng(1))
    near = [np.abs(image.astype(int) - read_case(folder, c.name)[0]) < 2 for c in pair]
    assert (near[0] & ~near[1]).mean() > 0.05
    image, origins = distorted_scan(folder, pair, SPACING, WHOLE, np.random.default_rng(1))
    assert origins == [pair[0]]
    np.testing.assert_array_equal(image, read_case(folder, "one")[0])


def test_tumors_are_unknown_where_one_of_the_scans_may_have_some(
    folder: Path, tmp_path: Path
) -> None:
    """A teacher without tumors, so that what is known comes from the scans."""
    bundle = save_teacher(tmp_path / "teacher")
    content = json.loads((bundle / "model.json").read_text())
    organs = [target.key for target in targets() if target.id != 14]
    content["targets"] = organs
    content["network"]["arguments"]["channels"] = 14
    network = build_network("SubvoxelUNet", content["network"]["arguments"])
    info = ModelBundle.load(bundle).info
    entry = dataclasses.replace(info.network, arguments=content["network"]["arguments"])
    info = dataclasses.replace(info, targets=tuple(organs), network=entry)
    save_bundle(tmp_path / "organs", info, network.state_dict())
    wish = settings(teacher=str(tmp_path / "organs"), cases=8, mixed=0.5)
    for case in add_taught_cases(folder, wish, tmp_path):
        shown = json.loads((folder / f"{case.name}.json").read_text())["scans"]
        assert case.tumor == ("absent" if shown == ["one"] else "unknown")
        assert case.name.split("_taught_")[0] == shown[0]


def test_a_recipe_packs_them(raw_dataset: Path, tmp_path: Path) -> None:
    save_teacher(raw_dataset / "teacher")
    dataset = read_dataset(raw_dataset)
    refined_folder, packed = tmp_path / "refined", tmp_path / "packed"
    refined = refine_dataset(
        dataset, dataset.sources, RefineSettings(sources=("a",)), refined_folder
    )
    grid = PackSettings(SPACING, negatives=1, taught=settings(teacher="teacher"))
    for _ in range(2):
        pack_refined(dataset, refined, refined_folder, packed, grid)
        kinds = [(c.kind, "_taught_" in c.name) for c in read_index(packed)[0]]
        assert kinds.count(("scan", True)) == 3
        assert kinds.count(("negative", False)) == 3
        # What was taught is no scan to distort again.
        assert all(c.name.count("_taught_") <= 1 for c in read_index(packed)[0])
    assert sum(case.taught for case in load_cases(packed)) == 3
    with pytest.raises(ValueError, match="leave taught out"):
        PackSettings(fixed_size=(8, 8, 8), taught=settings(teacher="teacher"))


@pytest.mark.parametrize("teacher", ["nowhere", "../nowhere.onnx"])
def test_a_recipe_goes_on_without_a_teacher_that_is_not_there(
    raw_dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, teacher: str
) -> None:
    dataset = read_dataset(raw_dataset)
    refined_folder, packed = tmp_path / "refined", tmp_path / "packed"
    refined = refine_dataset(
        dataset, dataset.sources, RefineSettings(sources=("a",)), refined_folder
    )
    grid = PackSettings(SPACING, taught=settings(teacher=teacher))
    with caplog.at_level(logging.WARNING):
        pack_refined(dataset, refined, refined_folder, packed, grid)
    assert f"The teacher {teacher} is not there" in caplog.text
    assert not any(case.taught for case in load_cases(packed))


@pytest.mark.parametrize(
    ("teacher", "onnx", "words"),
    [
        ("nowhere", OnnxSettings(), "There is no model 'nowhere'"),
        ("nowhere.onnx", FLARE25, "is not there"),
        ("damaged.onnx", OnnxSettings(), "Give spacing, intensity and targets"),
        ("damaged.onnx", FLARE25, "cannot be read as an ONNX network"),
        ("sigmoid", OnnxSettings(), "no background channel"),
    ],
)
def test_a_teacher_that_cannot_be_used_is_refused(
    folder: Path, tmp_path: Path, teacher: str, onnx: OnnxSettings, words: str
) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "damaged.onnx").write_bytes(b"no network")
    save_teacher(tmp_path / "sigmoid", "sigmoid")
    before = sorted(folder.iterdir())
    with pytest.raises((InputError, BundleError), match=words):
        add_taught_cases(folder, settings(teacher=teacher, onnx=onnx), tmp_path)
    assert sorted(folder.iterdir()) == before


def test_settings_say_what_they_need() -> None:
    with pytest.raises(ValueError, match="spacing needs 3 numbers"):
        OnnxSettings(spacing=(2.0, 2.0))
    with pytest.raises(ValueError, match="together"):
        TaughtSettings(blended=0.6, mixed=0.6)
    with pytest.raises(ValueError, match="length_mm"):
        TaughtSettings(length_mm=(200.0, 100.0))


def test_a_real_networks_labels_lie_on_the_organs(
    shared_data: Path, shared_teachers: Path, tmp_path: Path
) -> None:
    """A real scan as it is: what comes back are the label maps made with the network before."""
    pytest.importorskip("onnxruntime")
    from FlareSegmentLib.geometry import canonical_volume
    from FlareSegmentLib.reading import read_label_map, read_volume
    from FlareSegmentLib.volume import Volume

    scan, _ = canonical_volume(read_volume(shared_data / "ct" / "chaos_ct03.nii.gz"))
    array, affine = read_label_map(shared_data / "pseudo" / "flare25_a" / "chaos_ct03.nii.gz")
    labels, _ = canonical_volume(Volume(array.astype(np.uint8), affine))
    spacing = (2.0, 1.5, 1.5)
    case = PackedCase("chaos", (), ORGANS, "absent")
    pack_case(tmp_path, case, scan.array, labels.array, scan.spacing, spacing)
    write_index(tmp_path, [case], spacing)
    network = str(shared_teachers / "flare25_light.onnx")
    wish = dataclasses.replace(WHOLE, teacher=network, onnx=FLARE25, cases=1)
    (taught,) = add_taught_cases(tmp_path, wish, shared_data)
    image, theirs = read_case(tmp_path, "chaos")
    distorted, ours = read_case(tmp_path, taught.name)
    np.testing.assert_array_equal(distorted, image[5:-5])
    for organ in ORGANS:
        one, other = ours == organ, theirs[5:-5] == organ
        assert 2 * (one & other).sum() > 0.9 * (one.sum() + other.sum()), organ
    assert taught.tumor == "absent"
