"""Slice views and a 3D view of a scene, drawn off screen by the real displayable managers.

The image comes from ``vtkMRMLSliceLogic``, the segmentation from the segmentations' displayable
managers, as in Slicer; only the window around them is ours. Drawing needs EGL or OSMesa, which VTK
finds by itself; no display is needed.
"""

from __future__ import annotations

import ctypes.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from PIL import Image
from vtk.util.numpy_support import vtk_to_numpy

ORIENTATIONS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}
_MANAGERS_2D = ("vtkMRMLSegmentationsDisplayableManager2D",)
_MANAGERS_3D = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
)


def render_views(
    scene: Any,
    volume: Any,
    segmentation: Any,
    path: Path,
    size: tuple[int, int] = (520, 440),
    window_level: tuple[float, float] = (400.0, 40.0),
) -> None:
    """Draw axial, coronal and sagittal slices and a 3D view into one PNG, two by two.

    Parameters
    ----------
    scene
        The scene of the nodes; view nodes are added to it and removed again.
    volume, segmentation
        What is shown; the slices go through the middle of the segments. The closed surface is
        made when it is not there.
    path
        The PNG to write.
    size
        Width and height of one view in pixels.
    window_level
        Window and level of the volume in HU, for the picture only.

    Raises
    ------
    RuntimeError
        When nothing can be drawn on this machine.
    ValueError
        When the segmentation has nothing to show.
    """
    with _temporary_nodes(scene), _window_level(volume, window_level):
        if not segmentation.GetDisplayNode():
            segmentation.CreateDefaultDisplayNodes()
        segmentation.CreateClosedSurfaceRepresentation()
        bounds = _bounds(segmentation)
        center = _center(bounds)
        images = [
            _draw_slice(scene, volume, name, orientation, center, size)
            for name, orientation in ORIENTATIONS.items()
        ]
        images.append(_draw_3d(scene, bounds, size))
    sheet = np.concatenate(
        [np.concatenate([images[0], images[3]], 1), np.concatenate([images[1], images[2]], 1)], 0
    )
    Image.fromarray(sheet).save(path)


def choose_window() -> None:
    """Let VTK draw without a display.

    With EGL at hand VTK is spared the try with X, and its warning; else it looks for OSMesa.

    Raises
    ------
    RuntimeError
        When there is a Linux without display, EGL and OSMesa; VTK would crash.
    """
    if not sys.platform.startswith("linux") or os.environ.get("DISPLAY"):
        return
    if ctypes.util.find_library("EGL"):
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    elif not ctypes.util.find_library("OSMesa"):
        raise RuntimeError(
            "There is no display and neither libEGL nor libOSMesa to draw without one; "
            "install one of them (Debian: libegl1 libgl1-mesa-dri)."
        )


@contextmanager
def _temporary_nodes(scene: Any) -> Iterator[None]:
    before = {scene.GetNthNode(i).GetID() for i in range(scene.GetNumberOfNodes())}
    try:
        yield
    finally:
        added = [scene.GetNthNode(i) for i in range(scene.GetNumberOfNodes())]
        for node in added:
            if node is not None and node.GetID() not in before:
                scene.RemoveNode(node)


@contextmanager
def _window_level(volume: Any, window_level: tuple[float, float]) -> Iterator[None]:
    if volume.GetDisplayNode() is None:
        volume.CreateDefaultDisplayNodes()
    display = volume.GetDisplayNode()
    before = (display.GetAutoWindowLevel(), display.GetWindow(), display.GetLevel())
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(*window_level)
    try:
        yield
    finally:
        display.SetWindowLevel(*before[1:])
        display.SetAutoWindowLevel(before[0])


def _bounds(segmentation: Any) -> tuple[float, ...]:
    """Give the bounds of the visible surfaces; a label map's own bounds include empty space."""
    box = vtk.vtkBoundingBox()
    segments = segmentation.GetSegmentation()
    for segment_id in segments.GetSegmentIDs():
        surface = segmentation.GetClosedSurfaceInternalRepresentation(segment_id)
        if surface is not None and surface.GetNumberOfPoints():
            box.AddBounds(surface.GetBounds())
    if not box.IsValid():
        raise ValueError(f"The segmentation {segmentation.GetName()} has no segment to show.")
    bounds = [0.0] * 6
    box.GetBounds(bounds)
    return tuple(bounds)


