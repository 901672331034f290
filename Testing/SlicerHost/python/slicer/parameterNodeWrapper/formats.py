"""How a value of each type is kept in a parameter node."""

from __future__ import annotations

import enum
import pathlib
import typing
from typing import Any

import slicer

from .annotations import splitAnnotations, unannotatedType
from .observed import ObservedDict, ObservedList
from .validators import IsInstance, IsNone, NotNone, Validator

_PATHS = (
    pathlib.Path,
    pathlib.PosixPath,
    pathlib.WindowsPath,
    pathlib.PurePath,
    pathlib.PurePosixPath,
    pathlib.PureWindowsPath,
)


class Format:
    """Keeps values as one text parameter."""

    validators: tuple[Validator, ...] = ()

    def __init__(self, type_: Any) -> None:
        self.type = type_

    def default(self) -> Any:
        """Give the value of a parameter that was never set."""
        return self.type()

    def to_text(self, value: Any) -> str:
        """Give the text kept for a value."""
        return str(value)

    def from_text(self, text: str) -> Any:
        """Give the value of a text."""
        return self.type(text)

    def validate(self, value: Any) -> None:
        """Raise when the value is not allowed."""
        for validator in self.validators:
            validator.validate(value)

    def has(self, node: Any, name: str) -> bool:
        """Tell whether the node has a value."""
        return bool(node.HasParameter(name))

    def write(self, node: Any, name: str, value: Any) -> None:
        """Keep a value."""
        node.SetParameter(name, self.to_text(value))

    def read(self, node: Any, name: str) -> Any:
        """Give the value."""
        return self.from_text(node.GetParameter(name))

    def remove(self, node: Any, name: str) -> None:
        """Forget the value."""
        node.UnsetParameter(name)

    def checked_write(self, node: Any, name: str, value: Any) -> None:
        """Keep a value that is allowed."""
        self.validate(value)
        self.write(node, name, value)


class BoolFormat(Format):
    """``True`` or ``False``."""

    def from_text(self, text: str) -> bool:
        """Anything but ``True`` is false."""
        return text == "True"


class EnumFormat(Format):
    """The name of an enum member."""

    def default(self) -> Any:
        """Give the first member."""
        return next(iter(self.type))

    def to_text(self, value: Any) -> str:
        """Give the member's name."""
        return str(value.name)

    def from_text(self, text: str) -> Any:
        """Give the member of a name."""
        try:
            return self.type[text]
        except KeyError:
            raise ValueError(f"{text!r} is not a name in {self.type!r}") from None


class NodeFormat(Format):
    """A node reference; an empty parameter says that there is a value, perhaps None."""

    def default(self) -> None:
        """No node."""

    def write(self, node: Any, name: str, value: Any) -> None:
        """Refer to a node."""
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, None if value is None else value.GetID())

    def read(self, node: Any, name: str) -> Any:
        """Give the node referred to."""
        return node.GetNodeReference(name)

    def remove(self, node: Any, name: str) -> None:
        """Forget the reference."""
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)


class NoneFormat(BoolFormat):
    """None, marked by ``True``."""

    def write(self, node: Any, name: str, value: Any) -> None:
        """Mark that there is a value."""
        node.SetParameter(name, "True")

    def read(self, node: Any, name: str) -> None:
        """Give None."""


