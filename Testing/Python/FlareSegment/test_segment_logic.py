"""The logic: console, script, headless. What a run adds to the scene and what it leaves alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from FlareSegmentLib import labels
from FlareSegmentLib.errors import Cancelled, InputError, NotCTError, WorkerError
from FlareSegmentLib.slicer_segmentation import terminology_entry

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")


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


# --- what a run gives ----------------------------------------------------------------------------


def test_result_has_one_segment_per_found_target(logic, add_scan) -> None:
    segmentation = logic.process(add_scan())
    assert segmentation.IsA("vtkMRMLSegmentationNode")
    assert segment_names(segmentation) == ["Liver", "Spleen", "Tumor"]


def test_each_segment_lies_where_its_voxels_are(logic, add_scan) -> None:
    volume = add_scan()
    ct = slicer.util.arrayFromVolume(volume)
    segmentation = logic.process(volume)
    for key in ("liver", "spleen", "tumor"):
        expected = ct == 1000 + labels.target_by_key(key).id
        np.testing.assert_array_equal(mask_of(segmentation, key, volume), expected)


def test_segments_lie_in_the_same_place_of_the_patient(logic, add_scan) -> None:
    """The center of the spleen in RAS mm is that of its voxels under the volume's own matrix."""
    volume = add_scan()
    segmentation = logic.process(volume)
    k, j, i = np.argwhere(slicer.util.arrayFromVolume(volume) == 1003).mean(axis=0)
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    expected = matrix.MultiplyPoint((i, j, k, 1))[:3]
    np.testing.assert_allclose(segmentation.GetSegmentCenterRAS("spleen"), expected, atol=1.3)


def test_segments_carry_color_and_terminology(logic, add_scan) -> None:
    segmentation = logic.process(add_scan())
    for key in ("liver", "spleen", "tumor"):
        target = labels.target_by_key(key)
        segment = segmentation.GetSegmentation().GetSegment(key)
        np.testing.assert_allclose(segment.GetColor(), np.array(target.color) / 255)
        assert segment.GetTerminology() == terminology_entry(target)


def test_terminology_is_understood_by_slicer(logic, add_scan) -> None:
    segmentation = logic.process(add_scan())
    entry = slicer.vtkSlicerTerminologyEntry()
    text = segmentation.GetSegmentation().GetSegment("spleen").GetTerminology()
    slicer.modules.terminologies.logic().DeserializeTerminologyEntry(text, entry)
    assert entry.GetTypeObject().GetCodeValue() == "78961009"
    assert entry.GetCategoryObject().GetCodeMeaning() == "Anatomical Structure"


def test_volume_is_not_changed(logic, add_scan) -> None:
    volume = add_scan()
    before = slicer.util.arrayFromVolume(volume).copy()
    logic.process(volume)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(volume), before)


def test_reference_geometry_is_the_volume(logic, add_scan) -> None:
    volume = add_scan()
    segmentation = logic.process(volume)
    role = segmentation.GetReferenceImageGeometryReferenceRole()
    assert segmentation.GetNodeReference(role) is volume


def test_segmentation_is_in_the_study_of_the_volume(logic, add_scan) -> None:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Patient")
    study = hierarchy.CreateStudyItem(patient, "Study")
    volume = add_scan()
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(volume), study)
    segmentation = logic.process(volume)
    for node in (segmentation, logic.tableOf(segmentation)):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study


def test_only_wanted_targets_are_given(logic, add_scan) -> None:
    segmentation = logic.process(add_scan(), targets=["spleen"])
    assert segment_names(segmentation) == ["Spleen"]


def test_unknown_target_is_named_before_anything_runs(logic, add_scan) -> None:
    with pytest.raises(InputError, match="lung"):
        logic.process(add_scan(), targets=["lung"])


def test_second_run_is_warm_and_gives_a_second_segmentation(logic, python, add_scan) -> None:
    volume = add_scan()
    first = logic.process(volume)
    pid = logic.client().facts["pid"]
    second = python.FlareSegmentLogic().process(volume)  # another instance, the same worker
    assert first is not second
    assert first.GetName() != second.GetName()
    assert logic.client().facts["pid"] == pid


def test_nothing_found_is_an_empty_segmentation_and_said(logic, add_scan) -> None:
    volume = add_scan(array=np.full((9, 9, 9), -1000, np.int16))
    segmentation = logic.process(volume)
    assert segment_names(segmentation) == []
    assert all(row["voxels"] == 0 for row in logic.rowsOfTable(segmentation))


