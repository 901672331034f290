"""The MRML scene, the application logic and the C++ module logics, all real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
import vtk

# module name -> logic class of slicer-core
LOGICS = {
    "Annotations": "vtkSlicerAnnotationModuleLogic",
    "Cameras": "vtkSlicerCamerasModuleLogic",
    "Colors": "vtkSlicerColorLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "Data": "vtkSlicerDataModuleLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Units": "vtkSlicerUnitsLogic",
    "ViewControllers": "vtkSlicerViewControllersLogic",
    "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
    "Volumes": "vtkSlicerVolumesLogic",
}


def make_scene(home: str, temporary: str) -> tuple[Any, Any, dict[str, Any]]:
    """Give a new scene, its application logic, and a logic per C++ module.

    Parameters
    ----------
    home, temporary
        Folders the logics may read their resources from and write to.
    """
    application_logic = slicer.vtkSlicerApplicationLogic()
    application_logic.SetHomeDirectory(home)
    application_logic.SetShareDirectory(".")
    application_logic.SetTemporaryPath(temporary)
    scene = slicer.vtkMRMLScene()
    application_logic.SetMRMLScene(scene)
    remote = slicer.vtkMRMLRemoteIOLogic()  # a scene cannot read a .mrb without a cache folder
    remote.SetMRMLScene(scene)
    remote.GetCacheManager().SetRemoteCacheDirectory(temporary)
    remote.AddDataIOToScene()
    logics = {"RemoteIO": remote}
    _write_generic_colors(Path(home) / "ColorFiles")
    # slicer-core has no resource files: the terminologies logic would print an error for each of
    # Slicer's own lists, which are not there. A module loads its own list all the same.
    vtk.vtkObject.GlobalWarningDisplayOff()
    try:
        for name, class_name in LOGICS.items():
            logic = getattr(slicer, class_name)()
            logic.SetMRMLApplicationLogic(application_logic)
            logic.SetMRMLScene(scene)
            application_logic.SetModuleLogic(name, logic)
            logics[name] = logic
    finally:
        vtk.vtkObject.GlobalWarningDisplayOn()
    return scene, application_logic, logics


def _write_generic_colors(folder: Path) -> None:
    """Stand in for the color file that every label map volume looks for; the colors are ours."""
    folder.mkdir(exist_ok=True)
    lines = ["0 Background 0 0 0 0"]
    lines += [
        f"{n} Segment_{n} {n * 67 % 256} {n * 131 % 256} {n * 199 % 256} 255" for n in range(1, 256)
    ]
    (folder / "GenericColors.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


class SubjectHierarchyItems:
    """Gives every data node its item in the subject hierarchy, as Slicer's plugins do."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene

        def added(caller: Any, event: str, node: Any) -> None:
            self._add(node)

        def removed(caller: Any, event: str, node: Any) -> None:
            self._remove(node)

        for callback in (added, removed):
            callback.CallDataType = vtk.VTK_OBJECT  # type: ignore[attr-defined]
        events = slicer.vtkMRMLScene
        self._tags = [
            scene.AddObserver(events.NodeAddedEvent, added),
            scene.AddObserver(events.NodeAboutToBeRemovedEvent, removed),
        ]

    def _hierarchy(self) -> Any:
        return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)

    def _add(self, node: Any) -> None:
        if self._scene.IsImporting() or self._scene.IsClosing() or node is None:
            return
        data = node.IsA("vtkMRMLDisplayableNode") or node.IsA("vtkMRMLStorableNode")
        if not data or node.GetHideFromEditors() or node.IsA("vtkMRMLColorNode"):
            return
        hierarchy = self._hierarchy()
        if hierarchy is not None and not hierarchy.GetItemByDataNode(node):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    def _remove(self, node: Any) -> None:
        if self._scene.IsClosing() or node is None or not node.IsA("vtkMRMLStorableNode"):
            return
        hierarchy = self._hierarchy()
        item = hierarchy.GetItemByDataNode(node) if hierarchy is not None else 0
        if item:
            hierarchy.RemoveItem(item, False, False)

    def remove(self) -> None:
        """Stop."""
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
