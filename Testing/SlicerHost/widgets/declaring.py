"""Short ways to declare what a stand-in widget has: properties kept in a dict."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore


def stored(type_: Any, name: str, default: Any, then: str | None = None) -> QtCore.Property:
    """Declare a Qt property kept in the widget's ``values``.

    Parameters
    ----------
    type_
        Python type, or the name of a Qt type.
    name
        The property's name.
    default
        Its value until it is set.
    then
        Method called with the new value after a change.
    """

    def get(self: Any) -> Any:
        return self.__dict__.setdefault("values", {}).get(name, default)

    def put(self: Any, value: Any) -> None:
        if get(self) == value:
            return
        self.values[name] = value
        if then is not None:
            getattr(self, then)(value)

    return QtCore.Property(type_, get, put)
