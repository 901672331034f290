"""Widgets connected to parameters: which widget shows which type, and how."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Any

from .annotations import splitAnnotations

SlicerPackParameterNamePropertyName = "SlicerPackParameterName"


@dataclasses.dataclass
class Decimals:
    """How many digits a spin box or slider shows after the point."""

    value: int


@dataclasses.dataclass
class SingleStep:
    """How far one step of a spin box or slider goes."""

    value: float


class GuiConnector(abc.ABC):
    """Reads a widget as a value, writes a value to it and tells when it changes."""

    _signal = ""

    def __init__(self, widget: Any = None) -> None:
        self._widget = widget
        self._callback: Callable[[], None] | None = None

    @staticmethod
    @abc.abstractmethod
    def canRepresent(widget: Any, datatype: Any) -> bool:
        """Tell whether the widget can show the type."""

    @classmethod
    def create(cls, widget: Any, datatype: Any) -> GuiConnector:
        """Make the connector of a widget."""
        connector = cls(widget)
        connector.prepare(*splitAnnotations(datatype))
        return connector

    def prepare(self, datatype: Any, annotations: tuple[Any, ...]) -> None:
        """Set the widget up for the type."""

    def onChanged(self, callback: Callable[[], None] | None) -> None:
        """Call a function on every change; None stops it."""
        self._callback = callback
        if callback is None:
            self._disconnect()
        else:
            self._connect()

    def changed(self) -> None:
        """Tell of a change."""
        if self._callback:
            self._callback()

    def _connect(self) -> None:
        if self._signal:
            getattr(self._widget, self._signal).connect(self.changed)

    def _disconnect(self) -> None:
        if self._signal:
            getattr(self._widget, self._signal).disconnect(self.changed)

    def widget(self) -> Any:
        """Give the widget."""
        return self._widget

    @abc.abstractmethod
    def read(self) -> Any:
        """Give the widget's value."""

    @abc.abstractmethod
    def write(self, value: Any) -> None:
        """Show a value."""


_connectors: list[Any] = []


def parameterNodeGuiConnector(classtype: type | None = None) -> Any:
    """Register a connector class."""

    def register(cls: type) -> type:
        _connectors.append(cls)
        return cls

    return register if classtype is None else register(classtype)


def createGuiConnector(widget: Any, datatype: Any) -> GuiConnector:
    """Give the connector of a widget and a type.

    Raises
    ------
    RuntimeError
        When no connector takes the two together.
    """
    for cls in _connectors:
        if cls.canRepresent(widget, datatype):
            return cls.create(widget, datatype)
    raise RuntimeError(
        f"Unable to create GUI connector from datatype '{datatype}' to widget type "
        f"'{type(widget)}'."
    )


class PropertyConnector(GuiConnector):
    """A widget whose value is one of its properties."""

    _property = ""

    def read(self) -> Any:
        """Give the property."""
        return getattr(self._widget, self._property)

    def write(self, value: Any) -> None:
        """Set the property."""
        setattr(self._widget, self._property, value)
