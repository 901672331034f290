"""What a run does at this moment, written into its folder for whoever watches it.

A log says what was done; that packing is at the third of forty cases, and when the time given to a
training is over, is told here.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

DOING = "doing.json"

Kind = Literal["reading", "comparing", "labeling", "packing", "training", "scoring"]


@dataclass(frozen=True)
class Activity:
    """One moment of a run.

    Attributes
    ----------
    kind
        What is done.
    done, of
        Cases; both 0 where no cases are counted.
    fit
        Folder of the training that goes on, or went on last, below the run's; "" before the
        first.
    minutes
        Time that this training was given, None without a limit.
    ends
        When that time is over, seconds of the epoch; None without a limit.
    """

    kind: Kind
    done: int = 0
    of: int = 0
    fit: str = ""
    minutes: float | None = None
    ends: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """Until the time given to the training is over; None without a limit."""
        return None if self.ends is None else max(0.0, self.ends - time.time())


class _Teller:
    """Writes the activity of one run, and remembers the training it belongs to."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / DOING
        self._now = Activity("comparing")

    def tell(self, kind: Kind, done: int, of: int) -> None:
        now = self._now
        self._write(Activity(kind, done, of, now.fit, now.minutes, now.ends))

    def begin_training(self, fit: Path, minutes: float | None) -> None:
        ends = None if minutes is None else time.time() + 60 * minutes
        inside = fit.resolve().relative_to(self._folder.resolve()).as_posix()
        self._write(Activity("training", 0, 0, inside, minutes, ends))

    def _write(self, activity: Activity) -> None:
        self._now = activity
        staged = self._path.with_name(f".{DOING}.part")
        # A full disk is the business of what writes results; nobody needs this file for them.
        with contextlib.suppress(OSError):
            staged.write_text(json.dumps(asdict(activity)), encoding="utf-8")
            staged.replace(self._path)


_teller: ContextVar[_Teller | None] = ContextVar("teller", default=None)


@contextlib.contextmanager
def told_in(folder: Path) -> Iterator[None]:
    """Write what is told meanwhile into ``folder/doing.json``."""
    token = _teller.set(_Teller(folder))
    try:
        yield
    finally:
        _teller.reset(token)
        with contextlib.suppress(OSError):
            (folder / DOING).unlink(missing_ok=True)


def tell(kind: Kind, done: int = 0, of: int = 0) -> None:
    """Say what is done now; nothing happens where nobody listens."""
    teller = _teller.get()
    if teller is not None:
        teller.tell(kind, done, of)


def tell_training(fit: Path, minutes: float | None) -> None:
    """Say that a training begins, and what time it has."""
    teller = _teller.get()
    if teller is not None:
        teller.begin_training(fit, minutes)


def read_activity(run: Path) -> Activity | None:
    """Give what a run does; None when it does nothing, or has not told yet."""
    try:
        return Activity(**json.loads((run / DOING).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
