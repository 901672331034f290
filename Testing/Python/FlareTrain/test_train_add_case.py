"""A segmentation of the scene becomes a case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel_actions import choose, fill_in_case, settle, texts, wait_for

from FlareSegmentLib.reading import read_label_map, read_volume
from FlareTrainLib.dataset import read_dataset

slicer = pytest.importorskip("slicer")


def test_a_segmentation_becomes_a_case_with_what_was_annotated(
    panel: Any, slicer_host: Any, raw_dataset: Path, add_patient: Any
) -> None:
    volume, segmentation, labels = add_patient()
    choose(panel, slicer_host, raw_dataset)
    ui = panel.ui
    fill_in_case(panel, volume, segmentation, "new_one", ("liver", "gallbladder"))
    ui.addCaseButton.click()
    settle(panel, slicer_host)
    wait_for(panel, slicer_host, raw_dataset / "added" / "new_one")
    assert ui.addNoteLabel.text == "Added new_one."
    case = next(c for c in read_dataset(raw_dataset).cases if c.name == "new_one")
    # Looked for and not there; the spleen and the tumor were drawn by a model.
    assert (case.annotated, case.absent) == ((1,), (9,))
    written, affine = read_label_map(raw_dataset / "labelsTr" / "new_one.nii.gz")
    assert np.array_equal(written, np.where(labels == 1, 1, 0))
    assert np.array_equal(affine, read_volume(case.scan).affine)
    assert "new_one" in [row[0] for row in texts(ui.caseTable)]


def test_an_existing_case_is_replaced_only_after_a_question(
    panel: Any, slicer_host: Any, raw_dataset: Path, add_patient: Any
) -> None:
    volume, segmentation, _labels = add_patient()
    slicer_host.main_window()
    choose(panel, slicer_host, raw_dataset)
    fill_in_case(panel, volume, segmentation, "case_0", ("liver",))
    path = raw_dataset / "labelsTr" / "case_0.nii.gz"
    before = path.read_bytes()
    slicer_host.testing_enabled = False
    slicer_host.answer_next_dialog("Cancel")
    panel.addCase.onAddCase()
    assert path.read_bytes() == before
    assert not (raw_dataset / "added").exists()
    slicer_host.answer_next_dialog("OK")
    panel.addCase.onAddCase()
    settle(panel, slicer_host)
    wait_for(panel, slicer_host, raw_dataset / "added" / "case_0")
    assert path.read_bytes() != before
    assert (raw_dataset / "replaced" / "1" / "labelsTr" / "case_0.nii.gz").read_bytes() == before


def test_the_modules_own_test_passes(python: Any) -> None:
    python.FlareTrainTest().runTest()


def wish(panel: Any, host: Any, data: Path, nodes: Any, name: str = "new_one") -> None:
    """Fill in the form."""
    choose(panel, host, data)
    fill_in_case(panel, nodes[0], nodes[1], name, ("liver",))


def test_a_segment_on_another_grid_is_brought_to_the_scan(
    panel: Any, slicer_host: Any, raw_dataset: Path, add_patient: Any
) -> None:
    """Drawn on a coarser grid, of half the voxels in each direction."""
    volume, _drawn, labels = add_patient()
    coarse = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "coarse")
    half = np.ascontiguousarray(slicer.util.arrayFromVolume(volume)[::2, ::2, ::2])
    slicer.util.updateVolumeFromArray(coarse, half)
    matrix = slicer.util.vtkMatrixFromArray(np.diag([-16.0, -16.0, 16.0, 1.0]))
    coarse.SetIJKToRASMatrix(matrix)
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "on another")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(coarse)
    segmentation.GetSegmentation().AddEmptySegment("liver", "Liver")
    mask = (labels[::2, ::2, ::2] == 1).astype(np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, "liver", coarse)
    wish(panel, slicer_host, raw_dataset, (volume, segmentation))
    panel.ui.addCaseButton.click()
    settle(panel, slicer_host)
    wait_for(panel, slicer_host, raw_dataset / "added" / "new_one")
    written, _affine = read_label_map(raw_dataset / "labelsTr" / "new_one.nii.gz")
    truth = labels == 1
    assert 2 * (written[truth] == 1).sum() / ((written == 1).sum() + truth.sum()) > 0.75


def test_what_was_annotated_in_one_patient_is_not_taken_over_to_the_next(
    panel: Any, slicer_host: Any, raw_dataset: Path, add_patient: Any
) -> None:
    from FlareSegmentSlicer.shared.check_list import checkedKeys

    first, second = (add_patient(keys=keys) for keys in (("liver", "spleen"), ("spleen",)))
    wish(panel, slicer_host, raw_dataset, first[:2])
    listed = panel.ui.annotatedList
    assert checkedKeys(listed) == ["liver"]
    assert listed.item(0).text() == "Liver"
    assert listed.item(3).text() == "Pancreas (no segment: checked means it is not there)"
    panel.ui.caseSegmentationSelector.setCurrentNode(second[1])
    assert checkedKeys(listed) == []
    assert listed.item(0).text() == "Liver (no segment: checked means it is not there)"
    assert listed.item(2).text() == "Spleen"


def test_a_segment_on_another_grid_lies_where_slicer_itself_would_put_it(
    panel: Any, slicer_host: Any, raw_dataset: Path, add_patient: Any
) -> None:
    """A third of a voxel beside the scan's grid, so that no voxel is as near to two."""
    volume, drawn, _labels = add_patient(keys=("liver",))
    container = drawn.GetSegmentation()
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    image = container.GetNthSegment(0).GetRepresentation(name)
    matrix = slicer.util.vtkMatrixFromArray(np.eye(4))
    image.GetImageToWorldMatrix(matrix)
    for axis, shift in enumerate((2.7, -1.9, 11.3)):
        matrix.SetElement(axis, 3, matrix.GetElement(axis, 3) + shift)
    image.SetImageToWorldMatrix(matrix)
    segment = container.GetNthSegmentID(0)
    expected = slicer.util.arrayFromSegmentBinaryLabelmap(drawn, segment, volume).copy()
    wish(panel, slicer_host, raw_dataset, (volume, drawn))
    panel.ui.addCaseButton.click()
    settle(panel, slicer_host)
    wait_for(panel, slicer_host, raw_dataset / "added" / "new_one")
    written, _affine = read_label_map(raw_dataset / "labelsTr" / "new_one.nii.gz")
    assert expected.any()
    assert np.array_equal(written == 1, expected == 1)


