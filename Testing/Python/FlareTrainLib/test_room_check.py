"""The estimate of memory and disk grows with the grid, and warns when there is too little."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from FlareTrainLib.dataset import read_dataset
from FlareTrainLib.grid import PackSettings
from FlareTrainLib.recipe import NetworkStage, Recipe
from FlareTrainLib.room_check import FIXED_DISK, GIB, Room, check_room


def test_the_estimate_follows_the_grid(raw_dataset: Path) -> None:
    cases = read_dataset(raw_dataset).cases

    def packed(spacing: float) -> int:
        grid = PackSettings(spacing=(spacing,) * 3)
        recipe = Recipe("x", network=NetworkStage(grid=grid))
        return check_room(recipe, cases, raw_dataset / "runs" / "new").disk - FIXED_DISK

    # Four scans of 24 x 32 x 36 voxels of 8 mm; three bytes per voxel.
    assert packed(8.0) == 4 * 24 * 32 * 36 * 3
    assert packed(4.0) == 8 * packed(8.0)


def test_more_cases_need_more_disk_but_no_more_memory(raw_dataset: Path) -> None:
    cases = read_dataset(raw_dataset).cases
    run = raw_dataset / "runs" / "new"
    few, many = check_room(Recipe("x"), cases, run), check_room(Recipe("x"), cases * 500, run)
    assert many.memory == few.memory
    assert many.disk - FIXED_DISK == 500 * (few.disk - FIXED_DISK)


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
