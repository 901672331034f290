"""The logic: a region that limits the result."""

from __future__ import annotations

import numpy as np
import pytest
from segment_actions import mask_of, scene_state, segment_names

from FlareSegmentLib.errors import InputError

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")


@pytest.fixture
def add_box(slicer_host):
    """Add an ROI around voxels of a volume, along its axes; as the user would drag it."""

    def add(volume, first, last, turn: float = 0.0):
        """`first` and `last` are voxel indices (i, j, k); `turn` is in degrees."""
        roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
        first, last = np.array(first, float), np.array(last, float)
        matrix = vtk.vtkMatrix4x4()
        volume.GetIJKToRASMatrix(matrix)
        affine = slicer.util.arrayFromVTKMatrix(matrix)
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        place = np.eye(4)
        place[:3, :3] = affine[:3, :3] / lengths
        place[:3, 3] = (affine @ [*(first + last) / 2, 1])[:3]
        turned = vtk.vtkTransform()
        turned.SetMatrix(slicer.util.vtkMatrixFromArray(place))
        turned.RotateZ(turn)
        roi.SetAndObserveObjectToNodeMatrix(turned.GetMatrix())
        roi.SetSize(*((last - first + 0.9) * lengths))
        return roi

    return add


def within(volume, first, last) -> np.ndarray:
    """Mask (k, j, i) of the voxels from `first` to `last`, indices (i, j, k)."""
    mask = np.zeros(slicer.util.arrayFromVolume(volume).shape, bool)
    mask[tuple(slice(a, b + 1) for a, b in zip(first[::-1], last[::-1], strict=True))] = True
    return mask


def test_box_limits_the_result_and_keeps_the_grid(logic, add_scan, add_box) -> None:
    volume = add_scan()
    first, last = (1, 4, 3), (5, 11, 9)
    segmentation = logic.process(volume, roi=add_box(volume, first, last))
    ct = slicer.util.arrayFromVolume(volume)
    assert segment_names(segmentation) == ["Liver", "Tumor"]
    expected = (ct == 1001) & within(volume, first, last)
    assert 0 < expected.sum() < (ct == 1001).sum()
    np.testing.assert_array_equal(mask_of(segmentation, "liver", volume), expected)
    role = segmentation.GetReferenceImageGeometryReferenceRole()
    assert segmentation.GetNodeReference(role) is volume
    assert logic.reportOf(segmentation)["notes"] == ["Only the box R was looked at."]


@pytest.mark.parametrize("both", [True, False])
def test_box_lies_where_it_is_seen_under_transforms(logic, add_scan, add_box, both) -> None:
    """With the ROI under the volume's transform, or hardened at the same place in the world."""
    volume = add_scan()
    first, last = (1, 4, 3), (5, 11, 9)
    roi = add_box(volume, first, last)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkTransform()
    matrix.Translate(30, -20, 10)
    matrix.RotateZ(25)
    transform.SetMatrixTransformToParent(matrix.GetMatrix())
    volume.SetAndObserveTransformNodeID(transform.GetID())
    roi.SetAndObserveTransformNodeID(transform.GetID())
    if not both:
        roi.HardenTransform()
    segmentation = logic.process(volume, roi=roi)
    expected = (slicer.util.arrayFromVolume(volume) == 1001) & within(volume, first, last)
    np.testing.assert_array_equal(mask_of(segmentation, "liver", volume), expected)
    assert "turned" not in logic.reportOf(segmentation)["notes"][0]


def test_turned_box_is_widened_and_said_so(logic, add_scan, add_box) -> None:
    volume = add_scan()
    first, last = (3, 4, 3), (4, 6, 4)
    segmentation = logic.process(volume, roi=add_box(volume, first, last, turn=45))
    asked = (slicer.util.arrayFromVolume(volume) == 1001) & within(volume, first, last)
    given = mask_of(segmentation, "liver", volume)
    assert given.sum() > asked.sum()
    assert not (asked & ~given).any()
    assert "along the scan's own axes" in logic.reportOf(segmentation)["notes"][0]


def test_each_frame_of_a_sequence_is_limited(logic, browser, add_box) -> None:
    volume = browser.GetProxyNode(browser.GetMasterSequenceNode())
    first, last = (0, 0, 0), (4, 8, 2)
    proxy = logic.process(browser, roi=add_box(volume, first, last))
    sequence, scans = browser.GetSequenceNode(proxy), browser.GetSequenceNode(volume)
    for number in range(3):
        scan = scans.GetNthDataNode(number)
        expected = (slicer.util.arrayFromVolume(scan) == 1001) & within(scan, first, last)
        assert expected.any()
        found = mask_of(sequence.GetNthDataNode(number), "liver", scan)
        np.testing.assert_array_equal(found, expected)


def test_box_beside_the_scan_is_a_sentence_and_touches_nothing(logic, add_scan, add_box) -> None:
    volume = add_scan()
    roi = add_box(volume, (100, 0, 0), (110, 5, 5))
    before = scene_state()
    with pytest.raises(InputError, match=r"holds no voxel of the scan.*Move the box"):
        logic.process(volume, roi=roi)
    assert scene_state() == before


def test_box_without_size_or_inside_out_is_a_sentence(logic, add_scan, add_box) -> None:
    volume = add_scan()
    new = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "new")
    with pytest.raises(InputError, match="new has no size"):
        logic.process(volume, roi=new)
    roi = add_box(volume, (1, 4, 3), (5, 11, 9))
    roi.SetInsideOut(True)
    with pytest.raises(InputError, match="inside out"):
        logic.process(volume, roi=roi)
