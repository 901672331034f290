"""CTK widgets that hold a number: spin boxes and sliders."""

from __future__ import annotations

import math
from typing import Any

from PySide6 import QtCore, QtWidgets

from SlicerHost.pythonqt.members import invokable
from SlicerHost.widgets.declaring import stored


class ctkDoubleSpinBox(QtWidgets.QWidget):
    """A spin box for real numbers."""

    valueChanged = QtCore.Signal(float)
    decimalsChanged = QtCore.Signal(int)
    editingFinished = QtCore.Signal()

    def __init__(self, parent: QtWidgets.QWidget | None = None):
        super().__init__(parent)
        self._box = QtWidgets.QDoubleSpinBox(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self._box.valueChanged.connect(self.valueChanged)
        self._box.editingFinished.connect(self.editingFinished)

    @invokable
    def setValue(self, value: float) -> None:
        """Set the value."""
        self._box.setValue(value)

    @invokable
    def setDecimals(self, decimals: int) -> None:
        """Set how many digits follow the point."""
        self._box.setDecimals(decimals)
        self.decimalsChanged.emit(decimals)

    value = QtCore.Property(float, lambda s: s._box.value(), setValue, notify=valueChanged)
    decimals = QtCore.Property(int, lambda s: s._box.decimals(), setDecimals)
    minimum = QtCore.Property(float, lambda s: s._box.minimum(), lambda s, v: s._box.setMinimum(v))
    maximum = QtCore.Property(float, lambda s: s._box.maximum(), lambda s, v: s._box.setMaximum(v))
    singleStep = QtCore.Property(
        float, lambda s: s._box.singleStep(), lambda s, v: s._box.setSingleStep(v)
    )
    prefix = QtCore.Property(str, lambda s: s._box.prefix(), lambda s, v: s._box.setPrefix(v))
    suffix = QtCore.Property(str, lambda s: s._box.suffix(), lambda s, v: s._box.setSuffix(v))


class ctkDoubleSlider(QtWidgets.QWidget):
    """A slider for real numbers."""

    valueChanged = QtCore.Signal(float)
    _STEPS = 1000

    def __init__(self, parent: QtWidgets.QWidget | None = None):
        super().__init__(parent)
        self.values: dict[str, Any] = {}
        self._value = 0.0
        self._slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal, self)
        self._slider.setRange(0, self._STEPS)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider)
        self._slider.sliderMoved.connect(self._moved)

    def _moved(self, position: int) -> None:
        low, high = self.property("minimum"), self.property("maximum")
        self.setValue(low + (high - low) * position / self._STEPS)

    def _range_changed(self, _: float) -> None:
        self.setValue(self._value)

    @invokable
    def setValue(self, value: float) -> None:
        """Set the value, kept within the range."""
        low, high = self.property("minimum"), self.property("maximum")
        value = min(max(float(value), low), high)
        if math.isfinite(high - low) and high > low:
            self._slider.setValue(round((value - low) / (high - low) * self._STEPS))
        if value != self._value:
            self._value = value
            self.valueChanged.emit(value)

    value = QtCore.Property(float, lambda s: s._value, setValue, notify=valueChanged)
    minimum = stored(float, "minimum", 0.0, then="_range_changed")
    maximum = stored(float, "maximum", 99.0, then="_range_changed")
    singleStep = stored(float, "singleStep", 1.0)
    pageStep = stored(float, "pageStep", 10.0)


class ctkSliderWidget(QtWidgets.QWidget):
    """A slider with a spin box beside it."""

    valueChanged = QtCore.Signal(float)
    valueIsChanging = QtCore.Signal(float)
    decimalsChanged = QtCore.Signal(int)

    def __init__(self, parent: QtWidgets.QWidget | None = None):
        super().__init__(parent)
        self._slider = ctkDoubleSlider(self)
        self._box = ctkDoubleSpinBox(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._box)
        self._slider.valueChanged.connect(self._box.setValue)
        self._box.valueChanged.connect(self._slider.setValue)
        self._box.valueChanged.connect(self.valueChanged)

    @invokable
    def setValue(self, value: float) -> None:
        """Set the value."""
        self._box.setValue(value)

    @invokable
    def setDecimals(self, decimals: int) -> None:
        """Set how many digits follow the point."""
        self._box.setDecimals(decimals)
        self.decimalsChanged.emit(decimals)

    def _set_both(self, name: str, value: float) -> None:
        self._slider.setProperty(name, value)
        self._box.setProperty(name, value)

    value = QtCore.Property(float, lambda s: s._box.property("value"), setValue)
    decimals = QtCore.Property(int, lambda s: s._box.property("decimals"), setDecimals)
    minimum = QtCore.Property(
        float, lambda s: s._box.property("minimum"), lambda s, v: s._set_both("minimum", v)
    )
    maximum = QtCore.Property(
        float, lambda s: s._box.property("maximum"), lambda s, v: s._set_both("maximum", v)
    )
    singleStep = QtCore.Property(
        float, lambda s: s._box.property("singleStep"), lambda s, v: s._set_both("singleStep", v)
    )
    pageStep = stored(float, "pageStep", 10.0)
    prefix = QtCore.Property(
        str, lambda s: s._box.property("prefix"), lambda s, v: s._box.setProperty("prefix", v)
    )
    suffix = QtCore.Property(
        str, lambda s: s._box.property("suffix"), lambda s, v: s._box.setProperty("suffix", v)
    )
