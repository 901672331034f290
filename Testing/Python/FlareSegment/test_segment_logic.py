"""The logic: what a run adds to the scene; console and script."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from segment_actions import mask_of, segment_names

from FlareSegmentLib import labels
from FlareSegmentLib.errors import InputError
from FlareSegmentLib.slicer_segmentation import terminology_entry

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")


# --- what a run gives -----------------------------------------------------------------------------


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


# --- without a window -----------------------------------------------------------------------------


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
