"""Attributes of Qt objects: properties, signals, methods, enums, children."""

from __future__ import annotations

import enum
from typing import Any

from PySide6 import QtCore

from SlicerHost.pythonqt import signals
from SlicerHost.pythonqt.conversion import to_native, to_property, to_python
from SlicerHost.pythonqt.enums import EnumValue
from SlicerHost.pythonqt.members import (
    find_member,
    is_hidden_signal,
    newer_than_pythonqt,
    property_index,
)
from SlicerHost.pythonqt.methods import EnumClass, Method, bound_method

# PythonQt's own methods of every wrapper, and those its decorators add to QObject.
OBJECT_METHODS = frozenset(
    [
        "parent",
        "setParent",
        "children",
        "findChild",
        "findChildren",
        "property",
        "setProperty",
        "tr",
        "metaObject",
    ]
)


def class_member(native_type: type, name: str) -> Any:
    """Give a member of a class: an enum, one of its values, a class within it, or a method.

    Raises
    ------
    AttributeError
        When PythonQt has none of this name.
    """
    from SlicerHost.pythonqt.wrapper import class_for

    member = find_member(native_type, name)
    if isinstance(member, enum.Enum):
        return EnumValue(member)
    if isinstance(member, enum.EnumMeta):
        return EnumClass(member)
    if isinstance(member, type):
        return class_for(member)
    if callable(member) and not isinstance(member, QtCore.Signal):
        return Method(name, member, native_type)
    raise AttributeError(f"type object '{native_type.__name__}' has no attribute '{name}'")


def read_attribute(native: QtCore.QObject, name: str) -> Any:
    """Give a property, signal, enum, method, dynamic property or child, in PythonQt's order.

    Raises
    ------
    AttributeError
        When there is none of this name.
    """
    meta = native.metaObject()
    index = property_index(meta, name)
    hidden = isinstance(native, QtCore.QTimer) and name == "singleShot"
    if index >= 0 and not hidden and not newer_than_pythonqt(type(native), name):
        return to_python(meta.property(index).read(native))
    member = find_member(type(native), name)
    if isinstance(member, QtCore.Signal) and not is_hidden_signal(type(native), name):
        return signals.BoundSignal(native, name)
    if isinstance(member, (enum.Enum, type)):
        return class_member(type(native), name)
    if callable(member) or name in OBJECT_METHODS:
        return bound_method(native, name)
    dynamic = native.property(name)
    if dynamic is not None and name.encode() in {
        bytes(key.data()) for key in native.dynamicPropertyNames()
    }:
        return to_python(dynamic)
    for child in native.children():
        if child.objectName() == name:
            return to_python(child)
    raise AttributeError(f"{meta.className()} has no attribute named '{name}'")


def write_attribute(native: QtCore.QObject, name: str, value: Any) -> bool:
    """Write a property; False when the class has no such member.

    Raises
    ------
    AttributeError
        For a read-only property, a wrong type, or the name of a slot, signal or enum.
    """
    meta = native.metaObject()
    index = property_index(meta, name)
    hidden = isinstance(native, QtCore.QTimer) and name == "singleShot"
    if index >= 0 and not hidden and not newer_than_pythonqt(type(native), name):
        prop = meta.property(index)
        if not prop.isWritable():
            raise AttributeError(f"Property '{name}' of {meta.className()} object is not writable")
        if not prop.write(native, to_property(prop, value)):
            raise AttributeError(
                f"Property '{name}' of type '{prop.typeName()}' does not accept {value!r}"
            )
        return True
    member = find_member(type(native), name)
    if member is not None or name in OBJECT_METHODS:
        kind = "Signal" if isinstance(member, QtCore.Signal) else "Slot"
        raise AttributeError(f"{kind} '{name}' can not be overwritten on {meta.className()} object")
    if name.encode() in {bytes(key.data()) for key in native.dynamicPropertyNames()}:
        native.setProperty(name, to_native(value))
        return True
    return False
