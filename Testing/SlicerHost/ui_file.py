"""Reads a .ui file as Slicer's QUiLoader does, and complains where Qt would stay silent."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from functools import cache
from typing import Any

from PySide6 import QtCore, QtUiTools, QtWidgets

from SlicerHost.pythonqt import signals
from SlicerHost.pythonqt.members import find_member, invokable

_registered: dict[str, type] = {}


class UiFileError(ValueError):
    """A .ui file names something Slicer does not have."""


def register_widget(native_type: type) -> None:
    """Let .ui files use a stand-in widget by its class name."""
    _registered[native_type.__name__] = native_type


class QUiLoader(QtUiTools.QUiLoader):
    """Makes the widgets of a .ui file, ours included, and wires its connections.

    Raises
    ------
    UiFileError
        For an unknown widget class, a property the class does not have (``stdset="0"`` marks
        dynamic ones), or a connection of a signal or slot that does not exist. Qt prints a
        warning, or nothing, and goes on; in Slicer the panel is then silently broken.
    """

    @invokable
    def load(self, device: QtCore.QIODevice, parent: QtWidgets.QWidget | None = None) -> Any:
        """Read the file and give its root widget."""
        root = ElementTree.fromstring(bytes(device.readAll().data()))
        connections = _take_connections(root)
        for widget in root.iter("widget"):
            _check_widget(widget)
        buffer = QtCore.QBuffer(self)
        buffer.setData(ElementTree.tostring(root))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        loaded = super().load(buffer, parent)
        if loaded is None:
            raise UiFileError(f"Qt could not read the .ui file: {self.errorString()}")
        for connection in connections:
            _connect(loaded, **connection)
        return loaded

    def createWidget(self, name: str, parent: Any = None, object_name: str = "") -> Any:
        """Make a widget by class name."""
        if name not in _registered:
            return super().createWidget(name, parent, object_name)
        widget = _registered[name](parent)
        widget.setObjectName(object_name)
        return widget


def _native_class(name: str) -> type | None:
    return _registered.get(name) or getattr(QtWidgets, name, None)


@cache
def _property_names(cls: type) -> frozenset[str]:
    """Give the Qt properties of a class.

    Read once: PySide deletes the meta object it handed out together with the first instance.
    """
    try:
        return _names_in(cls.staticMetaObject)
    except RuntimeError:  # an instance that somebody asked for its meta object is gone already
        return _names_in(cls().metaObject())


def _names_in(meta: Any) -> frozenset[str]:
    return frozenset(meta.property(index).name() for index in range(meta.propertyCount()))


def _check_widget(widget: ElementTree.Element) -> None:
    class_name = widget.get("class", "")
    cls = _native_class(class_name)
    if cls is None or (class_name not in _registered and not class_name.startswith("Q")):
        raise UiFileError(f"The .ui file uses {class_name}, a widget the host does not have.")
    known = _property_names(cls)
    for prop in widget.findall("property"):
        name = prop.get("name", "")
        if prop.get("stdset") == "0":
            continue
        if name not in known:
            raise UiFileError(
                f"The .ui file sets '{name}' of {widget.get('name')}, but {class_name} has no "
                "such property."
            )
        _numbers_for_enums(prop, cls)


def _numbers_for_enums(prop: ElementTree.Element, cls: type) -> None:
    """Write enum values of a stand-in as numbers; its properties are plain ints."""
    for child in list(prop):
        words = re.split(r"\|", child.text or "")
        names = [word.split("::")[-1] for word in words]
        values = [find_member(cls, name) for name in names]
        ours = cls.__name__ in _registered and (child.text or "").startswith(cls.__name__)
        if ours and child.tag in ("set", "enum") and all(values):
            prop.remove(child)
            number = ElementTree.SubElement(prop, "number")
            number.text = str(sum(int(value.value) for value in values))


def _take_connections(root: ElementTree.Element) -> list[dict[str, str]]:
    found = []
    for block in root.findall("connections"):
        for connection in block.findall("connection"):
            found.append(
                {
                    tag: connection.findtext(tag, "")
                    for tag in ("sender", "signal", "receiver", "slot")
                }
            )
        root.remove(block)
    return found


def _named(root: QtWidgets.QWidget, name: str) -> QtCore.QObject:
    found = root if root.objectName() == name else root.findChild(QtCore.QObject, name)
    if found is None:
        raise UiFileError(f"The .ui file connects '{name}', which it does not contain.")
    return found


def _connect(root: QtWidgets.QWidget, sender: str, signal: str, receiver: str, slot: str) -> None:
    source, target = _named(root, sender), _named(root, receiver)
    name = slot.split("(")[0]
    member = find_member(type(target), name)
    if member is None or not callable(member):
        raise UiFileError(f"{type(target).__name__} ({receiver}) has no slot {slot}.")
    _check_slot(target, slot)
    wanted, given = _argument_types(slot), _argument_types(signal)
    if given[: len(wanted)] != wanted:
        raise UiFileError(f"Signal {signal} does not fit slot {slot} ({sender} to {receiver}).")
    try:
        actual = signals.find_signature(source, signal)
    except ValueError as error:
        raise UiFileError(str(error)) from error
    count = len(wanted)
    call = getattr(target, name)
    QtCore.QObject.connect(
        source, QtCore.SIGNAL(actual), lambda *arguments: call(*arguments[:count])
    )


def _check_slot(target: QtCore.QObject, slot: str) -> None:
    """Qt connects by the exact signature: a slot for a derived node class is another slot."""
    declared = getattr(type(target), "cpp_slots", {})
    name = slot.split("(")[0]
    if name in declared:
        known = declared[name]
        if slot not in known:
            raise UiFileError(f"{type(target).__name__} has no slot {slot}; it has {known}.")
        return
    if getattr(type(target).__dict__.get(name), "pythonqt_invokable", False):
        return
    normalized = bytes(QtCore.QMetaObject.normalizedSignature(slot).data()).decode()
    if target.metaObject().indexOfSlot(normalized) < 0:
        raise UiFileError(f"{type(target).__name__} has no slot {slot}.")


def _argument_types(signature: str) -> list[str]:
    inside = signature[signature.index("(") + 1 : signature.rindex(")")]
    return [part.strip() for part in inside.split(",") if part.strip()]
