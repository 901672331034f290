"""Reads the next scan while the model is loaded or the scan before is segmented.

Unpacking a compressed scan takes one core as long as segmenting it takes two, and needs neither
the model nor the Python interpreter while it runs.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .cases import Case
    from .volume import Volume


class ReadAhead:
    """At most one scan that was read, or is being read, before it is asked for.

    Parameters
    ----------
    series, frame
        As in `read_volume`.
    """

    def __init__(self, series: str | None = None, frame: int | None = None) -> None:
        self._series, self._frame = series, frame
        self._reading: _Reading | None = None

    def start(self, case: Case) -> None:
        """Begin to read a case; what was read before and not taken is dropped."""
        if self._reading is None or self._reading.case != case:
            self._reading = _Reading(case, self._series, self._frame)

    def take(self, case: Case) -> Volume:
        """Scan of a case, which is forgotten here.

        Raises
        ------
        FlareError, OSError, MemoryError
            What reading it raised.
        """
        reading, self._reading = self._reading, None
        if reading is None or reading.case != case:
            return case.read(self._series, self._frame)
        try:
            return reading.result()
        except MemoryError:
            # There may be room now that the scan before is done.
            return case.read(self._series, self._frame)


class _Reading:
    """A scan read in a thread of its own."""

    def __init__(self, case: Case, series: str | None, frame: int | None) -> None:
        self.case = case
        self._series, self._frame = series, frame
        self._volume: Volume | None = None
        self._error: BaseException | None = None
        # A daemon, so that an interrupted batch need not wait for it.
        self._thread = threading.Thread(target=self._read, name="read ahead", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            self._volume = self.case.read(self._series, self._frame)
        except BaseException as error:  # raised again where the scan is asked for
            self._error = error

    def result(self) -> Volume:
        """Scan, or what reading it raised, as soon as it is there."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._volume is not None
        return self._volume
