"""From the engine's stages to one bar and a time left."""

from __future__ import annotations

import time
from collections.abc import Callable

from .progress import STAGES

STAGE_SHARES = {
    "read": 0.03,
    "localise": 0.10,
    "resample": 0.07,
    "network": 0.65,
    "upsample": 0.12,
    "write": 0.03,
}
"""Typical share of each stage in the time of a run on a CPU."""


class RunProgress:
    """How far a run is, over all its stages and volumes.

    Parameters
    ----------
    volumes
        How many volumes the run has, e.g. the frames of a sequence.
    clock
        Gives seconds; for tests.
    """

    _SETTLED_SECONDS = 3.0
    _SETTLED_FRACTION = 0.05

    def __init__(self, volumes: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._volumes = max(1, volumes)
        self._clock = clock
        self._start = clock()
        self._finished_volumes = 0
        self.stage = STAGES[0]
        self.fraction = 0.0
        """Between 0 and 1, never falling."""

    @property
    def volume(self) -> int:
        """The volume that is worked on, counted from 1."""
        return min(self._finished_volumes + 1, self._volumes)

    @property
    def volumes(self) -> int:
        """How many volumes the run has."""
        return self._volumes

    def update(self, stage: str, fraction: float) -> None:
        """Take a step of the engine: a stage and the fraction 0..1 done within it."""
        if stage not in STAGE_SHARES:
            return
        self.stage = stage
        before = sum(STAGE_SHARES[name] for name in STAGES[: STAGES.index(stage)])
        in_volume = before + STAGE_SHARES[stage] * min(max(fraction, 0.0), 1.0)
        self.fraction = max(self.fraction, (self._finished_volumes + in_volume) / self._volumes)

    def finish_volume(self) -> None:
        """Take the end of one volume."""
        self._finished_volumes = min(self._finished_volumes + 1, self._volumes)
        self.fraction = max(self.fraction, self._finished_volumes / self._volumes)

    @property
    def seconds_left(self) -> float | None:
        """What remains at the pace so far; None while that would be a guess."""
        elapsed = self._clock() - self._start
        if elapsed < self._SETTLED_SECONDS or self.fraction < self._SETTLED_FRACTION:
            return None
        return elapsed * (1 - self.fraction) / self.fraction


def duration_text(seconds: float) -> str:
    """Give a duration as people say it: ``8 s``, ``2 min``, ``1 h 5 min``.

    Below a minute it is rounded up to 5 s so that the text does not flicker.
    """
    if seconds < 55:
        return f"{max(1, -(-int(seconds) // 5) * 5)} s" if seconds >= 5 else "a few seconds"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{max(1, minutes)} min"
    return f"{minutes // 60} h {minutes % 60} min"
