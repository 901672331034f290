"""Parameter packs: several parameters as one value."""

from __future__ import annotations

import functools
import typing
from typing import Any

import slicer

from .annotations import Default, findFirstAnnotation, splitAnnotations, splitDottedName
from .formats import Format
from .type_formats import format_for


class _Member:
    """One parameter of a pack; a descriptor that validates."""

    def __init__(self, name: str, annotated: Any, default: Any) -> None:
        self.basename = name
        self.unalteredType = annotated
        self.format = format_for(annotated)
        self.default = default

    def __get__(self, pack: Any, owner: type | None = None) -> Any:
        return self if pack is None else pack.__dict__["_values"][self.basename]

    def __set__(self, pack: Any, value: Any) -> None:
        self.format.validate(value)
        pack.__dict__["_values"][self.basename] = value
        save = pack.__dict__.get("_save")
        if save is not None:
            save(pack)


def isParameterPack(obj: Any) -> bool:
    """Tell whether a class or object is a parameter pack."""
    return bool(getattr(obj, "_is_parameterPack", False))


def nestedParameterNames(pack: Any) -> list[str]:
    """Give the dotted names of all parameters within a pack."""
    pack = splitAnnotations(pack)[0] if not isParameterPack(pack) else pack
    names: list[str] = []
    for name, member in pack.allParameters.items():
        inner = splitAnnotations(member.unalteredType)[0]
        nested = [f"{name}.{n}" for n in nestedParameterNames(inner)]
        names += nested if isParameterPack(inner) else [name]
    return names


def parameterPack(classtype: type | None = None) -> Any:
    """Make a class of typed members into a parameter pack."""
    return _make_pack if classtype is None else _make_pack(classtype)


def _make_pack(cls: type) -> type:
    members: dict[str, _Member] = {}
    for name, annotated in typing.get_type_hints(cls, include_extras=True).items():
        _, annotations = splitAnnotations(annotated)
        given = findFirstAnnotation(annotations, Default)
        if hasattr(cls, name):
            default = Default(getattr(cls, name))
        else:
            default = given or Default(generator=format_for(annotated).default)
        members[name] = _Member(name, annotated, default)
        setattr(cls, name, members[name])
    if not members:
        raise ValueError("Unable to find any members in parameterPack")
    for name, member in members.items():
        try:
            member.format.validate(member.default.value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"The default of {name} is not allowed: {error}") from error
    own_init = cls.__dict__.get("__init__")

    def initialize(self: Any, *args: Any, **kwargs: Any) -> None:
        self.__dict__["_values"] = {n: m.default.value for n, m in members.items()}
        if own_init is not None:
            own_init(self, *args, **kwargs)
            return
        if len(args) > len(members):
            raise TypeError(f"{cls.__name__} takes at most {len(members)} values")
        for name, value in {**dict(zip(members, args, strict=False)), **kwargs}.items():
            if name not in members:
                raise TypeError(f"__init__() got an unexpected keyword argument '{name}'")
            setattr(self, name, value)

    extra = {
        "__init__": initialize,
        "allParameters": members,
        "_is_parameterPack": True,
        "getValue": _get_value,
        "setValue": _set_value,
        "dataType": staticmethod(lambda name: _data_type(cls, name)),
    }
    for name, value in extra.items():
        if name in members:
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterPack")
        setattr(cls, name, value)
    for name, value in (("__eq__", _equal), ("__repr__", _text), ("__str__", _text)):
        if name not in cls.__dict__:
            setattr(cls, name, value)
    return cls


def _equal(self: Any, other: object) -> bool:
    if not isParameterPack(other) or self.allParameters is not other.allParameters:
        return False
    return all(getattr(self, name) == getattr(other, name) for name in self.allParameters)


def _text(self: Any) -> str:
    inside = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.allParameters)
    return f"{type(self).__name__}({inside})"


def _check_member(pack: Any, name: str) -> None:
    """Raise when a dotted name leads nowhere; a property over parameters counts as a member."""
    top, rest = splitDottedName(name)
    if not hasattr(pack, top):
        raise ValueError(f"{pack} has no member '{top}'")
    if rest is None:
        return
    inner = splitAnnotations(pack.allParameters[top].unalteredType)[0]
    if not isParameterPack(inner):
        raise ValueError(f"{inner} is not a parameter pack but expects to have '{rest}'")
    _check_member(inner, rest)


def _get_value(self: Any, name: str) -> Any:
    top, rest = splitDottedName(name)
    _check_member(self, name)
    value = getattr(self, top)
    return value if rest is None else value.getValue(rest)


def _set_value(self: Any, name: str, value: Any) -> None:
    top, rest = splitDottedName(name)
    _check_member(self, name)
    if rest is None:
        setattr(self, top, value)
    else:
        inner = getattr(self, top)
        inner.setValue(rest, value)
        setattr(self, top, inner)


def _data_type(cls: Any, name: str) -> Any:
    top, rest = splitDottedName(name)
    _check_member(cls, name)
    annotated = cls.allParameters[top].unalteredType
    return annotated if rest is None else splitAnnotations(annotated)[0].dataType(rest)


@functools.cache
def _frozen(cls: type) -> type:
    """Give the class of packs read from a node: no attribute can be added to them."""

    def set_attribute(self: Any, name: str, value: Any) -> None:
        if not hasattr(self, name):
            raise AttributeError(f"{cls.__name__} has no attribute '{name}'")
        object.__setattr__(self, name, value)

    return type(cls.__name__, (cls,), {"__setattr__": set_attribute, "__hash__": None})


class PackFormat(Format):
    """Keeps each parameter of a pack under ``name.parameter``."""

    def has(self, node: Any, name: str) -> bool:
        """Tell whether the first parameter is there."""
        first, member = next(iter(self.type.allParameters.items()))
        return bool(member.format.has(node, f"{name}.{first}"))

    def write(self, node: Any, name: str, value: Any) -> None:
        """Keep every parameter."""
        with slicer.util.NodeModify(node):
            for key, member in self.type.allParameters.items():
                member.format.write(node, f"{name}.{key}", getattr(value, key))

    def read(self, node: Any, name: str) -> Any:
        """Give a pack that writes its changes to the node."""
        pack = _frozen(self.type).__new__(_frozen(self.type))
        pack.__dict__["_values"] = {
            key: member.format.read(node, f"{name}.{key}")
            for key, member in self.type.allParameters.items()
        }
        pack.__dict__["_save"] = lambda changed: self.write(node, name, changed)
        return pack

    def remove(self, node: Any, name: str) -> None:
        """Forget every parameter."""
        for key, member in self.type.allParameters.items():
            member.format.remove(node, f"{name}.{key}")
