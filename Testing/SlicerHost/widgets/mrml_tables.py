"""MRML widgets that show a table of a node."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from SlicerHost.pythonqt.members import invokable
from SlicerHost.widgets.declaring import stored
from SlicerHost.widgets.mrml_observing import Observers
from SlicerHost.widgets.mrml_widgets import qMRMLWidget


class qMRMLTableView(QtWidgets.QTableView):
    """Shows a table node."""

    mrmlSceneChanged = QtCore.Signal(object)
    selectionChangedSignal = QtCore.Signal()
    cpp_signals = {
        "mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged",
        "selectionChanged()": "selectionChangedSignal",
    }
    cpp_slots = {
        "setMRMLScene": ["setMRMLScene(vtkMRMLScene*)"],
        "setMRMLTableNode": [
            "setMRMLTableNode(vtkMRMLTableNode*)",
            "setMRMLTableNode(vtkMRMLNode*)",
        ],
    }

    transposed = stored(bool, "transposed", False, then="_on_option")
    firstRowLocked = stored(bool, "firstRowLocked", False, then="_on_option")
    firstColumnLocked = stored(bool, "firstColumnLocked", False, then="_on_option")

    def __init__(self, parent: QtWidgets.QWidget | None = None):
        super().__init__(parent)
        self._scene: Any = None
        self._node: Any = None
        self._observers = Observers(self)
        self.setModel(QtGui.QStandardItemModel(self))

    def _on_option(self, _: bool) -> None:
        self._refresh()

    @invokable
    def mrmlScene(self) -> Any:
        """Give the scene."""
        return self._scene

    @invokable
    def setMRMLScene(self, scene: Any) -> None:
        """Set the scene; another scene forgets the table."""
        if scene is not self._scene:
            self._scene = scene
            self.setMRMLTableNode(None)
            self.mrmlSceneChanged.emit(scene)

    @invokable
    def mrmlTableNode(self) -> Any:
        """Give the table node."""
        return self._node

    @invokable
    def setMRMLTableNode(self, node: Any) -> None:
        """Show another table node."""
        self._observers.clear()
        self._node = node
        if node is not None:
            self._observers.add(node, vtk.vtkCommand.ModifiedEvent, "_refresh")
        self._refresh()

    @invokable
    def tableModel(self) -> QtGui.QStandardItemModel:
        """Give the model the view shows."""
        return self.model()

    def _refresh(self) -> None:
        model = self.model()
        model.clear()
        if self._node is None:
            return
        table = self._node.GetTable()
        rows, columns = table.GetNumberOfRows(), table.GetNumberOfColumns()
        names = [table.GetColumnName(column) for column in range(columns)]
        editable = not self._node.GetLocked()
        grid = [
            [table.GetValue(row, column).ToString() for column in range(columns)]
            for row in range(rows)
        ]
        if not self._node.GetUseColumnTitleAsColumnHeader():
            grid.insert(0, names)
        else:
            model.setHorizontalHeaderLabels(names)
        for row, texts in enumerate(grid):
            for column, text in enumerate(texts):
                item = QtGui.QStandardItem(text)
                item.setEditable(editable)
                model.setItem(row, column, item)


class qMRMLSegmentsTableView(qMRMLWidget):
    """Lists the segments of a segmentation with color and visibility."""

    selectionChanged = QtCore.Signal(QtCore.QItemSelection, QtCore.QItemSelection)
    cpp_slots = {
        "setMRMLScene": ["setMRMLScene(vtkMRMLScene*)"],
        "setSegmentationNode": ["setSegmentationNode(vtkMRMLNode*)"],
    }

    headerVisible = stored(bool, "headerVisible", True, then="_on_option")
    readOnly = stored(bool, "readOnly", False)
    selectionMode = stored(int, "selectionMode", 3)
    opacityColumnVisible = stored(bool, "opacityColumnVisible", True)
    colorColumnVisible = stored(bool, "colorColumnVisible", True)
    visibilityColumnVisible = stored(bool, "visibilityColumnVisible", True)
    statusColumnVisible = stored(bool, "statusColumnVisible", True)
    layerColumnVisible = stored(bool, "layerColumnVisible", False)
    filterBarVisible = stored(bool, "filterBarVisible", False)
    segmentCount = QtCore.Property(int, lambda self: self._table.rowCount())

    def __init__(self, parent: QtWidgets.QWidget | None = None):
        super().__init__(parent)
        self._node: Any = None
        self._observers = Observers(self)
        self._table = QtWidgets.QTableWidget(0, 3, self)
        self._table.setHorizontalHeaderLabels(["Visible", "Color", "Name"])
        self._table.horizontalHeader().setStretchLastSection(True)
        self._table.verticalHeader().hide()
        self._table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectionBehavior.SelectRows)
        self._table.selectionModel().selectionChanged.connect(self.selectionChanged)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)

    def _on_option(self, visible: bool) -> None:
        self._table.horizontalHeader().setVisible(visible)

    @invokable
    def segmentationNode(self) -> Any:
        """Give the segmentation."""
        return self._node

    @invokable
    def setSegmentationNode(self, node: Any) -> None:
        """Show another segmentation."""
        self._observers.clear()
        self._node = node
        if node is not None:
            for event in ("SegmentAdded", "SegmentRemoved", "SegmentModified"):
                self._observers.add(
                    node.GetSegmentation(), getattr(slicer.vtkSegmentation, event), "_refresh"
                )
        self._refresh()

    @invokable
    def selectedSegmentIDs(self) -> list[str]:
        """Give the ids of the selected segments."""
        rows = sorted({index.row() for index in self._table.selectedIndexes()})
        return [self.segmentIDForRow(row) for row in rows]

    @invokable
    def setSelectedSegmentIDs(self, ids: list[str]) -> None:
        """Select segments."""
        self._table.clearSelection()
        for row in range(self._table.rowCount()):
            if self.segmentIDForRow(row) in ids:
                self._table.selectRow(row)

    @invokable
    def segmentIDForRow(self, row: int) -> str:
        """Give the id of the segment in a row."""
        return self._table.item(row, 2).data(QtCore.Qt.ItemDataRole.UserRole)

    def _refresh(self) -> None:
        segmentation = self._node.GetSegmentation() if self._node is not None else None
        ids = segmentation.GetSegmentIDs() if segmentation is not None else ()
        self._table.setRowCount(len(ids))
        display = self._node.GetDisplayNode() if self._node is not None else None
        for row, segment_id in enumerate(ids):
            segment = segmentation.GetSegment(segment_id)
            shown = display is None or display.GetSegmentVisibility(segment_id)
            self._table.setItem(row, 0, QtWidgets.QTableWidgetItem("yes" if shown else "no"))
            color = QtWidgets.QTableWidgetItem()
            color.setBackground(QtGui.QColor.fromRgbF(*segment.GetColor()))
            self._table.setItem(row, 1, color)
            name = QtWidgets.QTableWidgetItem(segment.GetName())
            name.setData(QtCore.Qt.ItemDataRole.UserRole, segment_id)
            self._table.setItem(row, 2, name)