@pytest.mark.parametrize("turned", [False, True])
def test_a_surface_is_filled_as_slicer_would_but_not_in_its_window(
    panel: Any, slicer_host: Any, raw_dataset: Path, add_patient: Any, turned: bool
) -> None:
    """As from an STL file: a segment without a voxel."""
    import vtk

    volume, _drawn, _labels = add_patient(keys=())
    if turned:
        matrix = vtk.vtkMatrix4x4()
        volume.GetIJKToRASMatrix(matrix)
        turn = vtk.vtkTransform()
        turn.RotateWXYZ(25, 1, 2, 3)
        turn.Concatenate(matrix)
        volume.SetIJKToRASMatrix(turn.GetMatrix())
    middle = np.array(slicer.util.arrayFromVolume(volume).shape)[::-1] / 2
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(*matrix.MultiplyPoint((*middle, 1))[:3])
    sphere.SetRadius(50)
    sphere.SetThetaResolution(60)
    sphere.SetPhiResolution(60)
    sphere.Update()
    nodes = slicer.mrmlScene, "vtkMRMLSegmentationNode"
    segmentation, other = (nodes[0].AddNewNodeByClass(nodes[1], name) for name in "ab")
    for node in (segmentation, other):
        node.SetSourceRepresentationToClosedSurface()
        node.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "Liver", [1, 0, 0], "l")
    expected = slicer.util.arrayFromSegmentBinaryLabelmap(other, "l", volume) > 0
    wish(panel, slicer_host, raw_dataset, (volume, segmentation))
    panel.ui.addCaseButton.click()
    settle(panel, slicer_host)
    wait_for(panel, slicer_host, raw_dataset / "added" / "new_one")
    written, _affine = read_label_map(raw_dataset / "labelsTr" / "new_one.nii.gz")
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    assert segmentation.GetSegmentation().GetSegment("l").GetRepresentation(name) is None
    overlap = 2 * (expected & (written == 1)).sum() / (expected.sum() + (written == 1).sum())
    assert expected.sum() > 500
    assert overlap > 0.97
    assert not list((raw_dataset / "added" / "new_one").glob("*.npy"))