def test_closed_surface_can_be_made(logic, add_scan) -> None:
    segmentation = logic.process(add_scan())
    assert segmentation.CreateClosedSurfaceRepresentation()
    surface = vtk.vtkPolyData()
    segmentation.GetClosedSurfaceRepresentation("liver", surface)
    assert surface.GetNumberOfPoints() > 0


def test_progress_callback_hears_stages(logic, add_scan) -> None:
    stages: list[str] = []
    logic.process(add_scan(), progressCallback=lambda stage, fraction: stages.append(stage))
    assert stages[0] == "read"
    assert stages[-1] == "write"


def test_report_of_the_run_is_kept_with_the_segmentation(logic, add_scan) -> None:
    segmentation = logic.process(add_scan())
    assert logic.reportOf(segmentation)["pid"] == logic.client().facts["pid"]


# --- existing segmentations ----------------------------------------------------------------------


def test_other_segments_are_kept(logic, add_scan) -> None:
    volume = add_scan()
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
    segment_id = add_user_segment(segmentation)
    before = slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentation, segment_id).copy()
    assert logic.process(volume, segmentation) is segmentation
    assert segment_names(segmentation) == ["Mine", "Liver", "Spleen", "Tumor"]
    after = slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentation, segment_id)
    np.testing.assert_array_equal(after, before)


def test_users_own_liver_is_never_replaced(logic, add_scan) -> None:
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
    segment_id = add_user_segment(segmentation, "Liver")
    logic.process(add_scan(), segmentation)
    logic.process(add_scan(), segmentation)
    assert segment_names(segmentation).count("Liver") == 2
    assert segmentation.GetSegmentation().GetSegment(segment_id) is not None


def test_second_run_replaces_only_its_targets_and_can_be_undone(logic, add_scan) -> None:
    volume = add_scan()
    segmentation = logic.process(volume)
    array = slicer.util.arrayFromVolume(volume)
    old_spleen = mask_of(segmentation, "spleen", volume)
    array[array == 1003] = -900
    array[0:2, 0:2, 0:2] = 1003
    volume.Modified()
    assert logic.segmentsToReplace(segmentation, ["spleen"]) == ["Spleen"]
    logic.process(volume, segmentation, targets=["spleen"])
    assert sorted(segment_names(segmentation)) == ["Liver", "Spleen", "Tumor"]
    np.testing.assert_array_equal(mask_of(segmentation, "spleen", volume), array == 1003)
    assert logic.canUndo(segmentation)
    logic.undo(segmentation)
    np.testing.assert_array_equal(mask_of(segmentation, "spleen", volume), old_spleen)


def test_nothing_to_undo_is_a_sentence(logic, add_scan) -> None:
    segmentation = logic.process(add_scan())
    assert not logic.canUndo(segmentation)
    with pytest.raises(InputError, match="nothing to undo"):
        logic.undo(segmentation)


# --- nothing is touched --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "error"), [("not a CT", NotCTError), ("exit", WorkerError), ("bug", WorkerError)]
)
def test_failed_run_touches_nothing(logic, add_scan, name, error) -> None:
    volume = add_scan(name)
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
    add_user_segment(segmentation)
    before = scene_state()
    with pytest.raises(error):
        logic.process(volume, segmentation)
    assert scene_state() == before


@pytest.fixture
def slow_run(slicer_host, logic, add_scan) -> tuple:
    """A run under way: its volume, the errors it will tell, the scene as it was before."""
    volume = add_scan("slow")
    before = scene_state()
    progress: list[tuple] = []
    errors: list[Exception] = []
    logic.start(volume, onProgress=lambda *step: progress.append(step), onError=errors.append)
    slicer_host.process_events(until=lambda: progress, timeout=60)
    return volume, errors, before


def test_cancelled_run_touches_nothing(slicer_host, logic, slow_run) -> None:
    _volume, errors, before = slow_run
    logic.cancel()
    slicer_host.process_events(until=lambda: errors, timeout=10)
    assert isinstance(errors[0], Cancelled)
    assert scene_state() == before
    assert not logic.busy


def test_killed_worker_touches_nothing_and_next_run_works(slicer_host, logic, slow_run) -> None:
    volume, errors, before = slow_run
    os.kill(logic.client().facts["pid"], signal.SIGKILL)
    slicer_host.process_events(until=lambda: errors, timeout=20)
    assert "memory" in str(errors[0])
    assert scene_state() == before
    volume.SetName("scan")
    assert segment_names(logic.process(volume)) == ["Liver", "Spleen", "Tumor"]


