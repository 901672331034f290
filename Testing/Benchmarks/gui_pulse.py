"""The window's pulse: how long it stands still while something is done in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_SCHEDULER = Path("/proc/thread-self/schedstat")
"""Of this thread: nanoseconds on a processor, and waiting for one; on Linux."""

_BEAT_MS = 5


@dataclass(frozen=True)
class Gap:
    """Time between two beats, seconds.

    Attributes
    ----------
    wall
        By the clock.
    own
        Without what the thread waited for a processor that other programs held: what the clock
        would say on a computer that is not busy. Waiting for a disk counts, and so does waiting
        until a process that was started has begun, which a busy computer makes longer.
    cpu
        Processor time of the program.
    state
        What was going on at its end.
    """

    wall: float
    own: float
    cpu: float
    state: str


class Pulse:
    """Writes down the gaps between the calls of a timer while something runs."""

    def __init__(self) -> None:
        import qt

        self._timer = qt.QTimer()
        self._timer.setInterval(_BEAT_MS)
        self._timer.timeout.connect(self._beat)
        self._last = (0.0, 0.0, 0.0)
        self.gaps: list[Gap] = []
        self.state: Callable[[], str] = lambda: ""

    def _beat(self) -> None:
        """Write down the gap since the last beat."""
        now = _times()
        wall, queued, cpu = (one - other for one, other in zip(now, self._last, strict=True))
        self.gaps.append(Gap(wall, max(0.0, wall - queued), cpu, self.state()))
        self._last = now

    def start(self) -> None:
        """Begin to measure."""
        self.gaps.clear()
        self._last = _times()
        self._timer.start()

    def stop(self) -> None:
        """End measuring; what comes after the last beat is a gap too."""
        self._timer.stop()
        self._beat()

    def longest_ms(self) -> dict[str, float]:
        """Give the longest gap by each of the three clocks."""
        return {
            f"longest_block{name}_ms": round(
                1000 * max((getattr(gap, clock) for gap in self.gaps), default=0.0), 1
            )
            for name, clock in (("", "wall"), ("_own", "own"), ("_cpu", "cpu"))
        }


def _times() -> tuple[float, float, float]:
    """Seconds: by the clock, waited for a processor, on a processor."""
    try:
        queued = int(_SCHEDULER.read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):  # not Linux: nothing is taken off
        queued = 0.0
    return time.perf_counter(), queued, time.process_time()
