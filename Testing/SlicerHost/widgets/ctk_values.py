"""CTK widgets that hold a value: sliders, paths, checkable lists."""

from __future__ import annotations

import enum
import math
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from SlicerHost.pythonqt import modals
from SlicerHost.pythonqt.members import invokable
from SlicerHost.widgets.declaring import stored

_CHECKED = QtCore.Qt.CheckState.Checked
_ROLE = QtCore.Qt.ItemDataRole.CheckStateRole


class ctkCheckableComboBox(QtWidgets.QComboBox):
    """A combo box whose items have check marks."""

    checkedIndexesChanged = QtCore.Signal()

    def __init__(self, parent: QtWidgets.QWidget | None = None):
        super().__init__(parent)
        self.view().viewport().installEventFilter(self)
        self._checked: list[int] = []
        self._prepare()

    def _prepare(self) -> None:
        model = self.model()
        model.rowsInserted.connect(self._make_checkable)
        model.dataChanged.connect(self._on_data_changed)

    def _make_checkable(self, parent: QtCore.QModelIndex, first: int, last: int) -> None:
        model = self.model()
        for row in range(first, last + 1):
            item = model.item(row) if isinstance(model, QtGui.QStandardItemModel) else None
            if item is not None:
                item.setCheckable(True)
                if item.data(_ROLE) is None:
                    item.setCheckState(QtCore.Qt.CheckState.Unchecked)

    def _on_data_changed(self, first: Any, last: Any, roles: Any = ()) -> None:
        checked = [index.row() for index in self.checkedIndexes()]
        if checked != self._checked:
            self._checked = checked
            self.checkedIndexesChanged.emit()
            self.update()

    def _indexes(self) -> list[QtCore.QModelIndex]:
        return [self.model().index(row, 0) for row in range(self.count())]

    @invokable
    def checkableModel(self) -> QtCore.QAbstractItemModel:
        """Give the model that holds the check marks."""
        return self.model()

    @invokable
    def setCheckableModel(self, model: QtCore.QAbstractItemModel) -> None:
        """Use another model."""
        self.setModel(model)
        self._prepare()

    @invokable
    def checkedIndexes(self) -> list[QtCore.QModelIndex]:
        """Give the indexes of the checked items."""
        return [index for index in self._indexes() if self.checkState(index) == _CHECKED]

    @invokable
    def allChecked(self) -> bool:
        """Tell whether every item is checked."""
        return len(self.checkedIndexes()) == self.count()

    @invokable
    def noneChecked(self) -> bool:
        """Tell whether no item is checked."""
        return not self.checkedIndexes()

    @invokable
    def setCheckState(self, index: QtCore.QModelIndex, state: QtCore.Qt.CheckState) -> None:
        """Check or uncheck an item."""
        self.model().setData(index, state, _ROLE)

    @invokable
    def checkState(self, index: QtCore.QModelIndex) -> QtCore.Qt.CheckState:
        """Give the check mark of an item."""
        state = self.model().data(index, _ROLE)
        return QtCore.Qt.CheckState(state if state is not None else 0)

    def eventFilter(self, watched: QtCore.QObject, event: QtCore.QEvent) -> bool:
        """A click in the list turns the check mark and leaves the list open."""
        if event.type() == QtCore.QEvent.Type.MouseButtonRelease:
            index = self.view().indexAt(event.position().toPoint())
            if index.isValid():
                checked = self.checkState(index) == _CHECKED
                state = QtCore.Qt.CheckState.Unchecked if checked else _CHECKED
                self.setCheckState(index, state)
                return True
        return super().eventFilter(watched, event)

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        """Show the checked items' names in the closed box."""
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionComboBox()
        self.initStyleOption(option)
        names = [str(index.data()) for index in self.checkedIndexes()]
        option.currentText = ", ".join(names) if names else "None"
        if names and len(names) == self.count():
            option.currentText = "All"
        painter.drawComplexControl(QtWidgets.QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QtWidgets.QStyle.ControlElement.CE_ComboBoxLabel, option)


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


