"""FlareTrain from Slicer's Python console, as its README tells it."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from FlareSegmentLib.model_choice import read_choice
from FlareTrainLib import task_folder
from FlareTrainLib.run_folder import RunProgress, RunSettings
from FlareTrainLib.task_folder import TaskState, TaskStatus

slicer = pytest.importorskip("slicer")


def console_lines(repository: Path) -> str:
    """The README's example of the logic."""
    text = (repository / "FlareTrain/README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (block,) = [block for block in blocks if "FlareTrainLogic" in block]
    return inspect.cleandoc("\n" + block)


def test_the_readme_calls_what_there_is(python: Any, repository: Path) -> None:
    names: list[str] = []
    for node in ast.walk(ast.parse(console_lines(repository))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            method = getattr(python.FlareTrainLogic(), node.func.attr)
            inspect.signature(method).bind(
                *node.args, **{keyword.arg: keyword.value for keyword in node.keywords}
            )
            names.append(node.func.attr)
        elif isinstance(node, ast.Call) and node.func.id == "RunSettings":
            inspect.signature(python.RunSettings).bind(
                *node.args, **{keyword.arg: keyword.value for keyword in node.keywords}
            )
    assert sorted(names) == ["createRun", "install", "start", "status", "stop"]


def test_a_run_from_the_console_stops_goes_on_and_is_installed(
    python: Any, slicer_host: Any, raw_dataset: Path, tiny_recipe: Any, home: Path
) -> None:
    logic = python.FlareTrainLogic()
    settings = RunSettings(
        raw_dataset, str(tiny_recipe(5)), "cpu", sources=("a",), validate=False, compare=False
    )
    run = logic.createRun(settings, "from the console")
    assert logic.status(run)[0].state is TaskState.NEW
    logic.start(run)
    assert logic.status(run)[0].state is TaskState.RUNNING
    logic.stop(run)
    slicer_host.process_events(until=lambda: not logic.status(run)[0].state.alive, timeout=600)
    assert logic.status(run)[0].state is TaskState.STOPPED, task_folder.log_end(run)
    logic.start(run)
    slicer_host.process_events(until=lambda: not logic.status(run)[0].state.alive, timeout=600)
    status, progress = logic.status(run)
    assert isinstance(status, TaskStatus)
    assert isinstance(progress, RunProgress)
    assert status.state is TaskState.FINISHED, task_folder.log_end(run)
    assert progress.step == 5
    folder = logic.install(run, name="my livers")
    assert folder.is_relative_to(home)
    assert read_choice(folder).name == "my livers"
