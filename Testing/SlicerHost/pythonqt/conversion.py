"""Values on their way between a module's Python code and PySide6."""

from __future__ import annotations

import enum
import os
from typing import Any

import shiboken6
from PySide6 import QtCore

from SlicerHost.pythonqt.enums import EnumValue


def to_python(value: Any) -> Any:
    """Give what PythonQt would hand to Python for a value that Qt returned.

    Lists become tuples, enums whole numbers, Qt objects wrappers; the rest passes unchanged.
    """
    from SlicerHost.pythonqt.wrapper import wrap

    if isinstance(value, enum.Enum) and type(value).__module__.startswith(
        ("PySide6", "SlicerHost")
    ):
        return EnumValue(value)
    if isinstance(value, shiboken6.Object):
        return wrap(value)
    if isinstance(value, (list, tuple)):
        return tuple(to_python(item) for item in value)
    if isinstance(value, dict):
        return {key: to_python(item) for key, item in value.items()}
    return value


def to_native(value: Any) -> Any:
    """Give what PySide needs for a value that a module passes to Qt.

    Raises
    ------
    ValueError
        For a ``pathlib.Path``: PythonQt does not turn it into a QString, PySide would.
    """
    from SlicerHost.pythonqt.signals import BoundSignal
    from SlicerHost.pythonqt.wrapper import ClassWrapper, InstanceWrapper

    if isinstance(value, ClassWrapper):
        return value._native_type
    if isinstance(value, InstanceWrapper):
        return value.native_object()
    if isinstance(value, EnumValue):
        return value.native
    if isinstance(value, BoundSignal):
        raise ValueError(f"{value!r} is a signal, not a value Qt can take.")
    if isinstance(value, os.PathLike):
        raise ValueError(f"PythonQt does not convert {value!r} to a QString; pass str(path).")
    if isinstance(value, (list, tuple)):
        return [to_native(item) for item in value]
    if isinstance(value, dict):
        return {key: to_native(item) for key, item in value.items()}
    return value


_NUMBERS = {"int", "uint", "qlonglong", "qulonglong", "short", "ushort", "long", "ulong"}


def to_property(prop: QtCore.QMetaProperty, value: Any) -> Any:
    """Convert a value for a Qt property, or raise when PythonQt would refuse it.

    Raises
    ------
    AttributeError
        When the property's type does not accept the value.
    """
    type_name = prop.typeName()
    refused = AttributeError(
        f"Property '{prop.name()}' of type '{type_name}' does not accept an object of type "
        f"{type(value).__name__} ({value!r})"
    )
    if prop.isEnumType() or prop.isFlagType():
        if not isinstance(value, (int, str)):
            raise refused
        return int(value) if isinstance(value, int) else value
    if type_name == "bool":
        if not isinstance(value, (bool, int, float)):
            raise refused
        return bool(value)
    if type_name in _NUMBERS:
        if not isinstance(value, (bool, int, float)):
            raise refused
        return int(value)
    if type_name in ("double", "float"):
        if not isinstance(value, (bool, int, float)):
            raise refused
        return float(value)
    if type_name == "QString":
        # PythonQt's conversion to QString is lenient: numbers and paths go through str().
        return value if isinstance(value, str) else str(value)
    if type_name == "QStringList":
        if isinstance(value, str) or not isinstance(value, (list, tuple)):
            raise refused
        if not all(isinstance(item, str) for item in value):
            raise refused
        return list(value)
    native = to_native(value)
    if native is None and type_name not in ("PyObject", "QVariant"):
        raise refused
    return native
