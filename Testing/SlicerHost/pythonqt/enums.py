"""Enum values as PythonQt has them: whole numbers that remember which Qt enum they come from."""

from __future__ import annotations

import enum
from typing import Any


class EnumValue(int):
    """A Qt enum or flag value that is an ``int``, as in PythonQt.

    Combining two values of one flag type keeps the type; everything else is plain arithmetic.
    """

    native: enum.Enum

    def __new__(cls, native: enum.Enum) -> EnumValue:
        """Give the number of a PySide enum member."""
        value = super().__new__(cls, int(native.value))
        value.native = native
        return value

    def _combined(self, other: Any, number: int) -> int:
        kind = type(self.native)
        same = isinstance(other, EnumValue) and isinstance(other.native, kind)
        return EnumValue(kind(number)) if same and issubclass(kind, enum.Flag) else number

    def __or__(self, other: int) -> int:
        return self._combined(other, int(self) | int(other))

    def __and__(self, other: int) -> int:
        return self._combined(other, int(self) & int(other))

    def __repr__(self) -> str:
        return f"{type(self.native).__name__}({self.native.name}, {int(self)})"

    __str__ = int.__repr__
