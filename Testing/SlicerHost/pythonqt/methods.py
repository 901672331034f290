"""Methods and enums of Qt classes as a module calls them."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import shiboken6
from PySide6 import QtCore

from SlicerHost.pythonqt import modals, signals
from SlicerHost.pythonqt.conversion import to_native, to_python
from SlicerHost.pythonqt.enums import EnumValue
from SlicerHost.pythonqt.members import KEPT_NAMES


class EnumClass:
    """``qt.Qt.AlignmentFlag``: makes values of the enum and holds them as attributes."""

    def __init__(self, native: enum.EnumMeta) -> None:
        self._native = native

    def __call__(self, value: int = 0) -> EnumValue:
        """Give the enum value of a number."""
        return EnumValue(self._native(int(value)))

    def __getattr__(self, name: str) -> EnumValue:
        try:
            return EnumValue(self._native[name])
        except KeyError:
            raise AttributeError(f"enum {self._native.__name__} has no value '{name}'") from None


class Method:
    """A method or slot; calling it takes arguments and the result across."""

    def __init__(self, name: str, function: Callable[..., Any], native_type: type) -> None:
        self.__name__ = name
        self._function = function
        self._type = native_type

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call Qt.

        Raises
        ------
        ValueError
            For keyword arguments and for arguments no overload takes, as in PythonQt.
        """
        where = f"{self._type.__name__}.{self.__name__}"
        if keywords:
            raise ValueError(f"Called {where} with keyword arguments, which PythonQt refuses.")
        natives = [_callback(to_native(value)) for value in arguments]
        answer = modals.intercept(self._type, self.__name__, self._function, natives)
        if answer is not modals.NOT_MODAL:
            return to_python(answer)
        try:
            return to_python(self._function(*natives))
        except TypeError as error:
            if getattr(self._function, "pythonqt_invokable", False) and "argument" not in str(
                error
            ):
                raise
            raise ValueError(f"Called {where} with wrong arguments: {error}") from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Method) and self._function == other._function

    def __hash__(self) -> int:
        return hash(self._function)

    def __repr__(self) -> str:
        return f"<built-in qt slot {self.__name__} of {self._type.__name__}>"


def _callback(value: Any) -> Any:
    if callable(value) and not isinstance(value, (type, shiboken6.Object, Method)):
        return lambda *arguments: signals.call_reporting_errors(
            value, *[to_python(argument) for argument in arguments]
        )
    return value


def bound_method(native: Any, name: str) -> Callable[..., Any]:
    """Give a method of an object."""
    function = getattr(native, "exec" if name in KEPT_NAMES else name)
    if isinstance(native, QtCore.QByteArray) and name == "data":
        return lambda: bytes(function())
    return Method(name, function, type(native))