def test_volume_removed_during_the_run_is_a_sentence(slicer_host, logic, add_scan) -> None:
    volume = add_scan()
    errors: list[Exception] = []
    logic.start(volume, onError=errors.append)
    slicer.mrmlScene.RemoveNode(volume)
    slicer_host.process_events(until=lambda: errors, timeout=60)
    assert "removed or changed" in str(errors[0])


def test_second_start_is_refused_while_one_runs(slicer_host, logic, add_scan) -> None:
    errors: list[Exception] = []
    logic.start(add_scan("slow"), onError=errors.append)
    with pytest.raises(WorkerError, match="is running"):
        logic.start(add_scan())
    with pytest.raises(WorkerError, match="is running"):
        logic.process(add_scan())
    logic.cancel()
    slicer_host.process_events(until=lambda: errors, timeout=20)


def test_start_tells_when_finished(slicer_host, logic, add_scan) -> None:
    finished: list[tuple] = []
    logic.start(add_scan(), onFinished=lambda *result: finished.append(result))
    slicer_host.process_events(until=lambda: finished, timeout=60)
    segmentation, rows = finished[0]
    assert segment_names(segmentation) == ["Liver", "Spleen", "Tumor"]
    assert {row["key"] for row in rows if row["voxels"]} == {"liver", "spleen", "tumor"}


# --- inputs that are refused ---------------------------------------------------------------------


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


# --- transforms ----------------------------------------------------------------------------------


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


# --- sequences -----------------------------------------------------------------------------------


@pytest.fixture
def browser(slicer_host, add_scan):
    """A sequence of three frames whose liver wanders, and its browser."""
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "4D")
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    for number in range(3):
        array = np.full((9, 9, 9), -900, np.int16)
        array[2:5, 2:5, 1 + number : 4 + number] = 1001
        frame = add_scan("scan", array)
        sequence.SetDataNodeAtValue(frame, str(number))
        slicer.mrmlScene.RemoveNode(frame)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    node.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateAllProxyNodes()
    return node


def test_sequence_is_segmented_frame_by_frame(slicer_host, logic, browser) -> None:
    proxy = logic.process(browser)
    sequence = browser.GetSequenceNode(proxy)
    assert sequence.GetNumberOfDataNodes() == 3
    volumes = browser.GetSequenceNode(browser.GetProxyNode(browser.GetMasterSequenceNode()))
    for number in range(3):
        ct = slicer.util.arrayFromVolume(volumes.GetNthDataNode(number))
        frame = sequence.GetNthDataNode(number)
        assert sequence.GetNthIndexValue(number) == str(number)
        mask = mask_of(frame, "liver", volumes.GetNthDataNode(number))
        np.testing.assert_array_equal(mask, ct == 1001)


def test_sequence_of_segmentations_plays_along(slicer_host, logic, browser) -> None:
    proxy = logic.process(browser)
    centers = []
    for number in range(3):
        browser.SetSelectedItemNumber(number)
        slicer.modules.sequences.logic().UpdateAllProxyNodes()
        centers.append(proxy.GetSegmentCenterRAS("liver"))
    assert not np.allclose(centers[0], centers[2])


def test_statistics_of_a_sequence_name_the_frame(slicer_host, logic, browser) -> None:
    table = logic.tableOf(logic.process(browser, targets=["liver"]))
    assert table.GetColumnName(0) == "Frame"
    assert [table.GetCellText(row, 0) for row in range(table.GetNumberOfRows())] == ["1", "2", "3"]


# --- statistics ----------------------------------------------------------------------------------


def test_table_gives_volume_and_mean_hu(logic, add_scan) -> None:
    volume = add_scan()
    segmentation = logic.process(volume, targets=["spleen"])
    table = logic.statistics(segmentation, volume)
    ml = 3 * 3 * 4 * 0.7 * 0.8 * 2.5 / 1000
    assert table.GetNumberOfRows() == 1
    assert table.GetCellText(0, 0) == "Spleen"
    assert float(table.GetCellText(0, 1)) == pytest.approx(ml)
    assert float(table.GetCellText(0, 2)) == pytest.approx(1003)


def test_statistics_measure_what_the_user_edited(logic, add_scan) -> None:
    volume = add_scan()
    segmentation = logic.process(volume)
    edited = np.zeros(slicer.util.arrayFromVolume(volume).shape, np.uint8)
    edited[0, 0, 0:2] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(edited, segmentation, "spleen", volume)
    rows = {row["key"]: row for row in logic.measure(segmentation, volume)}
    assert rows["spleen"]["voxels"] == 2
    assert rows["spleen"]["mean_hu"] == pytest.approx(-900)
    assert rows["liver"]["voxels"] == int((slicer.util.arrayFromVolume(volume) == 1001).sum())