class SequenceFormat(Format):
    """A list: ``name.len`` and ``name.0``, ``name.1``, ..."""

    def __init__(self, element: Format) -> None:
        self.element = element

    def default(self) -> Any:
        """Give an empty list."""
        return []

    def _length(self, node: Any, name: str) -> int:
        return int(node.GetParameter(f"{name}.len")) if self.has(node, name) else 0

    def has(self, node: Any, name: str) -> bool:
        """Tell whether there is a length."""
        return bool(node.HasParameter(f"{name}.len"))

    def write(self, node: Any, name: str, value: Any) -> None:
        """Keep the elements; nothing changes when one of them is not allowed."""
        values = list(value)
        for one in values:
            self.element.validate(one)
        with slicer.util.NodeModify(node):
            old = self._length(node, name)
            for index, one in enumerate(values):
                self.element.write(node, f"{name}.{index}", one)
            for index in range(len(values), old):
                self.element.remove(node, f"{name}.{index}")
            node.SetParameter(f"{name}.len", str(len(values)))

    def read_list(self, node: Any, name: str) -> list[Any]:
        """Give the elements as a plain list."""
        count = self._length(node, name)
        return [self.element.read(node, f"{name}.{index}") for index in range(count)]

    def read(self, node: Any, name: str) -> Any:
        """Give a list that writes its changes to the node."""

        def save(values: list[Any]) -> list[Any]:
            self.write(node, name, values)
            return self.read_list(node, name)

        return ObservedList(self.read_list(node, name), save)

    def remove(self, node: Any, name: str) -> None:
        """Forget the elements."""
        for index in range(self._length(node, name)):
            self.element.remove(node, f"{name}.{index}")
        node.UnsetParameter(f"{name}.len")


class TupleFormat(Format):
    """A tuple: ``name.0``, ``name.1``, ..."""

    def __init__(self, elements: list[Format]) -> None:
        self.elements = elements

    def default(self) -> tuple[Any, ...]:
        """Give the elements' defaults."""
        return tuple(element.default() for element in self.elements)

    def validate(self, value: Any) -> None:
        """Raise for a wrong number of elements or a wrong element."""
        if len(tuple(value)) != len(self.elements):
            raise ValueError("Unexpected number of tuple values")
        for element, one in zip(self.elements, value, strict=True):
            element.validate(one)

    def has(self, node: Any, name: str) -> bool:
        """Tell whether the first element is there."""
        return self.elements[0].has(node, f"{name}.0")

    def write(self, node: Any, name: str, value: Any) -> None:
        """Keep the elements."""
        with slicer.util.NodeModify(node):
            for index, (element, one) in enumerate(zip(self.elements, value, strict=True)):
                element.write(node, f"{name}.{index}", one)

    def read(self, node: Any, name: str) -> tuple[Any, ...]:
        """Give the elements."""
        return tuple(e.read(node, f"{name}.{i}") for i, e in enumerate(self.elements))

    def remove(self, node: Any, name: str) -> None:
        """Forget the elements."""
        for index, element in enumerate(self.elements):
            element.remove(node, f"{name}.{index}")


class DictFormat(SequenceFormat):
    """A dict: a list of pairs."""

    def default(self) -> Any:
        """Give an empty dict."""
        return {}

    def write(self, node: Any, name: str, value: Any) -> None:
        """Keep the pairs."""
        super().write(node, name, value.items())

    def read(self, node: Any, name: str) -> Any:
        """Give a dict that writes its changes to the node."""

        def save(values: dict[Any, Any]) -> dict[Any, Any]:
            self.write(node, name, values)
            return dict(self.read_list(node, name))

        return ObservedDict(dict(self.read_list(node, name)), save)


class UnionFormat(Format):
    """One of several types: ``name.<number of the type>``."""

    def __init__(self, members: list[Format]) -> None:
        self.members = members

    def default(self) -> Any:
        """None for an optional value, else the first type's default."""
        if len(self.members) == 2 and isinstance(self.members[1], NoneFormat):
            return None
        return self.members[0].default()

    def _member(self, value: Any) -> int:
        error: Exception = TypeError(f"No type of the union takes {value!r}")
        for index, member in enumerate(self.members):
            if isinstance(member, NoneFormat) != (value is None):
                continue
            if isinstance(value, bool) and not isinstance(member, BoolFormat):
                continue  # a union takes True as a bool or not at all
            try:
                member.validate(value)
                return index
            except ValueError as refusal:
                error = refusal
            except TypeError:
                continue
        raise error

    def validate(self, value: Any) -> None:
        """Raise when no type takes the value."""
        self._member(value)

    def has(self, node: Any, name: str) -> bool:
        """Tell whether one of the types has a value."""
        return any(m.has(node, f"{name}.{i}") for i, m in enumerate(self.members))

    def write(self, node: Any, name: str, value: Any) -> None:
        """Keep the value as the first type that takes it."""
        index = self._member(value)
        with slicer.util.NodeModify(node):
            self.remove(node, name)
            self.members[index].write(node, f"{name}.{index}", value)

    def read(self, node: Any, name: str) -> Any:
        """Give the value."""
        for index, member in enumerate(self.members):
            if member.has(node, f"{name}.{index}"):
                return member.read(node, f"{name}.{index}")
        raise KeyError(f"Unable to find value for name: {name}")

    def remove(self, node: Any, name: str) -> None:
        """Forget the value."""
        for index, member in enumerate(self.members):
            member.remove(node, f"{name}.{index}")


