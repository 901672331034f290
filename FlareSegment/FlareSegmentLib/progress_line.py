"""One line on a terminal that shows how far a batch is."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import TextIO

from .run_progress import RunProgress, duration_text

_BAR = 24
_SHORTEST_SECONDS = 0.1
"""Between two drawings: a terminal over a slow line must not hold the work up."""


class ProgressLine:
    """Progress of a batch as a bar with time left; nothing when `stream` is no terminal.

    Parameters
    ----------
    stream
        Usually ``sys.stderr``.
    clock
        Gives seconds; for tests.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._shown = stream.isatty()
        self._progress: RunProgress | None = None
        self._title = ""
        self._drawn_at = -_SHORTEST_SECONDS

    def look(self, files: int) -> None:
        """Take the number of files looked at so far in search of scans."""
        now = self._clock()
        if self._shown and now - self._drawn_at >= _SHORTEST_SECONDS:
            self._drawn_at = now
            text = f"Looking for scans: {files} files"
            self._stream.write("\r" + text.ljust(_width() - 1)[: _width() - 1])
            self._stream.flush()

    def start(self, name: str, number: int, count: int) -> None:
        """Take the start of case `number` (from 1) of `count`."""
        if self._progress is None:
            self._progress = RunProgress(count, self._clock)
        self._title = f"[{number}/{count}] {name}" if count > 1 else name
        self._draw()

    def update(self, stage: str, fraction: float) -> None:
        """Take a step of the engine; a `ProgressCallback`."""
        if self._progress is not None:
            self._progress.update(stage, fraction)
            self._draw()

    def finish_case(self) -> None:
        """Take the end of a case and clear the line, so that others can be printed."""
        if self._progress is not None:
            self._progress.finish_volume()
        self.clear()

    def clear(self) -> None:
        """Remove the line from the terminal."""
        if self._shown:
            self._stream.write("\r" + " " * (_width() - 1) + "\r")
            self._stream.flush()
            self._drawn_at = -_SHORTEST_SECONDS

    def _draw(self) -> None:
        now = self._clock()
        if not self._shown or self._progress is None or now - self._drawn_at < _SHORTEST_SECONDS:
            return
        self._drawn_at = now
        fraction, left = self._progress.fraction, self._progress.seconds_left
        filled = round(_BAR * fraction)
        # ASCII: not every terminal can show blocks.
        bar = "#" * filled + "-" * (_BAR - filled)
        state = f" {self._progress.stage:<9} [{bar}] {fraction:4.0%}"
        state += "" if left is None else f"  {duration_text(left)} left"
        room = max(8, _width() - 1 - len(state))
        title = self._title if len(self._title) <= room else self._title[: room - 3] + "..."
        self._stream.write("\r" + (title + state).ljust(_width() - 1)[: _width() - 1])
        self._stream.flush()


def _width() -> int:
    return max(20, shutil.get_terminal_size().columns)
