"""Work that must not hold up the window: a process for what computes, steps for what cannot leave.

A process does what takes seconds (reading, packing, copying). Nodes can only be made in Slicer's
own thread: that is cut into steps of milliseconds between which the window lives.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import qt
import slicer

from FlareSegmentLib.errors import FlareError, InputError
from FlareSegmentSlicer.shared import worker_python
from FlareTrainLib import task_folder
from FlareTrainLib.task_folder import TaskState

STEP_SECONDS = 0.02
"""Steps are done one after the other for this long before the window has its turn."""

_LOOK_MS = 100
"""Time between two looks whether a process has ended."""


class Job:
    """A task that a process does for the window; its folder is removed after `onDone`.

    Parameters
    ----------
    kind, arguments
        Of `FlareTrainLib.task.TASKS`.
    onDone
        Called with the task's folder and message.
    onError
        Called with what went wrong.
    keep
        Leave the folder where it is until `remove`.

    Raises
    ------
    OutputError
        When the process cannot be started.
    """

    def __init__(
        self,
        kind: str,
        arguments: dict[str, Any],
        onDone: Callable[[Path, str], None],
        onError: Callable[[FlareError], None],
        keep: bool = False,
    ) -> None:
        self._onDone = onDone
        self._onError = onError
        self._keep = keep
        self._wanted = True
        self.folder = Path(tempfile.mkdtemp(prefix="flaretrain-", dir=slicer.app.temporaryPath))
        try:
            task_folder.write_request(self.folder, kind, arguments)
            task_folder.start(self.folder, worker_python.workerPython())
        except FlareError:
            self.remove()
            raise
        self._timer = qt.QTimer()
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self._look)
        self._timer.start()

    @property
    def running(self) -> bool:
        """Whether somebody still waits for it."""
        return self._wanted

    def cancel(self) -> None:
        """Forget about it; the process is asked to end."""
        if self._wanted:
            self._wanted = False
            self._timer.stop()
            task_folder.stop(self.folder)
            self.remove()

    def remove(self) -> None:
        """Remove the folder of a job that is over."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _look(self) -> None:
        status = task_folder.status(self.folder)
        if status.state.alive:
            return
        self._timer.stop()
        self._wanted = False
        if status.state is TaskState.FINISHED:
            try:
                self._onDone(self.folder, status.message)
            finally:
                if not self._keep:
                    self.remove()
            return
        logging.warning("FlareTrain: %s", task_folder.log_end(self.folder))
        self.remove()
        self._onError(InputError(status.message))


class Steps:
    """Runs a generator a little at a time; between two steps the window lives.

    Parameters
    ----------
    work
        Each part up to a ``yield`` should take a few milliseconds.
    onDone
        Called with what the generator returns.
    onError
        Called with a `FlareError` that it raises.
    """

    def __init__(
        self,
        work: Generator[None, None, Any],
        onDone: Callable[[Any], None],
        onError: Callable[[FlareError], None],
    ) -> None:
        self._work = work
        self._onDone = onDone
        self._onError = onError
        self._timer = qt.QTimer()
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._step)
        self._timer.start()

    @property
    def running(self) -> bool:
        """Whether there are steps left."""
        return self._timer.isActive()

    def cancel(self) -> None:
        """Leave the rest undone."""
        self._timer.stop()
        self._work.close()

    def _step(self) -> None:
        end = time.perf_counter() + STEP_SECONDS
        try:
            while time.perf_counter() < end:
                next(self._work)
        except StopIteration as finished:
            self._timer.stop()
            self._onDone(finished.value)
        except FlareError as error:
            self._timer.stop()
            self._onError(error)
        except BaseException:
            self._timer.stop()
            raise


def atOnce(work: Generator[None, None, Any]) -> Any:
    """Do all steps now, for scripts; what the generator returns."""
    try:
        while True:
            next(work)
    except StopIteration as finished:
        return finished.value


def inTemporaryFolder(use: Callable[[Path], Any]) -> Any:
    """Call `use` with a folder of its own, which is removed after."""
    with tempfile.TemporaryDirectory(dir=slicer.app.temporaryPath) as folder:
        return use(Path(folder))