def _center(bounds: tuple[float, ...]) -> tuple[float, float, float]:
    return tuple((bounds[2 * axis] + bounds[2 * axis + 1]) / 2 for axis in range(3))  # type: ignore[return-value]


def _window(size: tuple[int, int]) -> tuple[Any, Any, Any]:
    choose_window()
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(True)
    window.SetMultiSamples(0)
    window.SetSize(*size)
    renderer = vtk.vtkRenderer()
    window.AddRenderer(renderer)
    interactor = vtk.vtkRenderWindowInteractor()
    interactor.SetRenderWindow(window)
    return window, renderer, interactor


def _managers(renderer: Any, view_node: Any, names: tuple[str, ...]) -> tuple[Any, list[Any]]:
    group = slicer.vtkMRMLDisplayableManagerGroup()
    group.SetRenderer(renderer)
    managers = []
    for name in names:
        manager = getattr(slicer, name)()
        manager.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        group.AddDisplayableManager(manager)
        managers.append(manager)
    group.SetMRMLDisplayableNode(view_node)
    return group, managers


def _pixels(window: Any) -> np.ndarray:
    window.Render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    grab.Update()
    image = grab.GetOutput()
    width, height, _ = image.GetDimensions()
    flat = vtk_to_numpy(image.GetPointData().GetScalars())
    return flat.reshape(height, width, -1)[::-1, :, :3].copy()


def _draw_slice(
    scene: Any,
    volume: Any,
    name: str,
    orientation: str,
    center: tuple[float, float, float],
    size: tuple[int, int],
) -> np.ndarray:
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    application_logic = slicer.app.applicationLogic()
    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLApplicationLogic(application_logic)
    logic.SetMRMLScene(scene)
    node = logic.AddSliceNode(name)
    logics = vtk.vtkCollection()
    logics.AddItem(logic)
    application_logic.SetSliceLogics(logics)
    try:
        node.SetOrientation(orientation)
        node.SetDimensions(*size, 1)
        logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
        logic.FitSliceToAll()
        node.JumpSliceByOffsetting(*center)
        window, renderer, interactor = _window(size)
        mapper = vtk.vtkImageMapper()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        mapper.SetInputConnection(logic.GetImageDataConnection())
        actor = vtk.vtkActor2D()
        actor.SetMapper(mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        renderer.AddViewProp(actor)
        group, managers = _managers(renderer, node, _MANAGERS_2D)
        picture = _pixels(window)
        group.SetMRMLDisplayableNode(None)
        del managers, interactor
        return picture
    finally:
        application_logic.SetSliceLogics(None)
        logic.SetMRMLScene(None)


def _draw_3d(scene: Any, bounds: tuple[float, ...], size: tuple[int, int]) -> np.ndarray:
    view = slicer.vtkMRMLViewNode()
    view.SetLayoutName("1")
    view.SetBackgroundColor(1, 1, 1)
    view.SetBackgroundColor2(1, 1, 1)
    view.SetBoxVisible(False)
    view.SetAxisLabelsVisible(False)
    view = scene.AddNode(view)
    window, renderer, interactor = _window(size)
    group, managers = _managers(renderer, view, _MANAGERS_3D)
    camera = renderer.GetActiveCamera()
    middle = _center(bounds)
    # Seen from the front: the patient's right is on the left of the picture, as in the slices.
    camera.SetFocalPoint(*middle)
    camera.SetPosition(middle[0], middle[1] + 500, middle[2])
    camera.SetViewUp(0, 0, 1)
    renderer.ResetCamera(bounds)
    camera.Zoom(1.3)
    renderer.ResetCameraClippingRange()
    picture = _pixels(window)
    group.SetMRMLDisplayableNode(None)
    del managers, interactor
    return picture
