"""Work that a process does for the window: whatever takes seconds (reading, packing, copying)."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer

from FlareSegmentLib.errors import FlareError, InputError
from FlareSegmentSlicer.shared import worker_python
from FlareTrainLib import task_folder
from FlareTrainLib.task_folder import TaskState

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


def inTemporaryFolder(use: Callable[[Path], Any]) -> Any:
    """Call `use` with a folder of its own, which is removed after."""
    with tempfile.TemporaryDirectory(dir=slicer.app.temporaryPath) as folder:
        return use(Path(folder))
