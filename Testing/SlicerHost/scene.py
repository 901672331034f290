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
    (Path(home) / "ColorFiles").mkdir(exist_ok=True)
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


class SubjectHierarchyItems:
    """Gives every data node its item in the subject hierarchy, as Slicer's plugins do."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene

        def added(caller: Any, event: str, node: Any) -> None:
            self._add(node)

        added.CallDataType = vtk.VTK_OBJECT  # type: ignore[attr-defined]
        self._tag = scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, added)

    def _add(self, node: Any) -> None:
        if self._scene.IsImporting() or self._scene.IsClosing() or node is None:
            return
        data = node.IsA("vtkMRMLDisplayableNode") or node.IsA("vtkMRMLStorableNode")
        if not data or node.GetHideFromEditors() or node.IsA("vtkMRMLColorNode"):
            return
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)
        if hierarchy is not None and not hierarchy.GetItemByDataNode(node):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    def remove(self) -> None:
        """Stop."""
        self._scene.RemoveObserver(self._tag)
