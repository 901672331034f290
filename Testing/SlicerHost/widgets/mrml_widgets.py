"""MRML widgets: the base widget, numbers, the 3D button."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from SlicerHost.pythonqt.members import invokable
from SlicerHost.widgets.ctk_numbers import ctkDoubleSpinBox, ctkSliderWidget
from SlicerHost.widgets.ctk_widgets import ctkMenuButton
from SlicerHost.widgets.declaring import stored
from SlicerHost.widgets.mrml_observing import Observers


class qMRMLWidget(QtWidgets.QWidget):
    """A widget that knows the scene and passes it on."""

    mrmlSceneChanged = QtCore.Signal(object)
    cpp_signals = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}
    cpp_slots = {"setMRMLScene": ["setMRMLScene(vtkMRMLScene*)"]}

    def __init__(self, parent: QtWidgets.QWidget | None = None):
        super().__init__(parent)
        self._scene: Any = None

    @invokable
    def mrmlScene(self) -> Any:
        """Give the scene."""
        return self._scene

    @invokable
    def setMRMLScene(self, scene: Any) -> None:
        """Set the scene and tell the widgets connected to it."""
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


class qMRMLSliderWidget(ctkSliderWidget):
    """A slider that knows the scene; units are not modelled."""

    cpp_slots = {"setMRMLScene": ["setMRMLScene(vtkMRMLScene*)"]}
    quantity = stored(str, "quantity", "")

    @invokable
    def setMRMLScene(self, scene: Any) -> None:
        """Take the scene."""


class qMRMLSpinBox(ctkDoubleSpinBox):
    """A spin box that knows the scene; units are not modelled."""

    cpp_slots = {"setMRMLScene": ["setMRMLScene(vtkMRMLScene*)"]}
    quantity = stored(str, "quantity", "")

    @invokable
    def setMRMLScene(self, scene: Any) -> None:
        """Take the scene."""


class qMRMLSegmentationShow3DButton(ctkMenuButton):
    """Makes and shows the closed surface of a segmentation, or takes it away."""

    cpp_slots = {"setSegmentationNode": ["setSegmentationNode(vtkMRMLSegmentationNode*)"]}

    locked = stored(bool, "locked", False)

    def __init__(self, parent: QtWidgets.QWidget | None = None):
        super().__init__(parent)
        self._node: Any = None
        self._observers = Observers(self)
        self.setText("Show 3D")
        self.setCheckable(True)
        self.setEnabled(False)
        self.clicked.connect(self._on_clicked)

    @invokable
    def segmentationNode(self) -> Any:
        """Give the segmentation."""
        return self._node

    @invokable
    def setSegmentationNode(self, node: Any) -> None:
        """Set the segmentation."""
        self._observers.clear()
        self._node = node
        if node is not None:
            self._observers.add(
                node, slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent, "_refresh"
            )
            self._observers.add(
                node.GetSegmentation(),
                slicer.vtkSegmentation.ContainedRepresentationNamesModified,
                "_refresh",
            )
            self._observers.add(
                node.GetSegmentation(), slicer.vtkSegmentation.SegmentAdded, "_refresh"
            )
        self._refresh()

    def _has_surface(self) -> bool:
        name = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
        return self._node.GetSegmentation().ContainsRepresentation(name)

    def _refresh(self) -> None:
        usable = self._node is not None and self._node.GetSegmentation().GetNumberOfSegments() > 0
        self.setEnabled(usable)
        display = self._node.GetDisplayNode() if usable else None
        with QtCore.QSignalBlocker(self):
            self.setChecked(
                bool(usable and self._has_surface() and display and display.GetVisibility3D())
            )

    def _on_clicked(self, on: bool) -> None:
        if self._node is None or self.property("locked"):
            return
        if on:
            self._node.CreateClosedSurfaceRepresentation()
            if self._node.GetDisplayNode() is None:
                self._node.CreateDefaultDisplayNodes()
            self._node.GetDisplayNode().SetVisibility3D(True)
        else:
            self._node.RemoveClosedSurfaceRepresentation()
        self._refresh()
