"""Loading and saving of files through the real MRML logics and storage nodes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtCore

from SlicerHost.pythonqt.members import invokable

_EXTENSIONS = {
    ".seg.nrrd": "SegmentationFile",
    ".seg.nhdr": "SegmentationFile",
    ".mrml": "SceneFile",
    ".mrb": "SceneFile",
    ".nrrd": "VolumeFile",
    ".nhdr": "VolumeFile",
    ".nii.gz": "VolumeFile",
    ".nii": "VolumeFile",
    ".mha": "VolumeFile",
    ".mhd": "VolumeFile",
    ".ctbl": "ColorTableFile",
    ".tsv": "TableFile",
    ".csv": "TableFile",
}


class qSlicerCoreIOManager(QtCore.QObject):
    """What ``slicer.util.load*`` and ``save*`` call."""

    newFileLoaded = QtCore.Signal(object)

    @invokable
    def fileType(self, name: str) -> str:
        """Give the file type of a path by its ending."""
        for ending, kind in _EXTENSIONS.items():
            if str(name).lower().endswith(ending):
                return kind
        return "NoFile"

    @invokable
    def loadNodes(
        self, file_type: str, properties: dict[str, Any], loaded: Any = None, messages: Any = None
    ) -> bool:
        """Load a file into the scene; False when that failed."""
        path = str(properties["fileName"])
        if not os.path.exists(path):
            if messages is not None:
                messages.AddMessage(1, f"File does not exist: {path}")
            return False
        if file_type == "SceneFile":
            return self._load_scene(path, bool(properties.get("clear", False)), messages)
        loader = {
            "VolumeFile": _load_volume,
            "SegmentationFile": _load_segmentation,
            "TableFile": _load_table,
            "ColorTableFile": _load_color_table,
            "SequenceFile": _load_sequence,
        }.get(file_type)
        if loader is None:
            raise NotImplementedError(f"The host does not load files of type {file_type}: {path}")
        node = loader(path, properties)
        if node is None:
            return False
        if loaded is not None:
            loaded.AddItem(node)
        return True

    def _load_scene(self, path: str, clear: bool, messages: Any) -> bool:
        scene = slicer.mrmlScene
        if path.lower().endswith(".mrb"):
            return bool(scene.ReadFromMRB(path, clear, messages))
        scene.SetURL(path)
        return bool(scene.Connect(messages) if clear else scene.Import(messages))

    @invokable
    def loadScene(self, path: str, clear: bool = True, messages: Any = None) -> bool:
        """Load a scene, in place of the present one or added to it."""
        return self._load_scene(str(path), clear, messages)

    @invokable
    def fileWriterFileType(self, node: Any, extension: str = "") -> str:
        """Give the file type a node is saved as."""
        return "NodeFile"

    @invokable
    def saveNodes(
        self, file_type: str, properties: dict[str, Any], messages: Any = None, scene: Any = None
    ) -> bool:
        """Save a node or the scene; False when that failed."""
        path = str(properties["fileName"])
        if file_type == "SceneFile":
            return self._save_scene(path, messages)
        node = slicer.mrmlScene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode(path)
        storage = node.GetStorageNode()
        storage.SetFileName(path)
        if "useCompression" in properties:
            storage.SetUseCompression(int(properties["useCompression"]))
        return bool(storage.WriteData(node))

    def _save_scene(self, path: str, messages: Any) -> bool:
        scene = slicer.mrmlScene
        if path.lower().endswith(".mrb"):
            return bool(scene.WriteToMRB(path, None, messages))
        if path.lower().endswith(".mrml"):
            scene.SetRootDirectory(str(Path(path).resolve().parent))
            scene.SetURL(path)
            return bool(scene.Commit(path, messages))
        return bool(scene.SaveSceneToSlicerDataBundleDirectory(path, None, messages))

    @invokable
    def addDefaultStorageNodes(self) -> None:
        """Give every storable node a storage node."""
        scene = slicer.mrmlScene
        for index in range(scene.GetNumberOfNodesByClass("vtkMRMLStorableNode")):
            node = scene.GetNthNodeByClass(index, "vtkMRMLStorableNode")
            if node.GetSaveWithScene() and node.GetStorageNode() is None:
                node.AddDefaultStorageNode()


def _name(path: str, properties: dict[str, Any]) -> str:
    name = Path(path).name
    for ending in _EXTENSIONS:
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
            break
    return str(properties.get("name") or name)


def _load_volume(path: str, properties: dict[str, Any]) -> Any:
    options = 1 if properties.get("labelmap") else 0
    if properties.get("singleFile"):
        options += 8
    logic = slicer.modules.volumes.logic()
    return logic.AddArchetypeVolume(path, _name(path, properties), options)


def _load_segmentation(path: str, properties: dict[str, Any]) -> Any:
    color = slicer.mrmlScene.GetNodeByID(properties.get("colorNodeID", ""))
    return slicer.modules.segmentations.logic().LoadSegmentationFromFile(
        path, True, properties.get("name") or "", color
    )


def _load_table(path: str, properties: dict[str, Any]) -> Any:
    return slicer.modules.tables.logic().AddTable(path, _name(path, properties))


def _load_with_storage(node_class: str, path: str, properties: dict[str, Any]) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass(node_class, _name(path, properties))
    node.AddDefaultStorageNode(path)
    if node.GetStorageNode().ReadData(node):
        return node
    slicer.mrmlScene.RemoveNode(node)
    return None


def _load_color_table(path: str, properties: dict[str, Any]) -> Any:
    return _load_with_storage("vtkMRMLColorTableNode", path, properties)


def _load_sequence(path: str, properties: dict[str, Any]) -> Any:
    return slicer.modules.sequences.logic().AddSequence(path)
