"""Signals as PythonQt connects them: by signature, with as many arguments as a function takes."""

from __future__ import annotations

import inspect
import logging
import traceback
import weakref
from collections.abc import Callable
from typing import Any

import shiboken6
from PySide6 import QtCore

from SlicerHost.pythonqt.conversion import to_native, to_python

_log = logging.getLogger(__name__)


owned: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
"""Wrappers of objects that a module made itself, by address: without a parent, the object is
deleted together with its wrapper."""


class _Connection:
    """One callable connected to one signal of one object; keeps the callable alive."""

    def __init__(self, address: int, signature: str, callable_: Callable[..., Any]) -> None:
        self.address = address
        self.signature = signature
        self.callable = callable_
        self.limit = _argument_limit(callable_)

    def receiver(self, *arguments: Any) -> None:
        """Call the Python side; an exception is reported, as PythonQt prints it, not raised."""
        values = [to_python(value) for value in arguments]
        if self.limit is not None:
            values = values[: self.limit]
        keeper = _sole_keeper(self.address)
        call_reporting_errors(self.callable, *values)
        if keeper is not None and keeper() is None:
            slot_errors.append(
                f"The sender of {self.signature} was let go of while it sent this signal. PythonQt "
                "deletes it at once, and Qt goes on with freed memory. Keep it until later."
            )


def _sole_keeper(address: int) -> weakref.ref[Any] | None:
    """Give the wrapper on which alone the life of a Qt object depends, None when it has a parent.

    The host refuses here what Slicer does not: there it may crash, or not.
    """
    wrapper = owned.get(address)
    if wrapper is None or object.__getattribute__(wrapper, "_native").parent() is not None:
        return None
    return weakref.ref(wrapper)


_connections: dict[int, list[_Connection]] = {}
slot_errors: list[str] = []


def call_reporting_errors(callable_: Callable[..., Any], *arguments: Any) -> Any:
    """Call a Python function from Qt; a traceback goes to the log and to `slot_errors`."""
    try:
        return callable_(*arguments)
    except Exception:
        text = traceback.format_exc()
        slot_errors.append(text)
        _log.error("A Python function called by a Qt signal failed.\n%s", text)
        return None


def _argument_limit(callable_: Callable[..., Any]) -> int | None:
    """Count the positional parameters PythonQt would fill; None when it passes everything.

    PythonQt looks at plain functions and methods without ``*args``; to any other callable it
    passes every argument of the signal.
    """
    function, bound = callable_, 0
    if inspect.ismethod(callable_):
        function, bound = callable_.__func__, 1
    if not inspect.isfunction(function):
        return None
    code = function.__code__
    if code.co_flags & inspect.CO_VARARGS:
        return None
    return code.co_argcount - bound


def _methods(native: QtCore.QObject) -> list[QtCore.QMetaMethod]:
    meta = native.metaObject()
    return [meta.method(index) for index in range(meta.methodCount())]


def _text(data: QtCore.QByteArray | bytes | str) -> str:
    return data if isinstance(data, str) else bytes(data).decode()


def find_signature(native: QtCore.QObject, signature: str) -> str:
    """Give Qt's own signature for one written by a module.

    Raises
    ------
    ValueError
        When the object has no such signal. (Slicer prints a warning and returns False.)
    """
    declared = getattr(type(native), "cpp_signals", {})
    normalized = _text(QtCore.QMetaObject.normalizedSignature(signature.lstrip("2")))
    by_name = {_text(QtCore.QMetaObject.normalizedSignature(k)): v for k, v in declared.items()}
    if normalized in by_name:
        return _default_signature(native, by_name[normalized])
    if native.metaObject().indexOfSignal(normalized) < 0 or "PyObject" in normalized:
        known = sorted(
            {
                _text(m.methodSignature())
                for m in _methods(native)
                if m.methodType() == QtCore.QMetaMethod.MethodType.Signal
            }
            | set(by_name)
        )
        raise ValueError(
            f"Signal '{signature}' does not exist on {native.metaObject().className()}; "
            f"it has {', '.join(k for k in known if 'PyObject' not in k)}."
        )
    return normalized


