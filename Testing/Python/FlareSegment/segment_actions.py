"""What the tests of FlareSegment do and look at in common."""

from __future__ import annotations

import numpy as np
import pytest

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")

# Qt's number; the module qt is there only while the host runs.
UNCHECKED = 0


def choose(panel, volume) -> None:
    """Choose a volume in the selector, as the user does."""
    panel.ui.inputSelector.setCurrentNode(volume)


def segment_names(segmentation) -> list[str]:
    """Names of the segments in their order."""
    container = segmentation.GetSegmentation()
    return [container.GetNthSegment(n).GetName() for n in range(container.GetNumberOfSegments())]


def mask_of(segmentation, segment_id: str, volume) -> np.ndarray:
    """A segment as Slicer itself gives it on the grid of the volume."""
    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, volume) > 0


def scene_state() -> list[tuple]:
    """What must not change: the nodes of the scene with the time of their last change."""
    nodes = [slicer.mrmlScene.GetNthNode(n) for n in range(slicer.mrmlScene.GetNumberOfNodes())]
    return [(node.GetID(), node.GetName(), node.GetMTime()) for node in nodes]


def add_user_segment(segmentation, name: str = "Mine", shape=(4, 4, 4)) -> str:
    """Add a segment as a user would draw it; give its identifier."""
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*shape)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    image.GetPointData().GetScalars().Fill(1)
    return segmentation.AddSegmentFromBinaryLabelmapRepresentation(image, name, [1.0, 0.0, 0.0])
