"""How a single value is kept in a parameter node."""

from __future__ import annotations

from typing import Any

from .validators import Validator


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
