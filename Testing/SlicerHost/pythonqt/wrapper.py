"""Qt objects and classes as PythonQt shows them to a module."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import shiboken6
from PySide6 import QtCore

from SlicerHost.pythonqt import signals
from SlicerHost.pythonqt.attributes import class_member, read_attribute, write_attribute
from SlicerHost.pythonqt.conversion import to_native, to_python
from SlicerHost.pythonqt.methods import Method, bound_method
from SlicerHost.pythonqt.timers import single_shot


class ClassWrapper(type):
    """The class of every Qt class: static methods and enums are its attributes."""

    _native_type: type

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        native_type = cls.__dict__.get("_native_type") or cls._native_type
        if name == "singleShot" and native_type is QtCore.QTimer:
            return single_shot
        return class_member(native_type, name)

    def __setattr__(cls, name: str, value: Any) -> None:
        if "_generated" in cls.__dict__:
            raise AttributeError(f"'{name}' cannot be set on the Qt class {cls.__name__}")
        super().__setattr__(name, value)


class InstanceWrapper(metaclass=ClassWrapper):
    """A Qt object or value in Python's hands."""

    __slots__ = ("__weakref__", "_native")
    _native_type: type = object

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        if keywords:
            raise ValueError(f"{type(self).__name__}() takes no keyword arguments in PythonQt.")
        natives = [to_native(value) for value in arguments]
        native_type = type(self)._native_type
        if "_generated" not in type(self).__dict__:
            native_type = _shell_class(type(self))
        try:
            native = native_type(*natives)
        except TypeError as error:
            raise ValueError(
                f"Called {type(self).__name__}() with wrong arguments: {error}"
            ) from error
        except NotImplementedError as error:
            raise ValueError(f"No constructors available for {type(self).__name__}") from error
        object.__setattr__(self, "_native", native)
        if "_generated" not in type(self).__dict__:
            native.pythonqt_self = self
        _remember(native, self)
        if isinstance(native, QtCore.QObject):
            signals.owned[shiboken6.getCppPointer(native)[0]] = self

    def native_object(self) -> Any:
        """Give the PySide object; for the host's own use."""
        native = object.__getattribute__(self, "_native")
        if not shiboken6.isValid(native):
            raise ValueError(f"The C++ object of this {type(self).__name__} was destroyed.")
        return native

    def className(self) -> str:
        """Give the name of the Qt class."""
        return type(self)._native_type.__name__

    def inherits(self, name: str) -> bool:
        """Tell whether the object's class or one of its bases has this name."""
        return any(base.__name__ == name for base in type(self)._native_type.__mro__)

    def delete(self) -> None:
        """Delete the C++ object."""
        shiboken6.delete(self.native_object())

    def connect(self, *arguments: Any) -> bool:
        """``connect(signal, callable)`` or ``connect(signal, receiver, slot)``."""
        if len(arguments) == 3:
            signal, receiver, slot = arguments
            return signals.connect(
                self._qobject(), signal, getattr(receiver, slot.lstrip("1").split("(")[0])
            )
        if len(arguments) != 2:
            raise ValueError("Called connect with wrong arguments")
        return signals.connect(self._qobject(), *arguments)

    def disconnect(self, *arguments: Any) -> bool:
        """``disconnect(signal)`` or ``disconnect(signal, callable)``."""
        if len(arguments) not in (1, 2):
            raise ValueError("Called disconnect with wrong arguments")
        return signals.disconnect(self._qobject(), *arguments)

    def _qobject(self) -> QtCore.QObject:
        native = self.native_object()
        if not isinstance(native, QtCore.QObject):
            raise AttributeError(f"{type(self).__name__} has no attribute named 'connect'")
        return native

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            native = self.native_object()
        except AttributeError:
            raise AttributeError(f"{type(self).__name__}: call super().__init__() first") from None
        if isinstance(native, QtCore.QObject):
            return read_attribute(native, name)
        try:
            member = class_member(type(native), name)
        except AttributeError:
            raise AttributeError(f"{type(self).__name__} has no attribute named '{name}'") from None
        if isinstance(member, Method):
            return bound_method(native, name)
        return member

    def __setattr__(self, name: str, value: Any) -> None:
        native = object.__getattribute__(self, "_native") if name != "_native" else None
        if isinstance(native, QtCore.QObject) and write_attribute(native, name, value):
            return
        if "_generated" not in type(self).__dict__:
            object.__setattr__(self, name, value)
            return
        raise AttributeError(
            f"'{name}' does not exist on {type(self).__name__} and creating new attributes on "
            "C++ objects is not allowed"
        )

    def __bool__(self) -> bool:
        native = object.__getattribute__(self, "_native")
        if not shiboken6.isValid(native):
            return False
        return not native.isEmpty() if isinstance(native, QtCore.QByteArray) else True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, InstanceWrapper):
            return False
        mine, theirs = self._native, other._native
        return mine is theirs if isinstance(mine, QtCore.QObject) else bool(mine == theirs)

    def __hash__(self) -> int:
        return hash(shiboken6.getCppPointer(self._native))

    def __repr__(self) -> str:
        return f"{type(self).__name__} (wrapper of {self._native!r})"


