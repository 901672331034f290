"""Conditions a parameter's value must meet."""

from __future__ import annotations

import abc
from typing import Any


class Validator(abc.ABC):
    """Base of all conditions."""

    @abc.abstractmethod
    def validate(self, value: Any) -> None:
        """Raise when the value is not allowed."""


class IsNone(Validator):
    """Nothing but None."""

    def validate(self, value: Any) -> None:
        """Raise for any value."""
        if value is not None:
            raise ValueError("Value must be None")


class NotNone(Validator):
    """Anything but None."""

    def validate(self, value: Any) -> None:
        """Raise for None."""
        if value is None:
            raise ValueError("Value must not be None")


class IsInstance(Validator):
    """Values of a class, or None."""

    def __init__(self, classtype: Any) -> None:
        self.classtype = classtype

    def validate(self, value: Any) -> None:
        """Raise TypeError for another class."""
        if value is not None and not isinstance(value, self.classtype):
            raise TypeError(f"Value must be of type {self.classtype}, is {value!r}")


class Minimum(Validator):
    """Values from a minimum on."""

    def __init__(self, minimum: Any) -> None:
        self.minimum = minimum

    def validate(self, value: Any) -> None:
        """Raise for a smaller value."""
        if value < self.minimum:
            raise ValueError(f"Value must be at least {self.minimum}, is {value}")


class Maximum(Validator):
    """Values up to a maximum."""

    def __init__(self, maximum: Any) -> None:
        self.maximum = maximum

    def validate(self, value: Any) -> None:
        """Raise for a larger value."""
        if value > self.maximum:
            raise ValueError(f"Value must be at most {self.maximum}, is {value}")


class WithinRange(Validator):
    """Values from a minimum to a maximum."""

    def __init__(self, minimum: Any, maximum: Any) -> None:
        self.minimum = minimum
        self.maximum = maximum

    def validate(self, value: Any) -> None:
        """Raise for a value outside."""
        if not self.minimum <= value <= self.maximum:
            raise ValueError(
                f"Value must be within range [{self.minimum}, {self.maximum}], is {value}"
            )


class Choice(Validator):
    """One of some values."""

    def __init__(self, choices: Any) -> None:
        self.choices = choices

    def validate(self, value: Any) -> None:
        """Raise for a value that is not among them."""
        if value not in self.choices:
            raise ValueError(f"Value is {value!r}, but must be one of {self.choices}")


class Exclude(Validator):
    """Any but some values."""

    def __init__(self, excludedValues: Any) -> None:
        self.excludedValues = excludedValues

    def validate(self, value: Any) -> None:
        """Raise for one of the excluded values."""
        if value in self.excludedValues:
            raise ValueError(f"Value {value!r} is among the excluded ones {self.excludedValues}")
