"""The ``qt`` module: Qt's classes, made when they are asked for."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import shiboken6
from PySide6 import QtCore, QtGui, QtNetwork, QtUiTools, QtWidgets

from SlicerHost.pythonqt.wrapper import class_for

_SOURCES = (QtCore, QtGui, QtWidgets, QtUiTools, QtNetwork)
_replaced: dict[str, type] = {}


def replace_class(native_type: type) -> None:
    """Let a stand-in take the place of a Qt class of the same name."""
    _replaced[native_type.__name__] = native_type


class QtModule(ModuleType):
    """``import qt``."""

    def __getattr__(self, name: str) -> Any:
        if name in _replaced:
            value: Any = class_for(_replaced[name])
        elif name == "SIGNAL":
            value = lambda text: "2" + text  # noqa: E731
        elif name == "SLOT":
            value = lambda text: "1" + text  # noqa: E731
        else:
            native = next((getattr(m, name) for m in _SOURCES if hasattr(m, name)), None)
            if name == "Qt":
                value = _Namespace(QtCore.Qt)
            elif isinstance(native, type) and issubclass(native, shiboken6.Object):
                value = class_for(native)
            else:
                raise AttributeError(f"module 'qt' has no attribute '{name}'")
        self.__dict__[name] = value
        return value


class _Namespace:
    """``qt.Qt``: enums and their values."""

    def __init__(self, native: Any) -> None:
        self._native = native

    def __getattr__(self, name: str) -> Any:
        import enum

        from SlicerHost.pythonqt.enums import EnumValue
        from SlicerHost.pythonqt.methods import EnumClass

        member = getattr(self._native, name, None)
        if isinstance(member, enum.EnumMeta):
            return EnumClass(member)
        if isinstance(member, enum.Enum):
            return EnumValue(member)
        raise AttributeError(f"type object 'Qt' has no attribute '{name}'")
