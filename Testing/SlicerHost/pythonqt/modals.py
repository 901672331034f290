"""Modal dialogs in tests: answered by the test, never waited for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore, QtWidgets

NOT_MODAL = object()
"""Says that a call does not open a modal dialog and must be made as usual."""

_answers: deque[Any] = deque()
shown: list[str] = []
"""Texts of the dialogs that were opened, oldest first."""

_deleted_later: list[QtWidgets.QDialog] = []

_STATIC = {
    "QMessageBox": {"question", "information", "warning", "critical", "about"},
    "QFileDialog": {
        "getOpenFileName",
        "getOpenFileNames",
        "getSaveFileName",
        "getExistingDirectory",
    },
    "QInputDialog": {"getText", "getItem", "getInt", "getDouble", "getMultiLineText"},
}


def answer_next(answer: Any) -> None:
    """Queue what the next modal dialog is answered with.

    Parameters
    ----------
    answer
        For a dialog object: the text of a button ("Yes"), a number for ``done()``, or a
        callable that gets the dialog. For a static function such as
        ``QFileDialog.getExistingDirectory``: the value it returns.
    """
    _answers.append(answer)


def unanswered() -> int:
    """Count the queued answers no dialog has taken."""
    return len(_answers)


def reset() -> None:
    """Forget queued answers and the texts of dialogs that were shown."""
    _answers.clear()
    shown.clear()
    for dialog in _deleted_later:
        dialog.deleteLater()
    _deleted_later.clear()


def intercept(
    native_type: type, name: str, function: Callable[..., Any], arguments: list[Any]
) -> Any:
    """Answer a call that would open a modal dialog; `NOT_MODAL` for any other call.

    Raises
    ------
    RuntimeError
        When a dialog would wait for a person and the test queued no answer.
    """
    if any(name in _STATIC.get(base.__name__, ()) for base in native_type.__mro__):
        text = " | ".join(str(value) for value in arguments if isinstance(value, str))
        shown.append(text)
        return _take(f"{native_type.__name__}.{name}: {text}")
    dialog = getattr(function, "__self__", None)
    if name == "deleteLater" and isinstance(dialog, QtWidgets.QDialog):
        return _delete_after_exec(dialog)
    if name not in ("exec", "exec_") or not isinstance(dialog, QtWidgets.QDialog):
        return NOT_MODAL
    text = " ".join(
        str(value)
        for value in (
            dialog.windowTitle(),
            dialog.property("text"),
            dialog.property("informativeText"),
        )
        if value
    )
    shown.append(text)
    answer = _take(f"{type(dialog).__name__}: {text}")
    QtCore.QTimer.singleShot(0, dialog, lambda: _press(dialog, answer))
    result = function(*arguments)
    if dialog in _deleted_later:
        _deleted_later.remove(dialog)
        dialog.deleteLater()
    return result


def _delete_after_exec(dialog: QtWidgets.QDialog) -> Any:
    """Keep a dialog that is to be deleted later until it was shown.

    Slicer's event loop is running when a dialog says ``deleteLater(); exec_()``, and Qt waits until
    control is back in that loop. Tests have no outer loop, and Qt would delete at once.
    """
    if QtCore.QThread.currentThread().loopLevel() > 0:
        return NOT_MODAL
    _deleted_later.append(dialog)
    return None


def _take(text: str) -> Any:
    if not _answers:
        raise RuntimeError(
            f"A modal dialog would wait for a person ({text}). Queue an answer first with "
            "slicer_host.answer_next_dialog(...)."
        )
    return _answers.popleft()


def _press(dialog: QtWidgets.QDialog, answer: Any) -> None:
    from SlicerHost.pythonqt import signals
    from SlicerHost.pythonqt.conversion import to_python

    if callable(answer):
        signals.call_reporting_errors(answer, to_python(dialog))
        if dialog.isVisible():
            dialog.done(0)
    elif isinstance(answer, str):
        buttons = dialog.findChildren(QtWidgets.QAbstractButton)
        texts = {button.text().replace("&", ""): button for button in buttons}
        if answer in texts:
            texts[answer].click()
        else:
            signals.slot_errors.append(
                f"The dialog has no button {answer!r}; it has {', '.join(sorted(texts))}."
            )
            dialog.done(0)
    else:
        dialog.done(int(answer))
