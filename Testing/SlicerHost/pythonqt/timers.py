"""Single-shot timers."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore

from SlicerHost.pythonqt import signals

_single_shots: set[QtCore.QTimer] = set()


def single_shot(*arguments: Any) -> None:
    """``qt.QTimer.singleShot(msec, callable)``, the only form PythonQt has for callables."""
    if len(arguments) != 2 or not callable(arguments[1]):
        raise ValueError("Called QTimer.singleShot with wrong arguments: needs msec and a callable")
    msec, callable_ = arguments
    timer = QtCore.QTimer()
    timer.setSingleShot(True)
    _single_shots.add(timer)

    def fire() -> None:
        _single_shots.discard(timer)
        signals.call_reporting_errors(callable_)

    timer.timeout.connect(fire)
    timer.start(int(msec))


def drop_single_shots() -> int:
    """Forget single shots that did not fire; gives how many there were."""
    count = len(_single_shots)
    for timer in list(_single_shots):
        timer.stop()
    _single_shots.clear()
    return count
