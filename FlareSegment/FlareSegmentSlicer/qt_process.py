"""A process on Qt's class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import qt

from FlareSegmentLib.worker_process import ProcessListener


class QtProcess:
    """The worker's process on Qt's class: no thread, and its events come with the window's."""

    def __init__(self) -> None:
        self._process: Any = None
        self._listener: Any = None
        self._ended: Any = None

    @property
    def running(self) -> bool:
        """Whether the process has been started and not yet been reported as finished."""
        return self._process is not None

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], listener: ProcessListener
    ) -> None:
        """Start `command`; raise `OSError` when that is not possible."""
        process = qt.QProcess()
        variables = qt.QProcessEnvironment()
        for name, value in environment.items():
            variables.insert(name, value)
        process.setProcessEnvironment(variables)
        process.connect("readyReadStandardOutput()", self._onOutput)
        process.connect("readyReadStandardError()", self._onErrorOutput)
        process.connect("finished(int,QProcess::ExitStatus)", self._onFinished)
        self._process, self._listener = process, listener
        process.start(command[0], list(command[1:]))
        if not process.waitForStarted(10000):
            reason = process.errorString()
            self._process = None
            raise OSError(reason)

    def write(self, data: bytes) -> None:
        """Send bytes to the standard input."""
        if self._process is not None:
            self._process.write(qt.QByteArray(data))

    def end_input(self) -> None:
        """Close the standard input, which asks a worker to leave."""
        if self._process is not None:
            self._process.closeWriteChannel()

    def kill(self) -> None:
        """End the process now. Its child, when it is a launcher, may live on."""
        if self._process is not None:
            self._process.kill()

    def pump(self, seconds: float) -> None:
        """Wait up to `seconds` for output; works without an event loop."""
        if self._process is not None:
            self._process.waitForReadyRead(round(seconds * 1000))

    def _onOutput(self) -> None:
        if self._process is not None:
            self._listener.on_output(self._process.readAllStandardOutput().data())

    def _onErrorOutput(self) -> None:
        if self._process is not None:
            self._listener.on_error_output(self._process.readAllStandardError().data())

    def _onFinished(self, exitCode: int, exitStatus: int) -> None:
        process, listener = self._process, self._listener
        if process is None:
            return
        self._onOutput()
        self._onErrorOutput()
        self._process = None
        # With its last Python reference PythonQt would delete the process at once, and Qt is still
        # inside the signal of it. Qt deletes it when the signal is over.
        self._ended = process
        process.deleteLater()
        crashed = exitStatus == qt.QProcess.CrashExit
        # Qt gives the signal's number as the code of a crash.
        listener.on_finished(-exitCode if crashed else exitCode)
