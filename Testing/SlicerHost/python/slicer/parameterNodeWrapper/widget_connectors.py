"""Widgets and the types of value that each shows."""

from __future__ import annotations

import enum
import pathlib
from typing import Any

import ctk
import qt
import slicer

from . import validators
from .annotations import findFirstAnnotation, unannotatedType
from .connectors import (
    Decimals,
    GuiConnector,
    PropertyConnector,
    SingleStep,
    parameterNodeGuiConnector,
)
from .type_formats import getNodeTypes, isNodeOrUnionOfNodes


@parameterNodeGuiConnector
class _CheckBox(PropertyConnector):
    _property, _signal = "checked", "stateChanged"

    @staticmethod
    def canRepresent(widget: Any, datatype: Any) -> bool:
        boxes = (qt.QCheckBox, ctk.ctkCheckBox)
        return unannotatedType(datatype) is bool and type(widget) in boxes


@parameterNodeGuiConnector
class _PushButton(PropertyConnector):
    _property, _signal = "checked", "toggled"

    @staticmethod
    def canRepresent(widget: Any, datatype: Any) -> bool:
        buttons = (qt.QPushButton, ctk.ctkCheckablePushButton)
        return unannotatedType(datatype) is bool and type(widget) in buttons

    def prepare(self, datatype: Any, annotations: tuple[Any, ...]) -> None:
        self._widget.checkable = True


class _Number(PropertyConnector):
    _property, _signal = "value", "valueChanged"

    def _bounds(self, annotations: tuple[Any, ...]) -> tuple[Any, Any]:
        within = findFirstAnnotation(annotations, validators.WithinRange)
        low = within or findFirstAnnotation(annotations, validators.Minimum)
        high = within or findFirstAnnotation(annotations, validators.Maximum)
        return low and low.minimum, high and high.maximum

    def _step(self, annotations: tuple[Any, ...]) -> None:
        step = findFirstAnnotation(annotations, SingleStep)
        if step is not None:
            self._widget.singleStep = step.value


@parameterNodeGuiConnector
class _Integer(_Number):
    @staticmethod
    def canRepresent(widget: Any, datatype: Any) -> bool:
        return unannotatedType(datatype) is int and type(widget) in (qt.QSlider, qt.QSpinBox)

    def prepare(self, datatype: Any, annotations: tuple[Any, ...]) -> None:
        self._step(annotations)
        low, high = self._bounds(annotations)
        if isinstance(self._widget, qt.QSlider) and None in (low, high):
            raise RuntimeError("A QSlider needs an int type with bounds.")
        self._widget.setMinimum(-(2**31) if low is None else low)
        self._widget.setMaximum(2**31 - 1 if high is None else high)


@parameterNodeGuiConnector
class _Real(_Number):
    @staticmethod
    def canRepresent(widget: Any, datatype: Any) -> bool:
        return unannotatedType(datatype) in (float, int) and type(widget) in (
            qt.QDoubleSpinBox,
            ctk.ctkSliderWidget,
            ctk.ctkDoubleSlider,
            ctk.ctkDoubleSpinBox,
            slicer.qMRMLSliderWidget,
            slicer.qMRMLSpinBox,
        )

    def prepare(self, datatype: Any, annotations: tuple[Any, ...]) -> None:
        self._integer = datatype is int
        decimals = findFirstAnnotation(annotations, Decimals)
        if not isinstance(self._widget, ctk.ctkDoubleSlider):
            if self._integer:
                self._widget.decimals = 0
            elif decimals is not None:
                self._widget.decimals = decimals.value
        self._step(annotations)
        low, high = self._bounds(annotations)
        if isinstance(self._widget, ctk.ctkSliderWidget) and None in (low, high):
            raise RuntimeError("A ctkSliderWidget needs a number type with bounds.")
        self._widget.minimum = float("-inf") if low is None else low
        self._widget.maximum = float("inf") if high is None else high

    def read(self) -> Any:
        value = self._widget.value
        return int(value) if self._integer else value


class _Combo(GuiConnector):
    _signal = "currentIndexChanged"
    _items: list[tuple[str, Any]]

    def read(self) -> Any:
        return self._items[self._widget.currentIndex][1]

    def write(self, value: Any) -> None:
        for index, (_, item) in enumerate(self._items):
            if item == value:
                self._widget.currentIndex = index
                return
        raise ValueError(f"Unable to find value {value} in {[item for _, item in self._items]}")


