"""What a run does at this moment, and what of its time is left."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from FlareTrainLib import run_folder
from FlareTrainLib.activity import Activity, read_activity, tell, tell_training, told_in
from FlareTrainLib.recipe import read_recipe
from FlareTrainLib.run_budget import limited_share
from FlareTrainLib.run_folder import RunSettings
from FlareTrainLib.settings import read_json, settings_to_json, write_json


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two networks, one twentieth of the time for the first."""
    folder = tmp_path / "run"
    folder.mkdir()
    write_json(folder / "recipe.json", settings_to_json(read_recipe("tune")))
    return folder


def test_what_is_done_is_told_while_it_is_done(run: Path) -> None:
    tell("packing", 1, 2)  # nobody listens
    assert read_activity(run) is None
    with told_in(run):
        tell("packing", 1, 2)
        told = read_activity(run)
        assert told is not None
        assert (told.kind, told.done, told.of, told.seconds_left) == ("packing", 1, 2, None)
        tell_training(run / "network" / "fit", 10)
        tell("scoring", 1, 3)
        told = read_activity(run)
        assert told is not None
        # Scores on the way belong to the training: its time goes on.
        assert (told.kind, told.fit, told.minutes) == ("scoring", "network/fit", 10)
        assert told.seconds_left == pytest.approx(600, abs=60)
    assert read_activity(run) is None


def test_a_damaged_note_is_no_note(run: Path) -> None:
    (run / "doing.json").write_text('{"kind": "pack')
    assert read_activity(run) is None


def test_a_time_limit_counts_from_the_first_step(run: Path) -> None:
    def at(fit: str, **settings: Any) -> float:
        return limited_share(run, Activity("training", fit=fit, **settings))

    now = time.time()
    assert limited_share(run, None) == 0
    assert limited_share(run, Activity("packing", 3, 6)) == 0
    assert at("network/fit") == 0  # no limit
    assert at("localiser/fit", minutes=1, ends=now + 30) == pytest.approx(0.025, abs=0.005)
    assert at("network/fit", minutes=19, ends=now + 570) == pytest.approx(0.525, abs=0.01)
    assert at("network/fit", minutes=19, ends=now - 1) == pytest.approx(1)


@pytest.mark.parametrize(("steps", "every"), [(None, 20), (1000, 50), (5, 0)])
def test_a_run_is_scored_twenty_times_on_the_way(
    raw_dataset: Path, steps: int | None, every: int
) -> None:
    run = run_folder.create_run(RunSettings(raw_dataset, "tune", steps=steps))
    chosen = read_recipe(str(run / run_folder.CHOSEN))
    assert chosen.network.training.fit.validate_every == every
    unscored = run_folder.create_run(RunSettings(raw_dataset, "tune", validations=0))
    assert read_recipe(str(unscored / run_folder.CHOSEN)) == read_recipe("tune")


def test_a_run_follows_its_dataset(raw_dataset: Path, tmp_path: Path) -> None:
    run = run_folder.create_run(RunSettings(raw_dataset, "tune", sources=("a",)))
    moved = raw_dataset.rename(tmp_path / "moved")
    run = moved / "runs" / run.name
    run_folder.follow_dataset(run)
    arguments = read_json(run / "request.json")["arguments"]
    assert arguments["data"] == str(moved.resolve())
    assert read_recipe(arguments["recipe"]).refine.sources == ("a",)
