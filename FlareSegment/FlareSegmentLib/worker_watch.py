"""Whether a worker is well, by what was heard of it and when."""

from __future__ import annotations

import time

from .worker_state import WorkerSettings, WorkerState

_OWNER_AWAY_SECONDS = 5.0


class WorkerWatch:
    """Times at which something was heard of a worker.

    Parameters
    ----------
    patience
        How long each kind of silence is borne.

    Attributes
    ----------
    heard, progress, used, cancelled
        When the worker last said anything, got on with a request, was asked something, and was
        told to stop; seconds of `time.monotonic`.
    hello
        Whether it has introduced itself.
    """

    def __init__(self, patience: WorkerSettings) -> None:
        self._patience = patience
        self.restart()

    def restart(self) -> None:
        """Begin anew with a new process."""
        now = time.monotonic()
        self.heard = self.progress = self.used = self.cancelled = self._tick = now
        self.hello = False

    def tick(self) -> None:
        """Take a look of the owner; after a long time without one, silence proves nothing."""
        now = time.monotonic()
        if now - self._tick > _OWNER_AWAY_SECONDS:
            # The owner was busy or the computer asleep.
            self.heard = self.progress = now
        self._tick = now

    def complaint(self, asked: bool) -> str:
        """Give the sentence about a worker that has to be given up; "" while it is well.

        Parameters
        ----------
        asked
            Whether it works on a request.
        """
        patience, silent = self._patience, self._tick - self.heard
        if not self.hello and silent > patience.hello:
            return f"The worker did not start within {patience.hello:.0f} s."
        if self.hello and silent > patience.heartbeat:
            return f"The worker gave no sign of life for {patience.heartbeat:.0f} s."
        if asked and self._tick - self.progress > patience.progress:
            return f"The worker made no progress for {patience.progress:.0f} s."
        return ""

    def ignores_cancel(self, state: WorkerState) -> bool:
        """Whether it was told to stop and has not done so in time."""
        waited = self._tick - self.cancelled
        return state is WorkerState.CANCELLING and waited > self._patience.cancel

    def is_idle(self, state: WorkerState) -> bool:
        """Whether nobody has needed it for long."""
        return state is WorkerState.READY and self._tick - self.used > self._patience.idle