def test_statistics_on_another_grid_are_resampled(logic, add_scan) -> None:
    volume = add_scan()
    segmentation = logic.process(volume)
    other = add_scan("other", np.full((20, 24, 28), 40, np.int16))
    other.SetSpacing(0.35, 0.4, 1.25)
    rows = {row["key"]: row for row in logic.measure(segmentation, other)}
    ml = rows["liver"]["volume_ml"]
    expected = (slicer.util.arrayFromVolume(volume) == 1001).sum() * 0.7 * 0.8 * 2.5 / 1000
    assert ml == pytest.approx(expected, rel=0.25)
    assert rows["liver"]["mean_hu"] == pytest.approx(40)


# --- scene ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mrml", ".mrb"])
def test_saved_scene_loads_again_with_everything_in_place(
    logic, add_scan, tmp_path: Path, suffix
) -> None:
    volume = add_scan()
    segmentation = logic.process(volume)
    table = logic.tableOf(segmentation)
    row = [table.GetCellText(0, column) for column in range(3)]
    assert {"Liver", "Spleen", "Tumor"} == set(segment_names(segmentation))
    name = segmentation.GetName()
    path = tmp_path / f"Bauch größe{suffix}"
    if suffix == ".mrml":
        for node, ending in ((volume, ".nrrd"), (segmentation, ".seg.nrrd"), (table, ".tsv")):
            assert slicer.util.saveNode(node, str(tmp_path / f"{node.GetName()}{ending}"))
    assert slicer.util.saveScene(str(path))
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(str(path))
    segmentation = slicer.util.getNode(name)
    volume = slicer.util.getNode("scan")
    assert segment_names(segmentation) == ["Liver", "Spleen", "Tumor"]
    ct = slicer.util.arrayFromVolume(volume)
    for key in ("liver", "spleen", "tumor"):
        segment = segmentation.GetSegmentation().GetSegment(key)
        target = labels.target_by_key(key)
        np.testing.assert_array_equal(mask_of(segmentation, key, volume), ct == 1000 + target.id)
        assert segment.GetTerminology() == terminology_entry(target)
        np.testing.assert_allclose(segment.GetColor(), np.array(target.color) / 255, atol=1e-5)
    role = segmentation.GetReferenceImageGeometryReferenceRole()
    assert segmentation.GetNodeReference(role) is volume
    table = logic.tableOf(segmentation)
    assert [table.GetCellText(0, column) for column in range(3)] == row
    assert logic.reportOf(segmentation)["notes"] == []


def test_segments_of_a_loaded_scene_are_still_known_as_ours(logic, add_scan, tmp_path) -> None:
    segmentation = logic.process(add_scan())
    path = tmp_path / "s.seg.nrrd"
    assert slicer.util.saveNode(segmentation, str(path))
    loaded = slicer.util.loadSegmentation(str(path))
    assert logic.segmentsToReplace(loaded, ["liver", "spleen"]) == ["Liver", "Spleen"]


# --- a box of interest ---------------------------------------------------------------------------


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


# --- without a window ----------------------------------------------------------------------------

SCRIPT = """
import sys
from pathlib import Path
root = Path(sys.argv[1])
sys.path.insert(0, str(root / "Testing"))
from SlicerHost import start
host = start()
module = host.load_module(root / "FlareSegment/FlareSegment.py").python
import numpy as np, slicer, json
module.FlareSegmentLogic.workerCommand = json.loads(sys.argv[2])
assert slicer.util.mainWindow() is None
volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
slicer.util.updateVolumeFromArray(volume, np.full((9, 9, 9), 1001, np.int16))
segmentation = module.FlareSegmentLogic().process(volume)
print("segments:", segmentation.GetSegmentation().GetNumberOfSegments())
module.FlareSegmentLogic.stopWorker()
"""


def test_script_without_window_works(repository: Path, python) -> None:
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            SCRIPT,
            str(repository),
            json.dumps(python.FlareSegmentLogic.workerCommand),
        ],
        capture_output=True,
        text=True,
    )
    assert "segments: 1" in ended.stdout, ended.stderr


# --- the module's own test -----------------------------------------------------------------------


def test_modules_own_test_runs_the_bundled_model(slicer_host, python) -> None:
    """What Slicer's test runner runs: the product as it is installed, on a synthetic scan."""
    pytest.importorskip("torch")
    python.FlareSegmentLogic.workerCommand = None
    test = python.FlareSegmentTest()
    test.runTest()