class ctkDirectoryButton(QtWidgets.QWidget):
    """A button that shows and chooses a folder."""

    directoryChanged = QtCore.Signal(str)
    directorySelected = QtCore.Signal(str)

    def __init__(
        self, directory: str | QtWidgets.QWidget = "", parent: QtWidgets.QWidget | None = None
    ):
        if not isinstance(directory, str):
            directory, parent = "", directory
        super().__init__(parent)
        self._button = QtWidgets.QPushButton(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._button)
        self._directory = QtCore.QDir(directory)
        self._button.clicked.connect(self.browse)
        self._refresh()

    def _refresh(self) -> None:
        self._button.setText(self.property("text") or self._directory.path())

    def _set_directory(self, path: str) -> None:
        new = QtCore.QDir(path)
        if new != self._directory:
            self._directory.setPath(new.absolutePath())
            self._refresh()
            self.directorySelected.emit(new.path())
            self.directoryChanged.emit(self._directory.path())
        else:
            self.directorySelected.emit(new.path())

    @invokable
    def browse(self) -> str:
        """Ask for a folder."""
        chosen = modals.intercept(
            QtWidgets.QFileDialog, "getExistingDirectory", self.browse, [self.property("caption")]
        )
        if chosen:
            self._set_directory(chosen)
        return chosen or ""

    directory = QtCore.Property(
        str, lambda s: s._directory.path(), _set_directory, notify=directoryChanged
    )
    caption = stored(str, "caption", "")
    text = stored(str, "text", "", then="_on_text")

    def _on_text(self, _: str) -> None:
        self._refresh()


class ctkPathLineEdit(QtWidgets.QWidget):
    """A line for a path, with a browse button and a history."""

    validInputChanged = QtCore.Signal(bool)
    currentPathChanged = QtCore.Signal(str)

    class Filter(enum.IntFlag):
        """What kind of path is looked for."""

        Dirs = 0x001
        Files = 0x002
        Drives = 0x004
        NoSymLinks = 0x008
        AllEntries = 0x007
        Readable = 0x010
        Writable = 0x020
        Executable = 0x040
        Hidden = 0x100
        System = 0x200
        AllDirs = 0x400
        CaseSensitive = 0x800
        NoDotAndDotDot = 0x1000
        NoDot = 0x2000
        NoDotDot = 0x4000

    def __init__(self, parent: QtWidgets.QWidget | None = None):
        super().__init__(parent)
        self._combo = QtWidgets.QComboBox(self)
        self._combo.setEditable(True)
        self._browse = QtWidgets.QToolButton(self)
        self._browse.setText("...")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo, 1)
        layout.addWidget(self._browse)
        self._combo.editTextChanged.connect(self.currentPathChanged)
        self._browse.clicked.connect(self.browse)

    @invokable
    def comboBox(self) -> QtWidgets.QComboBox:
        """Give the box that holds the history."""
        return self._combo

    @invokable
    def setCurrentPath(self, path: str) -> None:
        """Set the path."""
        if path != self._combo.currentText():
            self._combo.setEditText(path)

    @invokable
    def browse(self) -> None:
        """Ask for a file or a folder."""
        folders = bool(self.property("filters") & 1) and not self.property("filters") & 2
        name = "getExistingDirectory" if folders else "getOpenFileName"
        chosen = modals.intercept(
            QtWidgets.QFileDialog, name, self.browse, [self.property("label")]
        )
        if isinstance(chosen, (list, tuple)):
            chosen = chosen[0] if chosen else ""
        if chosen:
            self.setCurrentPath(chosen)

    @invokable
    def addCurrentPathToHistory(self) -> None:
        """Keep the path for the next time."""
        path = self._combo.currentText()
        if path and self._combo.findText(path) < 0:
            self._combo.insertItem(0, path)
            self._combo.setEditText(path)

    @invokable
    def retrieveHistory(self) -> None:
        """The history lives only as long as the host."""

    currentPath = QtCore.Property(str, lambda s: s._combo.currentText(), setCurrentPath)
    filters = stored(int, "filters", 0x7)
    label = stored(str, "label", "")
    settingKey = stored(str, "settingKey", "")
    nameFilters = stored("QStringList", "nameFilters", [])
    showBrowseButton = stored(bool, "showBrowseButton", True)
    showHistoryButton = stored(bool, "showHistoryButton", True)
