"""A combo box whose items have check marks."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from SlicerHost.pythonqt.members import invokable

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