# --- classes -------------------------------------------------------------------------------

_classes: dict[type, ClassWrapper] = {}


def class_for(native_type: type) -> ClassWrapper:
    """Give the PythonQt class of a PySide class; a module's own subclasses keep theirs."""
    if native_type in _classes:
        return _classes[native_type]
    bases = tuple(
        class_for(base)
        for base in native_type.__bases__
        if base not in (shiboken6.Object, object) and not base.__name__.startswith("_")
    )
    cls = ClassWrapper(
        native_type.__name__,
        bases or (InstanceWrapper,),
        {"__slots__": (), "_native_type": native_type, "_generated": True},
    )
    _classes[native_type] = cls
    return cls


def _shell_class(python_class: type) -> type:
    """Make the PySide subclass that calls the virtual methods a module's subclass defines."""
    if "_shell" in python_class.__dict__:
        return python_class.__dict__["_shell"]
    native_type = python_class._native_type  # type: ignore[attr-defined]
    namespace: dict[str, Any] = {"__module__": native_type.__module__}
    own: set[str] = set()
    for cls in python_class.__mro__:
        if "_generated" in cls.__dict__ or cls is InstanceWrapper:
            break
        own |= {name for name, value in vars(cls).items() if callable(value)}
    for name in own:
        if not name.startswith("_") and callable(getattr(native_type, name, None)):
            namespace[name] = _virtual(name)
    shell = type(native_type.__name__, (native_type,), namespace)
    type.__setattr__(python_class, "_shell", shell)
    return shell


def _virtual(name: str) -> Callable[..., Any]:
    def call(native: Any, *arguments: Any) -> Any:
        method = getattr(native.pythonqt_self, name)
        return to_native(
            signals.call_reporting_errors(method, *[to_python(value) for value in arguments])
        )

    return call


# --- objects -------------------------------------------------------------------------------

_wrappers: weakref.WeakValueDictionary[int, InstanceWrapper] = weakref.WeakValueDictionary()


def _remember(native: Any, wrapper: InstanceWrapper) -> None:
    if isinstance(native, QtCore.QObject):
        _wrappers[shiboken6.getCppPointer(native)[0]] = wrapper


def wrap(native: Any) -> InstanceWrapper:
    """Give the wrapper of a PySide object: always the same one while Python holds it."""
    own = getattr(native, "pythonqt_self", None)
    if own is not None:
        return own
    if isinstance(native, QtCore.QObject):
        known = _wrappers.get(shiboken6.getCppPointer(native)[0])
        if known is not None and object.__getattribute__(known, "_native") is native:
            return known
    cls = class_for(type(native))
    wrapper = cls.__new__(cls)
    object.__setattr__(wrapper, "_native", native)
    _remember(native, wrapper)
    return wrapper


def living_objects(native_type: type) -> list[Any]:
    """Give the PySide objects of a class that Python still holds a wrapper of."""
    return [
        wrapper._native
        for wrapper in list(_wrappers.values())
        if shiboken6.isValid(wrapper._native) and isinstance(wrapper._native, native_type)
    ]
