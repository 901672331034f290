"""The real displayable managers draw the segmentation where it is."""

import numpy as np
import pytest
from PIL import Image


def test_segments_are_drawn_in_their_color_and_on_their_side(slicer_host, tmp_path):
    import slicer
    import vtk

    from SlicerHost.views import render_views

    array = np.full((20, 32, 32), 40, np.int16)
    volume = slicer.util.addVolumeFromArray(array, name="ct")
    matrix = vtk.vtkMatrix4x4()
    for axis, spacing in enumerate((-5, -5, 8)):
        matrix.SetElement(axis, axis, spacing)
    volume.SetIJKToRASMatrix(matrix)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for name, color, side in (
        ("red", (1, 0, 0), slice(4, 12)),
        ("green", (0, 1, 0), slice(20, 28)),
    ):
        segment = node.GetSegmentation().AddEmptySegment(name, name, color)
        mask = np.zeros(array.shape, np.uint8)
        mask[5:15, 10:22, side] = 1
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment, volume)
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    path = tmp_path / "views.png"
    try:
        render_views(slicer.mrmlScene, volume, node, path, size=(200, 160))
    except RuntimeError as error:
        pytest.skip(f"VTK cannot draw off screen here: {error}")
    picture = np.asarray(Image.open(path)).astype(int)
    assert picture.shape == (320, 400, 3)
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    for pane in (picture[:160, :200], picture[:160, 200:], picture[160:, :200]):
        reds = np.nonzero(pane[..., 0] > pane[..., 1] + 40)[1]
        greens = np.nonzero(pane[..., 1] > pane[..., 0] + 40)[1]
        # Small i is the patient's right (the matrix says so), shown on the left.
        assert reds.size > 100
        assert greens.size > 100
        assert reds.mean() < greens.mean()
