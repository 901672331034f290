"""Lists of check boxes, each line with a key."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import qt


def addCheckItem(widget: Any, text: str, key: str, checked: bool = False, icon: Any = None) -> None:
    """Add a line to a ``QListWidget``."""
    item = qt.QListWidgetItem(text)
    item.setData(qt.Qt.UserRole, key)
    item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
    item.setCheckState(_state(checked))
    if icon is not None:
        item.setIcon(icon)
    widget.addItem(item)


def listItems(widget: Any) -> list[Any]:
    """Give the lines in their order."""
    return [widget.item(row) for row in range(widget.count)]


def checkedKeys(widget: Any) -> list[str]:
    """Give the keys of the checked lines."""
    return [
        item.data(qt.Qt.UserRole)
        for item in listItems(widget)
        if item.checkState() == qt.Qt.Checked
    ]


def allKeys(widget: Any) -> list[str]:
    """Give the keys of all lines."""
    return [item.data(qt.Qt.UserRole) for item in listItems(widget)]


def checkKeys(widget: Any, keys: Collection[str]) -> None:
    """Check the lines with these keys and no others."""
    for item in listItems(widget):
        item.setCheckState(_state(item.data(qt.Qt.UserRole) in keys))


def _state(checked: bool) -> Any:
    return qt.Qt.Checked if checked else qt.Qt.Unchecked