def format_for(annotated: Any) -> Format:
    """Give the format of a possibly annotated type.

    Raises
    ------
    TypeError
        For a type that a parameter node cannot keep.
    """
    plain, annotations = splitAnnotations(annotated)
    made = _plain_format(plain)
    own = tuple(a() if isinstance(a, type) else a for a in annotations if _is_validator(a))
    made.validators = (*made.validators, *own)
    return made


def _is_validator(annotation: Any) -> bool:
    if isinstance(annotation, type):
        return issubclass(annotation, Validator)
    return isinstance(annotation, Validator)


def _with(made: Format, *validators: Validator) -> Format:
    made.validators = validators
    return made


def _plain_format(plain: Any) -> Format:
    from .packs import PackFormat, isParameterPack

    origin, arguments = typing.get_origin(plain), typing.get_args(plain)
    if plain is int:
        return _with(Format(int), NotNone(), IsInstance(int))
    if plain is float:
        return _with(Format(float), NotNone(), IsInstance((int, float)))
    if plain is str:
        return _with(Format(str), NotNone(), IsInstance(str))
    if plain is bool:
        return _with(BoolFormat(bool), NotNone(), IsInstance(bool))
    if plain in _PATHS:
        return _with(Format(plain), NotNone(), IsInstance(plain))
    if plain is type(None):
        return _with(NoneFormat(bool), IsNone())
    if origin is list and len(arguments) == 1:
        return SequenceFormat(format_for(arguments[0]))
    if origin is tuple and arguments:
        return TupleFormat([format_for(argument) for argument in arguments])
    if origin is dict and len(arguments) == 2:
        return DictFormat(TupleFormat([format_for(argument) for argument in arguments]))
    if origin is typing.Union:
        return UnionFormat([format_for(argument) for argument in arguments])
    if isParameterPack(plain):
        return _with(PackFormat(plain), NotNone(), IsInstance(plain))
    if isinstance(plain, type) and issubclass(plain, enum.Enum):
        return _with(EnumFormat(plain), NotNone(), IsInstance(plain))
    if isinstance(plain, type) and issubclass(plain, slicer.vtkMRMLNode):
        return _with(NodeFormat(plain), IsInstance(plain))
    raise TypeError(f"A parameter node cannot keep values of type {plain}.")


def isNodeOrUnionOfNodes(annotated: Any) -> bool:
    """Tell whether a type is a node class or a union of some, with or without None."""
    plain = unannotatedType(annotated)
    members = typing.get_args(plain) if typing.get_origin(plain) is typing.Union else (plain,)
    return all(
        isinstance(one, type) and (one is type(None) or issubclass(one, slicer.vtkMRMLNode))
        for one in map(unannotatedType, members)
    )


def getNodeTypes(annotated: Any) -> tuple[str, ...]:
    """Give the class names of a node type or a union of node types."""
    plain = unannotatedType(annotated)
    members = typing.get_args(plain) if typing.get_origin(plain) is typing.Union else (plain,)
    return tuple(one.__name__ for one in map(unannotatedType, members) if one is not type(None))
