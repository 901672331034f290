"""The worker that all logics share, so that it stays warm, and the timer that drives it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import qt
import slicer

from FlareSegmentLib.worker_client import WorkerClient
from FlareSegmentLib.worker_state import WorkerState

from .qt_process import QtProcess

_SLOW, _QUICK = 250, 20
"""Milliseconds between two looks at the worker; quick while a scan is handed over in pieces."""


class SharedWorker:
    """A worker's client with its timer; the process is started by the first request.

    Parameters
    ----------
    command
        Command line of the worker.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.client = WorkerClient(
            QtProcess(), command, exchange_parent=Path(slicer.app.temporaryPath)
        )
        self._timer = qt.QTimer()
        self._timer.timeout.connect(self._onTimer)

    def watch(self, quickly: bool = False) -> None:
        """Look at the worker from now on, until it has ended."""
        self._timer.start(_QUICK if quickly else _SLOW)

    def stop(self) -> None:
        """End the worker."""
        self._timer.stop()
        self.client.on_state = self.client.on_log = None
        self.client.stop()

    def _onTimer(self) -> None:
        if self.client.state in (WorkerState.STOPPED, WorkerState.FAILED):
            self._timer.stop()
        self.client.tick()
        if not self.client.busy:
            self._timer.setInterval(_SLOW)
