"""How the engine tells how far it is and asks whether to go on."""

from __future__ import annotations

from collections.abc import Callable

from .errors import Cancelled

ProgressCallback = Callable[[str, float], None]
"""Called with a stage of `STAGES` and the fraction 0..1 done within it."""

CancelQuery = Callable[[], bool]
"""Asked between windows and slabs; true means stop now."""

STAGES = ("read", "localise", "resample", "network", "upsample", "write")


class Monitor:
    """Progress and cancel of one run, so that functions take one argument for both.

    Parameters
    ----------
    progress
        Receives stage and fraction; may be None.
    cancel
        Asked at every step; may be None.
    """

    def __init__(
        self, progress: ProgressCallback | None = None, cancel: CancelQuery | None = None
    ) -> None:
        self._progress = progress
        self._cancel = cancel

    @property
    def cancel(self) -> CancelQuery | None:
        """The cancel query, to be asked by a part that reports its own progress."""
        return self._cancel

    def step(self, stage: str, fraction: float) -> None:
        """Report progress; raise `Cancelled` when the user asked to stop."""
        if self._cancel is not None and self._cancel():
            raise Cancelled("Cancelled. Nothing was changed.")
        if self._progress is not None:
            self._progress(stage, min(max(fraction, 0.0), 1.0))