def _default_signature(native: QtCore.QObject, name: str) -> str:
    for method in _methods(native):
        is_signal = method.methodType() == QtCore.QMetaMethod.MethodType.Signal
        if is_signal and _text(method.name()) == name:
            return _text(method.methodSignature())
    raise ValueError(f"{native.metaObject().className()} has no signal {name!r}.")


def connect(native: QtCore.QObject, signature: str, callable_: Callable[..., Any]) -> bool:
    """Connect a Python callable; it is kept alive as long as the sender."""
    return _connect_found(native, find_signature(native, signature), callable_)


def _connect_found(native: QtCore.QObject, found: str, callable_: Callable[..., Any]) -> bool:
    if not callable(callable_):
        raise ValueError(f"{callable_!r} cannot be called, so no signal can be connected to it.")
    address = shiboken6.getCppPointer(native)[0]
    connection = _Connection(address, found, callable_)
    if address not in _connections:
        _connections[address] = []
        native.destroyed.connect(lambda *_: _connections.pop(address, None))
    _connections[address].append(connection)
    QtCore.QObject.connect(native, QtCore.SIGNAL(connection.signature), connection.receiver)
    return True


def disconnect(
    native: QtCore.QObject, signature: str, callable_: Callable[..., Any] | None = None
) -> bool:
    """Disconnect one callable, or every one, from a signal; False when none was connected."""
    return _disconnect_found(native, find_signature(native, signature), callable_)


def _disconnect_found(
    native: QtCore.QObject, wanted: str, callable_: Callable[..., Any] | None
) -> bool:
    address = shiboken6.getCppPointer(native)[0]
    found = [
        connection
        for connection in _connections.get(address, [])
        if connection.signature == wanted and callable_ in (None, connection.callable)
    ]
    for connection in found:
        QtCore.QObject.disconnect(native, QtCore.SIGNAL(wanted), connection.receiver)
        _connections[address].remove(connection)
    return bool(found)


class BoundSignal:
    """``button.clicked``: can be connected, disconnected, emitted and called."""

    def __init__(self, native: QtCore.QObject, name: str) -> None:
        self._native = native
        self._name = name

    @property
    def __name__(self) -> str:
        return self._name

    def connect(self, *arguments: Any) -> bool:
        """Connect the signal to a callable."""
        if len(arguments) != 1:
            raise ValueError("Called connect with wrong number of arguments")
        found = _default_signature(self._native, self._name)
        return _connect_found(self._native, found, arguments[0])

    def disconnect(self, *arguments: Any) -> bool:
        """Disconnect a callable, or all of them."""
        if len(arguments) > 1:
            raise ValueError("Called disconnect with wrong number of arguments")
        found = _default_signature(self._native, self._name)
        return _disconnect_found(self._native, found, arguments[0] if arguments else None)

    def emit(self, *arguments: Any) -> None:
        """Emit the signal."""
        values = [to_native(value) for value in arguments]
        signal = getattr(self._native, self._name)
        for method in _methods(self._native):
            if _text(method.name()) == self._name and method.parameterCount() == len(values):
                types = _text(method.methodSignature())[len(self._name) + 1 : -1]
                if types and "PyObject" not in types:
                    signal = signal[types]
                signal.emit(*values)
                return
        raise ValueError(f"Signal {self._name} does not take {len(values)} arguments.")

    __call__ = emit

    def __repr__(self) -> str:
        return f"<qt signal {self._name} of {self._native.metaObject().className()} instance>"


def forget(native: QtCore.QObject, signature: str) -> None:
    """Drop every connection of a signal; for the host's own use."""
    wanted = find_signature(native, signature)
    address = shiboken6.getCppPointer(native)[0]
    for connection in list(_connections.get(address, [])):
        if connection.signature == wanted:
            QtCore.QObject.disconnect(native, QtCore.SIGNAL(wanted), connection.receiver)
            _connections[address].remove(connection)
