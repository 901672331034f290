"""Opens a saved scene in trame-slicer, an independent application on Slicer's core.

Runs in an environment of its own, because trame-slicer asks for an older core than the host:

    python -m venv .venv-trame && .venv-trame/bin/pip install "trame-slicer[standalone]==2.0.0"
    .venv-trame/bin/python Testing/SlicerHost/trame_reader.py scene.mrb picture.png

Prints what it found as JSON, and draws an axial slice and a 3D view with trame-slicer's own views.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def read(application: Any, path: Path) -> list[dict[str, Any]]:
    """Load a scene and tell what its segmentations hold."""
    import slicer
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    if not application.io_manager.load_scene(path):
        raise SystemExit(f"trame-slicer could not load {path}.")
    found = []
    scene = application.scene
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLSegmentationNode")
        segmentation = node.GetSegmentation()
        for segment_id in segmentation.GetSegmentIDs():
            segment = segmentation.GetSegment(segment_id)
            text = vtk.reference("")
            segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), text)
            image = slicer.vtkOrientedImageData()
            node.GetBinaryLabelmapRepresentation(segment_id, image)
            found.append(
                {
                    "id": segment_id,
                    "name": segment.GetName(),
                    "color": list(segment.GetColor()),
                    "terminology": str(text),
                    "spacing": list(image.GetSpacing()),
                    "voxels": int((vtk_to_numpy(image.GetPointData().GetScalars()) > 0).sum()),
                }
            )
    return found


def draw(application: Any, path: Path) -> None:
    """Draw an axial slice and a 3D view side by side."""
    import numpy as np
    import vtk
    from PIL import Image
    from trame_slicer.views import DirectViewFactory, ViewLayoutDefinition
    from vtk.util.numpy_support import vtk_to_numpy

    manager = application.view_manager
    manager.register_factory(DirectViewFactory(do_render_offscreen=True))
    scene = application.scene
    volume = scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    segmentation = scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    segmentation.CreateClosedSurfaceRepresentation()
    slice_view = manager.create_view(ViewLayoutDefinition.axial_view())
    threed_view = manager.create_view(ViewLayoutDefinition.threed_view())
    slice_view.set_background_volume_id(volume.GetID())
    pictures = []
    for view in (slice_view, threed_view):
        view.render_window().SetSize(480, 420)
        view.update_size(480, 420)
        view.reset_view()
        view.render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(view.render_window())
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        width, height, _ = image.GetDimensions()
        flat = vtk_to_numpy(image.GetPointData().GetScalars())
        pictures.append(flat.reshape(height, width, -1)[::-1, :, :3].copy())
    Image.fromarray(np.concatenate(pictures, 1)).save(path)


def main(arguments: list[str]) -> None:
    """Read the scene named first, draw into the picture named second."""
    if not os.environ.get("DISPLAY"):
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    from trame_slicer.core import SlicerApp

    application = SlicerApp()
    found = read(application, Path(arguments[0]))
    if len(arguments) > 1:
        draw(application, Path(arguments[1]))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
