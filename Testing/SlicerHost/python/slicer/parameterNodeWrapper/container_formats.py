"""How lists, tuples, dicts and unions are kept in a parameter node."""

from __future__ import annotations

from typing import Any

import slicer

from .formats import BoolFormat, Format, NoneFormat
from .observed import ObservedDict, ObservedList


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