@parameterNodeGuiConnector
class _ChoiceCombo(_Combo):
    @staticmethod
    def canRepresent(widget: Any, datatype: Any) -> bool:
        plain = unannotatedType(datatype) in (int, float, str, bool)
        return plain and type(widget) in (qt.QComboBox, ctk.ctkComboBox)

    def prepare(self, datatype: Any, annotations: tuple[Any, ...]) -> None:
        choice = findFirstAnnotation(annotations, validators.Choice)
        if choice is None:
            raise RuntimeError("A combo box needs the Choice annotation.")
        self._items = [(str(value), value) for value in choice.choices]
        self._widget.clear()
        for text, _ in self._items:
            self._widget.addItem(text)


@parameterNodeGuiConnector
class _EnumCombo(_Combo):
    @staticmethod
    def canRepresent(widget: Any, datatype: Any) -> bool:
        plain = unannotatedType(datatype)
        is_enum = isinstance(plain, type) and issubclass(plain, enum.Enum)
        return is_enum and type(widget) in (qt.QComboBox, ctk.ctkComboBox)

    def prepare(self, datatype: Any, annotations: tuple[Any, ...]) -> None:
        label = getattr(datatype, "label", lambda member: member.name)
        self._items = [(label(member), member) for member in datatype]
        chosen = self.read()
        self._widget.clear()
        for text, _ in self._items:
            self._widget.addItem(text)
        self.write(chosen)


@parameterNodeGuiConnector
class _LineEdit(PropertyConnector):
    _property, _signal = "text", "textChanged"

    @staticmethod
    def canRepresent(widget: Any, datatype: Any) -> bool:
        return unannotatedType(datatype) is str and type(widget) == qt.QLineEdit

    def write(self, value: str) -> None:
        if value != self._widget.text:  # writing moves the cursor
            self._widget.text = value


@parameterNodeGuiConnector
class _Label(PropertyConnector):
    _property = "text"

    @staticmethod
    def canRepresent(widget: Any, datatype: Any) -> bool:
        return unannotatedType(datatype) is str and type(widget) == qt.QLabel


@parameterNodeGuiConnector
class _TextEdit(GuiConnector):
    _signal = "textChanged"

    @staticmethod
    def canRepresent(widget: Any, datatype: Any) -> bool:
        return unannotatedType(datatype) is str and type(widget) == qt.QTextEdit

    def read(self) -> str:
        return self._widget.toPlainText()

    def write(self, value: str) -> None:
        self._widget.setPlainText(value)


class _PathConnector(PropertyConnector):
    def prepare(self, datatype: Any, annotations: tuple[Any, ...]) -> None:
        self._path = datatype

    def read(self) -> Any:
        return self._path(super().read())

    def write(self, value: Any) -> None:
        super().write(str(value))


def _is_path(datatype: Any) -> bool:
    plain = unannotatedType(datatype)
    return isinstance(plain, type) and issubclass(plain, pathlib.PurePath)


@parameterNodeGuiConnector
class _PathLineEdit(_PathConnector):
    _property, _signal = "currentPath", "currentPathChanged"

    @staticmethod
    def canRepresent(widget: Any, datatype: Any) -> bool:
        return _is_path(datatype) and type(widget) == ctk.ctkPathLineEdit


@parameterNodeGuiConnector
class _DirectoryButton(_PathConnector):
    _property, _signal = "directory", "directoryChanged"

    @staticmethod
    def canRepresent(widget: Any, datatype: Any) -> bool:
        return _is_path(datatype) and type(widget) == ctk.ctkDirectoryButton


@parameterNodeGuiConnector
class _NodeCombo(GuiConnector):
    _signal = "currentNodeChanged"

    @staticmethod
    def canRepresent(widget: Any, datatype: Any) -> bool:
        return type(widget) == slicer.qMRMLNodeComboBox and isNodeOrUnionOfNodes(datatype)

    def prepare(self, datatype: Any, annotations: tuple[Any, ...]) -> None:
        self._widget.nodeTypes = getNodeTypes(datatype)

    def read(self) -> Any:
        return self._widget.currentNode()

    def write(self, value: Any) -> None:
        self._widget.setCurrentNode(value)
