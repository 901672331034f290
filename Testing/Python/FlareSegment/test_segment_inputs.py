"""The logic: volumes it refuses, and volumes under transforms."""

from __future__ import annotations

import numpy as np
import pytest
from segment_actions import mask_of

from FlareSegmentLib.errors import InputError

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")


# --- inputs that are refused ----------------------------------------------------------------------


def test_no_volume_is_a_sentence(logic) -> None:
    with pytest.raises(InputError, match="Choose a CT volume"):
        logic.process(None)


def test_empty_volume_is_a_sentence(slicer_host, logic) -> None:
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "hollow")
    with pytest.raises(InputError, match="hollow is empty"):
        logic.process(volume)


def test_label_map_is_refused(slicer_host, logic) -> None:
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    slicer.util.updateVolumeFromArray(volume, np.zeros((9, 9, 9), np.int16))
    with pytest.raises(InputError, match="label map"):
        logic.process(volume)


def test_color_image_is_refused(slicer_host, logic) -> None:
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "photo")
    slicer.util.updateVolumeFromArray(volume, np.zeros((9, 9, 9, 3), np.uint8))
    with pytest.raises(InputError, match="3 values per voxel"):
        logic.process(volume)


# --- transforms -----------------------------------------------------------------------------------


def test_result_follows_the_volume_under_a_linear_transform(logic, add_scan) -> None:
    volume = add_scan()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkTransform()
    matrix.Translate(30, -20, 10)
    matrix.RotateZ(25)
    transform.SetMatrixTransformToParent(matrix.GetMatrix())
    volume.SetAndObserveTransformNodeID(transform.GetID())
    segmentation = logic.process(volume)
    assert segmentation.GetParentTransformNode() is transform
    expected = slicer.util.arrayFromVolume(volume) == 1001
    np.testing.assert_array_equal(mask_of(segmentation, "liver", volume), expected)


def test_non_linear_transform_is_refused_with_a_sentence(logic, add_scan) -> None:
    volume = add_scan()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "warp")
    spline = vtk.vtkBSplineTransform() if hasattr(vtk, "vtkBSplineTransform") else None
    grid = slicer.vtkOrientedGridTransform() if spline is None else None
    thin = vtk.vtkThinPlateSplineTransform()
    transform.SetAndObserveTransformToParent(thin if grid is None else grid)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(InputError, match=r"non-linear transform warp.*Harden"):
        logic.process(volume)


def test_segmentation_under_another_transform_is_refused(logic, add_scan) -> None:
    volume = add_scan()
    segmentation = logic.process(volume)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    volume.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(InputError, match="another transform"):
        logic.process(volume, segmentation)
