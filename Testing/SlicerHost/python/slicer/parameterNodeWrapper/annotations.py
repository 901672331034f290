"""Types with annotations: ``Annotated[float, WithinRange(0, 1), Default(0.5)]``."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable
from typing import Annotated, Any


class Default:
    """The value of a parameter until it is set."""

    def __init__(self, value: Any = None, *, generator: Callable[[], Any] | None = None) -> None:
        self._value = value
        self._generator = generator

    @property
    def value(self) -> Any:
        """The default, made anew when there is a generator."""
        return self._generator() if self._generator else self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Default) and vars(self) == vars(other)

    __hash__ = object.__hash__


def splitAnnotations(annotated: Any) -> tuple[Any, tuple[Any, ...]]:
    """Give the plain type and its annotations."""
    arguments = typing.get_args(Annotated[annotated, None])
    plain = arguments[0]
    if isinstance(plain, types.UnionType):
        plain = typing.Union[typing.get_args(plain)]  # noqa: UP007
    return plain, arguments[1:-1]


def unannotatedType(annotated: Any) -> Any:
    """Give the plain type."""
    return splitAnnotations(annotated)[0]


def findFirstAnnotation(annotations: Iterable[Any], kind: type) -> Any:
    """Give the first annotation of a kind, or None."""
    return next((one for one in annotations if isinstance(one, kind)), None)


def splitDottedName(name: str) -> tuple[str, str | None]:
    """Split ``a.b.c`` into ``a`` and ``b.c``."""
    top, dot, rest = name.partition(".")
    return top, rest if dot else None
