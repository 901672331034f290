"""The estimate of memory and disk grows with the grid, and warns when there is too little."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from FlareTrainLib.crop_settings import SamplingSettings
from FlareTrainLib.dataset import read_dataset
from FlareTrainLib.grid import PackSettings
from FlareTrainLib.recipe import NetworkStage, Recipe, read_recipe
from FlareTrainLib.room_check import FIXED_DISK, FIXED_GPU, GIB, STEP_BYTES, Room, check_room
from FlareTrainLib.teacher_settings import TaughtSettings
from FlareTrainLib.training_settings import FitSettings, TrainingSettings


def test_the_estimate_follows_the_grid(raw_dataset: Path) -> None:
    cases = read_dataset(raw_dataset).cases

    def packed(spacing: float) -> int:
        grid = PackSettings(spacing=(spacing,) * 3)
        recipe = Recipe("x", network=NetworkStage(grid=grid))
        return check_room(recipe, cases, raw_dataset / "runs" / "new").disk - FIXED_DISK

    # Four scans of 24 x 32 x 36 voxels of 8 mm; three bytes per voxel.
    assert packed(8.0) == 4 * 24 * 32 * 36 * 3
    assert packed(4.0) == 8 * packed(8.0)


def test_what_a_teacher_labels_is_part_of_it(raw_dataset: Path) -> None:
    cases, run = read_dataset(raw_dataset).cases, raw_dataset / "runs" / "new"

    def disk(teacher: str) -> int:
        taught = TaughtSettings(teacher, cases=10, length_mm=(160.0, 260.0))
        stage = NetworkStage(grid=PackSettings(spacing=(2.0, 1.5, 1.5), taught=taught))
        return check_room(Recipe("x", network=stage), cases, run).disk

    # Pieces of 130 x 224 x 288 voxels at most, image and three numbers of a byte.
    assert disk("teacher") - disk("") == 10 * 130 * 224 * 288 * 5


def test_more_cases_need_more_disk_but_no_more_memory(raw_dataset: Path) -> None:
    cases = read_dataset(raw_dataset).cases
    run = raw_dataset / "runs" / "new"
    few, many = check_room(Recipe("x"), cases, run), check_room(Recipe("x"), cases * 500, run)
    assert many.memory == few.memory
    assert many.disk - FIXED_DISK == 500 * (few.disk - FIXED_DISK)


def with_batch(batch: int) -> Recipe:
    """A recipe of crops of 64 x 128 x 128 voxels."""
    sampling = SamplingSettings(patches=((64, 128, 128),), patch_weights=())
    training = TrainingSettings(sampling=sampling, fit=FitSettings(batch=batch))
    return Recipe("x", network=NetworkStage(training=training))


def test_a_larger_batch_needs_more_memory_where_the_network_runs(raw_dataset: Path) -> None:
    cases, run = read_dataset(raw_dataset).cases, raw_dataset / "runs" / "new"
    small, large = (check_room(with_batch(batch), cases, run) for batch in (4, 64))
    assert large.memory - small.memory == 60 * 64 * 128 * 128 * STEP_BYTES
    assert large.gpu == 0
    gpu = check_room(with_batch(64), cases, run, gpu_there=4 * GIB)
    assert (gpu.gpu, gpu.gpu_there) == (FIXED_GPU + 64 * 64 * 128 * 128 * STEP_BYTES, 4 * GIB)
    assert gpu.memory < small.memory
    assert "of its memory on the GPU, which has 4 GB" in gpu.warning


@pytest.mark.parametrize("name", ["tune", "best", "p1", "p2", "p3", "p4", "p5"])
def test_recipes_that_run_in_16_gb_are_not_warned_of(raw_dataset: Path, name: str) -> None:
    """The steps of all were run at their sizes in 1.7 to 7.0 GiB: see STUDY.md."""
    cases = read_dataset(raw_dataset).cases
    room = check_room(read_recipe(name), cases, raw_dataset / "runs" / "new")
    assert 2 * GIB < room.memory < 12 * GIB


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({}, ""),
        ({"memory": 9 * GIB}, "about 9 GB of memory, and this computer has 8 GB"),
        ({"disk": 99 * GIB}, "up to 99 GB on the disk, where 20 GB are free"),
    ],
)
def test_what_does_not_fit_is_said(changed: dict[str, int], text: str) -> None:
    room = replace(Room(4 * GIB, 10 * GIB, 8 * GIB, 20 * GIB), **changed)
    assert text in room.warning
    assert bool(text) == bool(room.warning)
