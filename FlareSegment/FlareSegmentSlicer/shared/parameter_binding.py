"""A panel that follows the scene's parameter node."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from slicer.util import VTKObservationMixin


class ParameterBinding(VTKObservationMixin):
    """Mixin of a module's widget: widgets and parameter node follow each other.

    The widget has `ui`, `logic` and `parent`, and may override `onParameterNodeModified`,
    `onSceneStartClose` and `onSceneEndClose`.
    """

    ui: Any
    logic: Any
    parent: Any

    def __init__(self) -> None:
        VTKObservationMixin.__init__(self)
        self._parameterNode: Any = None
        self._parameterNodeGuiTag: int | None = None

    def observeScene(self) -> None:
        """Be told when the scene is closed; for `setup`."""
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)

    def initializeParameterNode(self) -> None:
        """Follow the scene's parameter node."""
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode: Any) -> None:
        """Follow `parameterNode`, or none."""
        modified = vtk.vtkCommand.ModifiedEvent
        if self._parameterNode:
            if self._parameterNodeGuiTag is not None:
                self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, modified, self.onParameterNodeModified)
        self._parameterNode = parameterNode
        self._parameterNodeGuiTag = None
        if self._parameterNode:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, modified, self.onParameterNodeModified)
            self.onParameterNodeModified()

    def exit(self) -> None:
        """Stop following while another module is shown."""
        self.setParameterNode(None)

    def onParameterNodeModified(self, caller: Any = None, event: Any = None) -> None:
        """Show the choices."""

    def onSceneStartClose(self, caller: Any, event: Any) -> None:
        """Let go of nodes that are about to vanish."""
        self.setParameterNode(None)

    def onSceneEndClose(self, caller: Any, event: Any) -> None:
        """Begin anew in the empty scene."""
        if self.parent.isEntered:
            self.initializeParameterNode()