def test_a_scan_that_is_changed_while_it_is_read_is_no_case(
    panel: Any, slicer_host: Any, raw_dataset: Path, add_patient: Any
) -> None:
    from FlareTrainLib.add_case import NewCase

    volume, segmentation, _labels = add_patient()
    case = NewCase("new_one", (1,))
    steps = panel.logic.addCaseSteps(raw_dataset, case, volume, segmentation)
    next(steps)
    slicer.util.arrayFromVolume(volume)[:] = 0
    slicer.util.arrayFromVolumeModified(volume)
    from FlareSegmentLib.errors import InputError

    with pytest.raises(InputError, match="changed while they were read"):
        list(steps)
    assert not (raw_dataset / "added" / "new_one").exists()
    assert not (raw_dataset / "imagesTr" / "new_one_0000.nii.gz").exists()


def test_a_case_that_is_given_up_leaves_no_half_scan_behind(
    panel: Any, slicer_host: Any, raw_dataset: Path, add_patient: Any
) -> None:
    """When Slicer is closed meanwhile: gigabytes that nobody would find."""
    from FlareTrainLib.add_case import NewCase
    from FlareTrainSlicer.steps import Steps

    volume, segmentation, _labels = add_patient()
    steps = panel.logic.addCaseSteps(raw_dataset, NewCase("new", (1,)), volume, segmentation)
    ended: list[Any] = []
    panel.addCase.work.put("staging", Steps(steps, ended.append, ended.append, seconds=0.0))
    staged = raw_dataset / "added" / "new"
    while not staged.exists():
        slicer_host.process_events()  # one part at a time
    assert panel.addCase.busy
    panel.cleanup()
    assert not staged.exists()
    assert not ended


@pytest.mark.parametrize(
    ("name", "text"), [("a b", "cannot be the name of a case"), ("", "cannot be the name")]
)
def test_a_wrong_name_gets_a_sentence(
    panel: Any, slicer_host: Any, raw_dataset: Path, add_patient: Any, name: str, text: str
) -> None:
    wish(panel, slicer_host, raw_dataset, add_patient()[:2], name)
    slicer_host.main_window()
    slicer_host.testing_enabled = False
    slicer_host.answer_next_dialog("OK")
    panel.ui.addCaseButton.click()
    settle(panel, slicer_host)
    assert text in slicer_host.dialogs_shown[-1]
    assert text in panel.ui.addNoteLabel.text
    assert panel.ui.addCaseButton.enabled


def test_a_full_disk_leaves_the_dataset_as_it_was(
    panel: Any, slicer_host: Any, raw_dataset: Path, add_patient: Any
) -> None:
    resource = pytest.importorskip("resource")
    from FlareSegmentLib.errors import OutputError
    from FlareTrainLib.add_case import NewCase

    volume, segmentation, _labels = add_patient()
    before = sorted(raw_dataset.rglob("*"))
    steps = panel.logic.addCaseSteps(raw_dataset, NewCase("new", (1,)), volume, segmentation)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OutputError, match="Make room, and try again"):
            list(steps)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    after = sorted(path for path in raw_dataset.rglob("*") if path.name != "added")
    assert after == before
