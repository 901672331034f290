"""A task with a folder of its own: started detached, it outlives the program that started it.

The folder holds ``request.json`` (what to do), ``process.json`` (who does it), ``output.log``,
``stop`` (a wish to stop) and, when the task ended, ``outcome.json``.
"""

from __future__ import annotations

import enum
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import FlareSegmentLib
from FlareSegmentLib.errors import InputError, OutputError
from FlareSegmentLib.waiting_threads import let_threads_sleep

from .process_identity import is_alive, start_mark
from .settings import read_json, write_json
from .whole_files import made_folder

REQUEST = "request.json"
PROCESS = "process.json"
OUTCOME = "outcome.json"
STOP = "stop"
LOG = "output.log"

_LOG_END = 20_000
"""Bytes of the log that are shown."""


class TaskState(enum.Enum):
    """What a task does."""

    NEW = "new"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FINISHED = "finished"
    FAILED = "failed"
    ELSEWHERE = "elsewhere"

    @property
    def alive(self) -> bool:
        """Whether a process of this computer works on it."""
        return self in (TaskState.RUNNING, TaskState.STOPPING)


@dataclass(frozen=True)
class TaskStatus:
    """State of a task, a sentence about it, and since when it runs (seconds of the epoch)."""

    state: TaskState
    message: str = ""
    started: float = 0.0


def write_request(folder: Path, kind: str, arguments: Mapping[str, Any]) -> None:
    """Say what is to be done in `folder`, which is made when missing.

    Raises
    ------
    OutputError
        When the folder cannot be written.
    """
    write_json(made_folder(folder) / REQUEST, {"task": kind, "arguments": dict(arguments)})


def read_request(folder: Path) -> tuple[str, dict[str, Any]]:
    """Kind and arguments of the task.

    Raises
    ------
    InputError
        When the folder holds none.
    """
    content = read_json(folder / REQUEST)
    try:
        return str(content["task"]), dict(content["arguments"])
    except (TypeError, KeyError, ValueError) as error:
        raise InputError(f"{folder / REQUEST} is not a task. Choose another folder.") from error


def start(folder: Path, python: str) -> None:
    """Start the task, or go on with it, as a process that does not end with this one.

    Parameters
    ----------
    python
        The interpreter.

    Raises
    ------
    InputError
        When it runs already.
    OutputError
        When its folder cannot be written or the process cannot be started.
    """
    read_request(folder)
    if status(folder).state.alive:
        raise InputError(f"{folder.name} is running already. Stop it first.")
    # The process begins in its folder: a relative path would lead nowhere from there.
    command = [python, "-X", "utf8", "-m", "FlareTrainLib.task", str(folder.resolve())]
    try:
        for name in (STOP, OUTCOME):
            (folder / name).unlink(missing_ok=True)
        with (folder / LOG).open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
                cwd=folder,
                **_detached(),
            )
    except OSError as error:
        raise OutputError(
            f"{folder.name} cannot be started ({error.strerror or error}). Check that {folder} is "
            "writable and has free space."
        ) from error
    # Somebody has to take note of its end, or it stays in the list of processes as a zombie.
    threading.Thread(target=process.wait, daemon=True).start()
    content = {
        "pid": process.pid,
        "mark": start_mark(process.pid) or "",
        "host": platform.node(),
        "started": time.time(),
    }
    write_json(folder / PROCESS, content)


def stop(folder: Path) -> None:
    """Ask the task to save and end; `status` tells when it has.

    A file is written instead of a signal: it works on every system, and cannot hit another
    process.

    Raises
    ------
    OutputError
        When the folder cannot be written.
    """
    if not status(folder).state.alive:
        return
    try:
        (folder / STOP).touch()
    except OSError as error:
        raise OutputError(
            f"{folder.name} cannot be asked to stop: {folder} is not writable "
            f"({error.strerror or error}). Make room, and try again."
        ) from error


def status(folder: Path) -> TaskStatus:
    """Tell what the task does; reads three small files."""
    if not (folder / PROCESS).is_file():
        return TaskStatus(TaskState.NEW)
    process = read_json(folder / PROCESS)
    started = float(process["started"])
    # Asked before the outcome is read: it may end between the two.
    alive = process["host"] == platform.node() and is_alive(process["pid"], process["mark"])
    if alive:
        stopping = (folder / STOP).exists()
        return TaskStatus(TaskState.STOPPING if stopping else TaskState.RUNNING, "", started)
    if (folder / OUTCOME).is_file():
        outcome = read_json(folder / OUTCOME)
        return TaskStatus(TaskState(outcome["state"]), outcome["message"], started)
    if process["host"] != platform.node():
        text = f"It was started on the computer {process['host']}, and may be running there."
        return TaskStatus(TaskState.ELSEWHERE, text, started)
    text = (
        "It ended without saying why: the computer was switched off, memory ran out, or it was "
        f"ended from outside. The end of {LOG} may tell; Resume goes on from what was saved."
    )
    return TaskStatus(TaskState.FAILED, text, started)


def log_end(folder: Path) -> str:
    """Give the last lines of the task's log."""
    path = folder / LOG
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LOG_END))
        return file.read().decode("utf-8", errors="replace")


def _environment() -> dict[str, str]:
    """Environment in which the process finds these very packages."""
    environment = dict(os.environ)
    places = [Path(__file__).resolve().parents[1], Path(FlareSegmentLib.__file__).parents[1]]
    paths = [*dict.fromkeys(map(str, places)), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    let_threads_sleep(environment)
    return environment


def _detached() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}
