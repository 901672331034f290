"""The node selector."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from SlicerHost.pythonqt.members import invokable
from SlicerHost.widgets.declaring import stored
from SlicerHost.widgets.mrml_observing import Observers
from SlicerHost.widgets.node_filter import OPTIONS, NodeFilter, action_texts, node_instead


class qMRMLNodeComboBox(QtWidgets.QWidget):
    """Chooses one node of given classes; can make, rename and remove nodes."""

    currentNodeChanged = QtCore.Signal(object)
    currentNodeValid = QtCore.Signal(bool)
    currentNodeIDChanged = QtCore.Signal(str)
    nodeActivated = QtCore.Signal(object)
    nodeAdded = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)
    nodeAboutToBeRemoved = QtCore.Signal(object)
    nodeAboutToBeEdited = QtCore.Signal(object)
    currentNodeRenamed = QtCore.Signal(str)
    cpp_signals = {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "currentNodeChanged(bool)": "currentNodeValid",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated",
        "nodeAdded(vtkMRMLNode*)": "nodeAdded",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
        "nodeAboutToBeRemoved(vtkMRMLNode*)": "nodeAboutToBeRemoved",
        "nodeAboutToBeEdited(vtkMRMLNode*)": "nodeAboutToBeEdited",
    }

    cpp_slots = {
        "setMRMLScene": ["setMRMLScene(vtkMRMLScene*)"],
        "setCurrentNode": ["setCurrentNode(vtkMRMLNode*)", "setCurrentNode(QString)"],
    }

    nodeTypes = stored("QStringList", "nodeTypes", [], then="_on_option")
    showHidden = stored(bool, "showHidden", False, then="_on_option")
    showChildNodeTypes = stored(bool, "showChildNodeTypes", True, then="_on_option")
    hideChildNodeTypes = stored("QStringList", "hideChildNodeTypes", [], then="_on_option")
    baseName = stored(str, "baseName", "")
    noneEnabled = stored(bool, "noneEnabled", False, then="_on_option")
    addEnabled = stored(bool, "addEnabled", True, then="_on_option")
    removeEnabled = stored(bool, "removeEnabled", True, then="_on_option")
    editEnabled = stored(bool, "editEnabled", False, then="_on_option")
    renameEnabled = stored(bool, "renameEnabled", False, then="_on_option")
    selectNodeUponCreation = stored(bool, "selectNodeUponCreation", True)
    noneDisplay = stored(str, "noneDisplay", "None", then="_on_option")
    interactionNodeSingletonTag = stored(str, "interactionNodeSingletonTag", "")

    def __init__(self, parent: QtWidgets.QWidget | None = None):
        super().__init__(parent)
        self._scene: Any = None
        self._current: str | None = None
        self._requested: Any = None
        self._known: list[str] = []
        self._attributes: list[tuple[str, str, str | None]] = []
        self._observers = Observers(self)
        self._combo = QtWidgets.QComboBox(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._combo.activated.connect(self._on_activated)
        self._rebuild()

    # --- scene ---

    @invokable
    def mrmlScene(self) -> Any:
        """Give the scene."""
        return self._scene

    @invokable
    def setMRMLScene(self, scene: Any) -> None:
        """Set the scene whose nodes can be chosen."""
        if scene is self._scene:
            return
        self._observers.clear()
        self._scene = scene
        self.setEnabled(scene is not None)
        if scene is not None:
            for event in (
                slicer.vtkMRMLScene.NodeAddedEvent,
                slicer.vtkMRMLScene.NodeRemovedEvent,
                slicer.vtkMRMLScene.EndBatchProcessEvent,
                slicer.vtkMRMLScene.EndCloseEvent,
            ):
                self._observers.add(scene, event, "_on_scene_changed")
        self._on_scene_changed()
        requested, self._requested = self._requested, None
        if scene is not None and requested is not None:
            self.setCurrentNode(requested)

    def _on_option(self, _: Any) -> None:
        self._on_scene_changed()

    def _on_scene_changed(self) -> None:
        if self._scene is not None and self._scene.IsBatchProcessing():
            return
        nodes = self._nodes()
        ids = [node.GetID() for node in nodes]
        wanted = self._current
        if wanted not in ids:
            quite_empty = not any(self.property(name) for name in ("noneEnabled", *OPTIONS))
            wanted = node_instead(ids, self._known, self._current, quite_empty)
        added = [node for node in nodes if node.GetID() not in self._known]
        self._known = list(ids)
        self._rebuild()
        self._select(wanted)
        for node in added:
            self.nodeAdded.emit(node)

    def _nodes(self) -> list[Any]:
        if self._scene is None:
            return []
        all_nodes = [self._scene.GetNthNode(i) for i in range(self._scene.GetNumberOfNodes())]
        return [node for node in all_nodes if self._accepts(node)]

    def _accepts(self, node: Any) -> bool:
        names = ("nodeTypes", "hideChildNodeTypes", "showChildNodeTypes", "showHidden")
        return NodeFilter(*map(self.property, names), self._attributes).accepts(node)

    # --- items ---

    def _rebuild(self) -> None:
        with QtCore.QSignalBlocker(self._combo):
            self._combo.clear()
            if self.property("noneEnabled"):
                self._combo.addItem(self.property("noneDisplay"), None)
            for node in self._nodes():
                self._combo.addItem(node.GetName() or "", node.GetID())
            self._add_actions()

    def _add_actions(self) -> None:
        labels = [self.nodeTypeLabel(name) for name in self.property("nodeTypes") or ()]
        actions = action_texts(labels, [name for name in OPTIONS if self.property(name)])
        if actions and self._combo.count():
            self._combo.insertSeparator(self._combo.count())
        for text in actions:
            self._combo.addItem(text, "action:" + text)

    def _select(self, node_id: str | None) -> None:
        with QtCore.QSignalBlocker(self._combo):
            self._combo.setCurrentIndex(self._combo.findData(node_id) if node_id else self._none())
        if node_id == self._current:
            return
        self._current = node_id
        node = self.currentNode()
        if node is not None:
            self._watch_name(node)
        self.currentNodeChanged.emit(node)
        self.currentNodeValid.emit(node is not None)
        self.currentNodeIDChanged.emit(node_id or "")

    def _none(self) -> int:
        return 0 if self.property("noneEnabled") else -1

    def _watch_name(self, node: Any) -> None:
        self._observers.add(node, vtk.vtkCommand.ModifiedEvent, "_on_node_modified")

    def _on_node_modified(self) -> None:
        node = self.currentNode()
        index = self._combo.findData(self._current) if self._current else -1
        if node is not None and index >= 0 and self._combo.itemText(index) != node.GetName():
            self._combo.setItemText(index, node.GetName())
            self.currentNodeRenamed.emit(node.GetName())

    def _on_activated(self, index: int) -> None:
        data = self._combo.itemData(index)
        if not (isinstance(data, str) and data.startswith("action:")):
            self._select(data)
            self.nodeActivated.emit(self.currentNode())
            return
        action = data[len("action:") :]
        self._select(self._current)
        if action.startswith("Create new "):
            types = self.property("nodeTypes")
            named = [n for n in types if action == f"Create new {self.nodeTypeLabel(n)}"]
            self.addNode(named[0])
        elif action.startswith("Delete"):
            self.removeCurrentNode()
        elif action.startswith("Edit"):
            self.editCurrentNode()

    # --- what Python can call ---

    @invokable
    def addAttribute(self, node_type: str, name: str, value: Any = None) -> None:
        """Only list nodes of a class that have an attribute (of a value)."""
        self._attributes.append((node_type, name, None if value is None else str(value)))
        self._on_scene_changed()

    @invokable
    def removeAttribute(self, node_type: str, name: str) -> None:
        """Stop asking for an attribute."""
        self._attributes = [a for a in self._attributes if a[:2] != (node_type, name)]
        self._on_scene_changed()

    @invokable
    def nodeTypeLabel(self, node_type: str) -> str:
        """Give the name of a node class for people."""
        scene = self._scene or slicer.mrmlScene
        label = self.__dict__.setdefault("_labels", {}).get(node_type)
        return label or scene.GetTypeDisplayNameByClassName(node_type)

    @invokable
    def setNodeTypeLabel(self, label: str, node_type: str) -> None:
        """Name a node class for people."""
        self.__dict__.setdefault("_labels", {})[node_type] = label
        self._on_scene_changed()

    @invokable
    def nodeCount(self) -> int:
        """Count the nodes that can be chosen."""
        return len(self._nodes())

    @invokable
    def nodeFromIndex(self, index: int) -> Any:
        """Give one of the nodes that can be chosen."""
        nodes = self._nodes()
        return nodes[index] if 0 <= index < len(nodes) else None

    @invokable
    def currentNode(self) -> Any:
        """Give the chosen node, or None."""
        if self._scene is None or self._current is None:
            return None
        return self._scene.GetNodeByID(self._current)

    @invokable
    def setCurrentNode(self, node: Any) -> None:
        """Choose a node, given as node or id; None chooses none.

        Without a scene the wish is kept until there is one.
        """
        if self._scene is None:
            self._requested = node
        node_id = node.GetID() if hasattr(node, "GetID") else (node or None)
        if node_id is not None and self._combo.findData(node_id) < 0:
            node_id = None
        self._select(node_id)

    @invokable
    def setCurrentNodeID(self, node_id: str) -> None:
        """Choose a node by its id."""
        self.setCurrentNode(node_id)

    @invokable
    def setCurrentNodeIndex(self, index: int) -> None:
        """Choose a node by its place in the list."""
        self.setCurrentNode(self.nodeFromIndex(index))

    @invokable
    def currentNodeId(self) -> str:
        """Give the id of the chosen node."""
        return self._current or ""

    @invokable
    def addNode(self, node_type: str | None = None) -> Any:
        """Make a node of the first (or the given) class and choose it."""
        class_name = node_type or self.property("nodeTypes")[0]
        base = self.property("baseName") or self.nodeTypeLabel(class_name)
        node = self._scene.CreateNodeByClass(class_name)
        node.UnRegister(None)
        node.SetName(self._scene.GenerateUniqueName(base))
        for attribute_class, name, value in self._attributes:
            if node.IsA(attribute_class):
                node.SetAttribute(name, value or "")
        node = self._scene.AddNode(node)
        if self.property("selectNodeUponCreation"):
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    @invokable
    def removeCurrentNode(self) -> None:
        """Remove the chosen node from the scene."""
        node = self.currentNode()
        if node is not None:
            self.nodeAboutToBeRemoved.emit(node)
            self._scene.RemoveNode(node)

    @invokable
    def editCurrentNode(self) -> None:
        """Ask for the chosen node's module."""
        if self.currentNode() is not None:
            self.nodeAboutToBeEdited.emit(self.currentNode())

    currentNodeID = QtCore.Property(
        str, currentNodeId, setCurrentNodeID, notify=currentNodeIDChanged
    )
