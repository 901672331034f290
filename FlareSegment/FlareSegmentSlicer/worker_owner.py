"""The part of the logic that has the worker."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from FlareSegmentLib.worker_client import WorkerClient
from FlareSegmentLib.worker_command import worker_command
from FlareSegmentLib.worker_state import WorkerState

from .shared.worker_python import workerPython
from .shared_worker import SharedWorker


class WorkerOwner:
    """Mixin of the logic: one worker for all instances, so that it stays warm."""

    workerCommand: ClassVar[Sequence[str] | None] = None
    """Command line of the worker; Slicer's own Python when None."""

    _worker: ClassVar[SharedWorker | None] = None

    def __init__(self) -> None:
        self.onWorkerState: Callable[[WorkerState], None] | None = None
        """Told every change of the worker's state."""
        self.onLog: Callable[[str], None] | None = None
        """Told every line that the worker logs."""

    @classmethod
    def sharedWorker(cls) -> SharedWorker:
        """Give the worker; makes it, does not start the process."""
        if cls._worker is None:
            cls._worker = SharedWorker(cls.workerCommand or worker_command(workerPython()))
        return cls._worker

    @classmethod
    def stopWorker(cls) -> None:
        """End the worker; the next run starts it again."""
        worker, cls._worker = cls._worker, None
        if worker is not None:
            worker.stop()

    def client(self) -> WorkerClient:
        """Give the worker's client, which tells this instance from now on."""
        client = self.sharedWorker().client
        client.on_state = self._onClientState
        client.on_log = self._onClientLog
        return client

    @property
    def hasWorker(self) -> bool:
        """Whether there is a worker, at work or ended; there is none after `stopWorker`."""
        return self._worker is not None

    @property
    def workerState(self) -> WorkerState:
        """What the worker is doing."""
        return WorkerState.STOPPED if self._worker is None else self._worker.client.state

    def warmUp(self, model: str | Path | None = None, device: str = "auto") -> None:
        """Start the worker and load the model; returns at once."""
        self.client().warm_up(Path(model) if model else None, device)
        self.sharedWorker().watch()

    def _onClientState(self, state: WorkerState) -> None:
        if self.onWorkerState is not None:
            self.onWorkerState(state)

    def _onClientLog(self, line: str) -> None:
        logging.info("FlareSegment worker: %s", line)
        if self.onLog is not None:
            self.onLog(line)
