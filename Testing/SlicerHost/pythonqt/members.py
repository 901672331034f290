"""What a Qt class has in PythonQt, and what PySide's has not to be shown for it."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import shiboken6
from PySide6 import QtCore

# Names of PySide 6 that PythonQt's wrappers of Qt 5.15 do not have, class by class.
_MISSING: dict[str, set[str]] = {
    name: set(names)
    for name, names in json.loads(
        (Path(__file__).parent / "not_in_pythonqt.json").read_text(encoding="utf-8")
    ).items()
}

KEPT_NAMES = frozenset({"exec", "exec_"})


def invokable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a method of a stand-in widget as one that real Slicer lets Python call.

    In Slicer these are the ``Q_INVOKABLE`` methods and the public slots; everything else of a
    stand-in is out of a module's reach, as it would be there.
    """
    function.pythonqt_invokable = True  # type: ignore[attr-defined]
    return function


def is_stand_in(native_type: type) -> bool:
    """Tell whether a PySide class is one of ours, not Qt's."""
    return native_type.__module__.startswith("SlicerHost.")


@cache
def find_member(native_type: type, name: str) -> Any:
    """Give a class member PythonQt has, or None.

    Walks the bases so that a name Qt 6 added, or PySide added, is missing as in Slicer.
    """
    if name.startswith("_"):
        return None
    for cls in native_type.__mro__:
        if cls in (shiboken6.Object, object):
            break
        if name not in cls.__dict__:
            value = _nested_enum_value(cls, name) if is_stand_in(cls) else None
            if value is not None:
                return value
            continue
        member = cls.__dict__[name]
        if is_stand_in(cls):
            target = getattr(member, "__func__", member)
            if isinstance(member, (QtCore.Signal, type)):
                return member
            if getattr(target, "pythonqt_invokable", False):
                return getattr(native_type, name)
            continue  # a Python helper of the stand-in hides nothing of Qt
        if name in _MISSING.get(cls.__name__, ()):
            return None
        return getattr(native_type, name)
    if name in KEPT_NAMES and hasattr(native_type, "exec"):
        return getattr(native_type, "exec")  # noqa: B009 - a keyword-like name
    # Unscoped enum values (QMessageBox.Ok): PySide finds them although no dict holds them.
    value = getattr(native_type, name, None)
    return value if isinstance(value, enum.Enum) else None


def _nested_enum_value(cls: type, name: str) -> enum.Enum | None:
    for member in vars(cls).values():
        if isinstance(member, enum.EnumMeta) and name in member.__members__:
            return member[name]
    return None


def property_index(meta: QtCore.QMetaObject, name: str) -> int:
    """Find a property; ``name`` means ``objectName`` where a class has no property of that name."""
    index = meta.indexOfProperty(name)
    return meta.indexOfProperty("objectName") if index < 0 and name == "name" else index


def is_hidden_signal(native_type: type, name: str) -> bool:
    """A signal that stands for an overload (``currentNodeChanged(bool)``) has no name itself."""
    declared = getattr(native_type, "cpp_signals", {})
    return name in declared.values() and all(not key.startswith(name + "(") for key in declared)


def newer_than_pythonqt(native_type: type, name: str) -> bool:
    """Tell whether only Qt 6 has a member."""
    return any(name in _MISSING.get(cls.__name__, ()) for cls in native_type.__mro__)
