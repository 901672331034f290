"""A training as a detached process: started, stopped, gone on with, and its model installed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_recipes import tiny_recipe

from FlareSegmentLib.bundle import ModelBundle
from FlareSegmentLib.errors import InputError
from FlareSegmentLib.model_choice import available_models
from FlareTrainLib import process_identity, run_folder, task_folder
from FlareTrainLib.model_install import install
from FlareTrainLib.run_curves import RunCurves
from FlareTrainLib.run_folder import RunSettings
from FlareTrainLib.settings import read_json, write_json
from FlareTrainLib.task_folder import TaskState

ONE_SOURCE = {"refine": {"sources": ["a"]}}


def wait(until: Callable[[], bool], run: Path, seconds: float = 90) -> None:
    """Look again and again until something is true; the log is shown when it never is."""
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, task_folder.log_end(run)
        time.sleep(0.05)


def losses(run: Path) -> dict[str, list[tuple[int, float]]]:
    """The loss curves of a run."""
    curves = RunCurves(run)
    while curves.read_on():
        pass
    return curves.losses()


def ended(run: Path) -> bool:
    return not task_folder.status(run).state.alive


def test_a_run_is_stopped_goes_on_and_its_model_is_found_by_flare_segment(
    raw_dataset: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe(tmp_path, 100_000, **ONE_SOURCE)
    run = run_folder.create_run(RunSettings(raw_dataset, str(recipe), "cpu", validate=False))
    assert run_folder.list_runs(raw_dataset) == [run]
    assert task_folder.status(run).state is TaskState.NEW

    task_folder.start(run, sys.executable)
    assert task_folder.status(run).state is TaskState.RUNNING
    wait(lambda: run_folder.progress(run).step >= 2 or ended(run), run)
    with pytest.raises(InputError, match="is running already"):
        task_folder.start(run, sys.executable)
    task_folder.stop(run)
    wait(lambda: ended(run), run)
    status = task_folder.status(run)
    assert (status.state, status.message) == (
        TaskState.STOPPED,
        "Stopped; everything done so far is saved.",
    )
    reached = run_folder.progress(run).step
    assert 2 <= reached < 100_000
    assert losses(run)["network"][0][0] == 1
    with pytest.raises(InputError, match="has no model yet"):
        install(run, tmp_path / "models")

    # A budget that is over at once: a few more steps, then a model.
    kind, arguments = task_folder.read_request(run)
    task_folder.write_request(run, kind, {**arguments, "minutes": 0.001})
    task_folder.start(run, sys.executable)
    wait(lambda: ended(run), run)
    assert task_folder.status(run).state is TaskState.FINISHED, task_folder.log_end(run)
    assert run_folder.progress(run).step >= reached

    installed = install(run, tmp_path / "models", "mine")
    assert ModelBundle.load(installed).info.facts["recipe"] == "tiny"
    assert installed in [choice.folder for choice in available_models(tmp_path / "models")]
    with pytest.raises(InputError, match="There is a model 'mine'"):
        install(run, tmp_path / "models", "mine")
    (installed / "old").touch()
    install(run, tmp_path / "models", "mine", replace=True)
    assert not (installed / "old").exists()
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["mine"]


def test_a_crash_is_told_from_an_end(raw_dataset: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, 100_000, **ONE_SOURCE)
    run = run_folder.create_run(RunSettings(raw_dataset, str(recipe), "cpu"), "crash")
    task_folder.start(run, sys.executable)
    os.kill(read_json(run / "process.json")["pid"], getattr(signal, "SIGKILL", signal.SIGTERM))
    wait(lambda: ended(run), run)
    status = task_folder.status(run)
    assert status.state is TaskState.FAILED
    assert "Resume goes on from what was saved" in status.message


def test_a_run_that_cannot_work_says_why(raw_dataset: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, 3, **ONE_SOURCE)
    run = run_folder.create_run(RunSettings(raw_dataset, str(recipe), "cpu", sources=("gone",)))
    task_folder.start(run, sys.executable)
    wait(lambda: ended(run), run)
    status = task_folder.status(run)
    assert status.state is TaskState.FAILED
    assert "There is no pseudo-label source 'gone' (there: a, b, c)" in status.message


def test_another_process_with_the_same_number_is_not_taken_for_the_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    task_folder.write_request(run, "train", {})
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        mark = process_identity.start_mark(other.pid)
        assert mark
        process = {"pid": other.pid, "mark": mark, "host": task_folder.platform.node()}
        write_json(run / "process.json", {**process, "started": 1.0})
        assert task_folder.status(run).state is TaskState.RUNNING
        write_json(run / "process.json", {**process, "mark": f"{mark}0", "started": 1.0})
        assert task_folder.status(run).state is TaskState.FAILED
        write_json(run / "process.json", {**process, "host": "elsewhere", "started": 1.0})
        status = task_folder.status(run)
        assert status.state is TaskState.ELSEWHERE
        assert "elsewhere" in status.message
        other.communicate(b"\n")
    assert process_identity.start_mark(other.pid) is None


def test_a_run_in_a_session_of_its_own_is_stopped_before_it_began(
    raw_dataset: Path, tmp_path: Path
) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no sessions of this kind.")
    run = run_folder.create_run(
        RunSettings(raw_dataset, str(tiny_recipe(tmp_path, 100_000, **ONE_SOURCE)), "cpu"),
        "own session",
    )
    task_folder.start(run, sys.executable)
    pid = read_json(run / "process.json")["pid"]
    assert os.getsid(pid) == pid != os.getsid(0)
    task_folder.stop(run)
    wait(lambda: ended(run), run)
    assert task_folder.status(run).state is TaskState.STOPPED


def test_a_task_outlives_the_program_that_started_it(raw_dataset: Path, tmp_path: Path) -> None:
    """Slicer may be closed, or crash with all that is in its session, while a task is at work."""
    if sys.platform == "win32":
        pytest.skip("Windows has no sessions of this kind.")
    folder = tmp_path / "task"
    arguments = {"data": str(raw_dataset), "checked": str(tmp_path / "none")}
    task_folder.write_request(folder, "list", arguments)
    code = (
        "import os, signal, sys; from pathlib import Path; from FlareTrainLib import task_folder; "
        f"task_folder.start(Path({str(folder)!r}), sys.executable); "
        "os.killpg(0, signal.SIGKILL)"
    )
    started = subprocess.run([sys.executable, "-c", code], start_new_session=True, check=False)
    assert started.returncode == -signal.SIGKILL
    assert task_folder.status(folder).state is TaskState.RUNNING
    wait(lambda: ended(folder), folder)
    assert task_folder.status(folder).state is TaskState.FINISHED, task_folder.log_end(folder)
    assert (folder / "listing.json").is_file()


@pytest.mark.parametrize(
    ("name", "minutes", "text"),
    [("../x", None, "cannot be the name"), ("", 0.0, "more than 0 minutes")],
)
def test_wrong_wishes_get_a_sentence(
    raw_dataset: Path, tmp_path: Path, name: str, minutes: float | None, text: str
) -> None:
    settings = RunSettings(
        raw_dataset, str(tiny_recipe(tmp_path, 3, **ONE_SOURCE)), minutes=minutes
    )
    with pytest.raises(InputError, match=text):
        run_folder.create_run(settings, name)
    assert run_folder.list_runs(raw_dataset) == []


def test_progress_counts_all_networks(tmp_path: Path) -> None:
    run = tmp_path / "run"
    network: dict[str, Any] = {"training": {"fit": {"steps": 100}}}
    write_json(
        _made(run) / "recipe.json",
        {"name": "x", "localiser": {**network, "share": 0.25}, "network": {**network, "share": 1}},
    )
    assert run_folder.progress(run) == run_folder.RunProgress()
    _log(run / "localiser" / "fit", {"step": 40, "seconds_per_step": 2.0, "loss": 1.5})
    progress = run_folder.progress(run)
    assert (progress.stage, progress.step, progress.seconds_left) == ("localiser", 40, 120.0)
    assert progress.fraction == pytest.approx(0.08)
    (run / "localiser" / "finished.json").write_text("{}")
    _log(run / "network" / "fit", {"step": 50, "seconds_per_step": 1.0, "loss": 2.5})
    _log(run / "network" / "fit", {"step": 50, "validation": {"liver": 0.75}})
    progress = run_folder.progress(run)
    assert (progress.stage, progress.fraction) == ("network", pytest.approx(0.6))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _log(folder: Path, entry: dict[str, Any]) -> None:
    with (_made(folder) / "log.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")
