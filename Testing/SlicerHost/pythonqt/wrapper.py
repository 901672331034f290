"""Qt objects and classes as PythonQt shows them to a module."""

from __future__ import annotations

import enum
import json
import weakref
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import shiboken6
from PySide6 import QtCore, QtWidgets

from SlicerHost.pythonqt import modals, signals
from SlicerHost.pythonqt.conversion import to_native, to_property, to_python
from SlicerHost.pythonqt.enums import EnumValue

# Names of PySide 6 that PythonQt's wrappers of Qt 5.15 do not have, class by class.
_MISSING: dict[str, set[str]] = {
    name: set(names)
    for name, names in json.loads(
        (Path(__file__).parent / "not_in_pythonqt.json").read_text(encoding="utf-8")
    ).items()
}
# PythonQt's own methods of every wrapper, and those its decorators add to QObject.
_OBJECT_METHODS = frozenset(
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
_KEEP_NAMES = frozenset({"exec", "exec_"})


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
def _find(native_type: type, name: str) -> Any:
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
    if name in _KEEP_NAMES and hasattr(native_type, "exec"):
        return getattr(native_type, "exec")  # noqa: B009 - a keyword-like name
    # Unscoped enum values (QMessageBox.Ok): PySide finds them although no dict holds them.
    value = getattr(native_type, name, None)
    return value if isinstance(value, enum.Enum) else None


def _nested_enum_value(cls: type, name: str) -> enum.Enum | None:
    for member in vars(cls).values():
        if isinstance(member, enum.EnumMeta) and name in member.__members__:
            return member[name]
    return None


def _class_member(native_type: type, name: str) -> Any:
    member = _find(native_type, name)
    if isinstance(member, enum.Enum):
        return EnumValue(member)
    if isinstance(member, enum.EnumMeta):
        return EnumClass(member)
    if isinstance(member, type):
        return class_for(member)
    if callable(member) and not isinstance(member, QtCore.Signal):
        return Method(name, member, native_type)
    raise AttributeError(f"type object '{native_type.__name__}' has no attribute '{name}'")


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


class ClassWrapper(type):
    """The class of every Qt class: static methods and enums are its attributes."""

    _native_type: type

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        native_type = cls.__dict__.get("_native_type") or cls._native_type
        if name == "singleShot" and native_type is QtCore.QTimer:
            return single_shot
        return _class_member(native_type, name)

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
            return _object_attribute(native, name)
        try:
            member = _class_member(type(native), name)
        except AttributeError:
            raise AttributeError(f"{type(self).__name__} has no attribute named '{name}'") from None
        if isinstance(member, Method):
            return _bound(native, name)
        return member

    def __setattr__(self, name: str, value: Any) -> None:
        native = object.__getattribute__(self, "_native") if name != "_native" else None
        if isinstance(native, QtCore.QObject) and _set_object_attribute(native, name, value):
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


def _bound(native: Any, name: str) -> Callable[..., Any]:
    function = getattr(native, "exec" if name in _KEEP_NAMES else name)
    if isinstance(native, QtCore.QByteArray) and name == "data":
        return lambda: bytes(function())
    return Method(name, function, type(native))


def _object_attribute(native: QtCore.QObject, name: str) -> Any:
    meta = native.metaObject()
    index = _property_index(meta, name)
    hidden = isinstance(native, QtCore.QTimer) and name == "singleShot"
    if index >= 0 and not hidden and not _newer_than_pythonqt(type(native), name):
        return to_python(meta.property(index).read(native))
    member = _find(type(native), name)
    if isinstance(member, QtCore.Signal) and not _is_hidden_signal(type(native), name):
        return signals.BoundSignal(native, name)
    if isinstance(member, (enum.Enum, type)):
        return _class_member(type(native), name)
    if callable(member) or name in _OBJECT_METHODS:
        return _bound(native, name)
    dynamic = native.property(name)
    if dynamic is not None and name.encode() in {
        bytes(key.data()) for key in native.dynamicPropertyNames()
    }:
        return to_python(dynamic)
    for child in native.children():
        if child.objectName() == name:
            return to_python(child)
    raise AttributeError(f"{meta.className()} has no attribute named '{name}'")


def _property_index(meta: QtCore.QMetaObject, name: str) -> int:
    """Find a property; ``name`` means ``objectName`` where a class has no property of that name."""
    index = meta.indexOfProperty(name)
    return meta.indexOfProperty("objectName") if index < 0 and name == "name" else index


def _is_hidden_signal(native_type: type, name: str) -> bool:
    """A signal that stands for an overload (``currentNodeChanged(bool)``) has no name itself."""
    declared = getattr(native_type, "cpp_signals", {})
    return name in declared.values() and all(not key.startswith(name + "(") for key in declared)


def _newer_than_pythonqt(native_type: type, name: str) -> bool:
    return any(name in _MISSING.get(cls.__name__, ()) for cls in native_type.__mro__)


def _set_object_attribute(native: QtCore.QObject, name: str, value: Any) -> bool:
    """Write a property; False when the class has no such member.

    Raises
    ------
    AttributeError
        For a read-only property, a wrong type, or the name of a slot, signal or enum.
    """
    meta = native.metaObject()
    index = _property_index(meta, name)
    hidden = isinstance(native, QtCore.QTimer) and name == "singleShot"
    if index >= 0 and not hidden and not _newer_than_pythonqt(type(native), name):
        prop = meta.property(index)
        if not prop.isWritable():
            raise AttributeError(f"Property '{name}' of {meta.className()} object is not writable")
        if not prop.write(native, to_property(prop, value)):
            raise AttributeError(
                f"Property '{name}' of type '{prop.typeName()}' does not accept {value!r}"
            )
        return True
    member = _find(type(native), name)
    if member is not None or name in _OBJECT_METHODS:
        kind = "Signal" if isinstance(member, QtCore.Signal) else "Slot"
        raise AttributeError(f"{kind} '{name}' can not be overwritten on {meta.className()} object")
    if name.encode() in {bytes(key.data()) for key in native.dynamicPropertyNames()}:
        native.setProperty(name, to_native(value))
        return True
    return False


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


# --- single-shot timers --------------------------------------------------------------------

_single_shots: set[QtCore.QTimer] = set()


def single_shot(*arguments: Any) -> None:
    """``qt.QTimer.singleShot(msec, callable)``, the only form PythonQt has for callables."""
    if len(arguments) != 2 or not callable(arguments[1]):
        raise ValueError("Called QTimer.singleShot with wrong arguments: needs msec and a callable")
    msec, callable_ = arguments
    timer = QtCore.QTimer()
    timer.setSingleShot(True)
    _single_shots.add(timer)

    def fire() -> None:
        _single_shots.discard(timer)
        signals.call_reporting_errors(callable_)

    timer.timeout.connect(fire)
    timer.start(int(msec))


def drop_single_shots() -> int:
    """Forget single shots that did not fire; gives how many there were."""
    count = len(_single_shots)
    for timer in list(_single_shots):
        timer.stop()
    _single_shots.clear()
    return count


def is_widget(value: Any) -> bool:
    """Tell whether a value wraps a QWidget."""
    return isinstance(value, InstanceWrapper) and isinstance(value._native, QtWidgets.QWidget)
