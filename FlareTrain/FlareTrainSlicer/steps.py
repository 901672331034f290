"""Work that only Slicer's own thread can do, cut into parts between which the window lives."""

from __future__ import annotations

import inspect
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

import qt

from FlareSegmentLib.errors import FlareError

STEP_SECONDS = 0.01
"""Parts are done one after the other for this long before the window has its turn."""


class Steps:
    """Runs a generator a little at a time.

    All that is under way takes turns: the window never waits for more than one of them.

    Parameters
    ----------
    work
        Each part up to a ``yield`` should take a few milliseconds.
    onDone
        Called with what the generator returns.
    onError
        Called with a `FlareError` that it raises.
    seconds
        Time of a turn; at least one part is done in it.
    """

    def __init__(
        self,
        work: Generator[None, None, Any],
        onDone: Callable[[Any], None],
        onError: Callable[[FlareError], None],
        seconds: float = STEP_SECONDS,
    ) -> None:
        self._work = work
        self._onDone = onDone
        self._onError = onError
        self._seconds = seconds
        _turns.join(self)

    @property
    def running(self) -> bool:
        """Whether there are steps left."""
        return _turns.waits(self)

    def cancel(self) -> None:
        """Leave the rest undone."""
        if self.running:
            _turns.leave(self)
            if inspect.getgeneratorstate(self._work) != inspect.GEN_RUNNING:
                self._work.close()

    def turn(self) -> None:
        """Do the next parts; called by the turns."""
        end = time.perf_counter() + self._seconds
        try:
            next(self._work)
            while self.running and time.perf_counter() < end:
                next(self._work)
        except StopIteration as finished:
            self._end(self._onDone, finished.value)
        except FlareError as error:
            self._end(self._onError, error)
        except BaseException:
            _turns.leave(self)
            raise

    def _end(self, tell: Callable[[Any], None], what: Any) -> None:
        """Say how it ended, unless nobody waits for it any more."""
        if self.running:
            _turns.leave(self)
            tell(what)


class _Turns:
    """One timer for all steps: in each round of the window's events one of them has its turn."""

    def __init__(self) -> None:
        self._waiting: deque[Steps] = deque()
        self._timer: Any = None

    def join(self, steps: Steps) -> None:
        """Let it have its turn when all others had theirs."""
        self._waiting.append(steps)
        if self._timer is None:
            self._timer = qt.QTimer()
            self._timer.setInterval(0)
            self._timer.timeout.connect(self._next)
        self._timer.start()

    def leave(self, steps: Steps) -> None:
        """Give it no more turns."""
        if steps in self._waiting:
            self._waiting.remove(steps)
        if not self._waiting:
            self._timer.stop()

    def waits(self, steps: Steps) -> bool:
        """Whether it will have another turn."""
        return steps in self._waiting

    def _next(self) -> None:
        if self._waiting:
            steps = self._waiting[0]
            self._waiting.rotate(-1)
            steps.turn()


_turns = _Turns()


def atOnce(work: Generator[None, None, Any]) -> Any:
    """Do all steps now, for scripts; what the generator returns."""
    try:
        while True:
            next(work)
    except StopIteration as finished:
        return finished.value
