"""Observers of MRML objects that go when the widget goes."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore


class Observers:
    """The MRML observers of one widget; removed when the widget is destroyed."""

    def __init__(self, owner: QtCore.QObject) -> None:
        self._tags: list[tuple[Any, int]] = []
        self._owner = weakref.ref(owner)
        tags = self._tags
        owner.destroyed.connect(lambda *_: _remove_all(tags))

    def add(self, target: Any, event: Any, method: str) -> None:
        """Call the owner's method, by name, on an event; the owner is not kept alive."""
        owner = self._owner

        def call(caller: Any, event_name: str) -> None:
            widget = owner()
            if widget is not None:
                getattr(widget, method)()

        self._tags.append((target, target.AddObserver(event, call)))

    def clear(self) -> None:
        """Remove every observer."""
        _remove_all(self._tags)


def _remove_all(tags: list[tuple[Any, int]]) -> None:
    for target, tag in tags:
        target.RemoveObserver(tag)
    tags.clear()


def blocked(widget: QtCore.QObject) -> QtCore.QSignalBlocker:
    """Keep a widget from emitting for as long as the result is held."""
    return QtCore.QSignalBlocker(widget)


Callback = Callable[[], None]
