"""Scenes and segmentations are saved and loaded by the real classes, whole."""

import json

import numpy as np
import pytest

TERMINOLOGY = {
    "SegmentationCategoryTypeContextName": "Test context",
    "@schema": "https://raw.githubusercontent.com/qiicr/dcmqi/master/doc/"
    "segment-context-schema.json#",
    "SegmentationCodes": {
        "Category": [
            {
                "CodingSchemeDesignator": "SCT",
                "CodeValue": "123037004",
                "CodeMeaning": "Anatomical Structure",
                "showAnatomy": True,
                "Type": [
                    {
                        "CodingSchemeDesignator": "SCT",
                        "CodeValue": "10200004",
                        "CodeMeaning": "Liver",
                        "recommendedDisplayRGBValue": [221, 130, 101],
                    }
                ],
            }
        ]
    },
}
ENTRY = "Test context~SCT^123037004^Anatomical Structure~SCT^10200004^Liver~^^~~^^~^^"
COLOR = (221 / 255, 130 / 255, 101 / 255)


@pytest.fixture
def segmentation(slicer_host):
    import slicer

    array = np.zeros((6, 7, 8), np.int16)
    volume = slicer.util.addVolumeFromArray(array, name="ct")
    volume.SetSpacing(0.7, 0.7, 2.5)
    volume.SetOrigin(10, -20, 30)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organs")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segment_id = node.GetSegmentation().AddEmptySegment("liver", "Liver", COLOR)
    node.GetSegmentation().GetSegment(segment_id).SetTerminology(ENTRY)
    mask = np.zeros(array.shape, np.uint8)
    mask[1:4, 2:5, 3:7] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment_id, volume)
    return node, volume, mask


@pytest.mark.parametrize("name", ["scene.mrb", "folder/scene.mrml"])
def test_a_saved_scene_loads_with_everything(segmentation, tmp_path, name):
    import slicer

    _, _, mask = segmentation
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".mrml":
        for index, node in enumerate(slicer.util.getNodesByClass("vtkMRMLStorableNode")):
            if node.IsA("vtkMRMLVolumeNode") or node.IsA("vtkMRMLSegmentationNode"):
                ending = "seg.nrrd" if node.IsA("vtkMRMLSegmentationNode") else "nrrd"
                assert slicer.util.saveNode(node, str(path.parent / f"{index}.{ending}"))
    assert slicer.util.saveScene(str(path))
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(str(path))
    node, volume = slicer.util.getNode("organs"), slicer.util.getNode("ct")
    segment = node.GetSegmentation().GetSegment("liver")
    assert segment.GetName() == "Liver"
    assert segment.GetTerminology() == ENTRY
    assert segment.GetColor() == pytest.approx(COLOR, abs=1e-3)
    found = slicer.util.arrayFromSegmentBinaryLabelmap(node, "liver", volume)
    assert np.array_equal(found, mask)
    assert volume.GetSpacing() == pytest.approx((0.7, 0.7, 2.5))
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    assert hierarchy.GetItemByDataNode(node)


def test_a_segmentation_file_keeps_names_and_codes(segmentation, tmp_path):
    import slicer

    node, _, _ = segmentation
    path = tmp_path / "organs.seg.nrrd"
    assert slicer.util.saveNode(node, str(path))
    again = slicer.util.loadSegmentation(str(path))
    assert again.GetSegmentation().GetSegment("liver").GetTerminology() == ENTRY


def test_a_terminology_can_be_loaded(slicer_host, tmp_path):
    import slicer

    path = tmp_path / "test.term.json"
    path.write_text(json.dumps(TERMINOLOGY), encoding="utf-8")
    logic = slicer.modules.terminologies.logic()
    assert logic.LoadTerminologyFromFile(str(path)) == "Test context"
    entry = slicer.vtkSlicerTerminologyEntry()
    assert logic.DeserializeTerminologyEntry(ENTRY, entry)
    assert entry.GetTypeObject().GetCodeMeaning() == "Liver"
    category, kind = slicer.vtkSlicerTerminologyCategory(), slicer.vtkSlicerTerminologyType()
    assert logic.GetNthCategoryInTerminology("Test context", 0, category)
    assert logic.GetNthTypeInTerminologyCategory("Test context", category, 0, kind)
    assert tuple(kind.GetRecommendedDisplayRGBValue()) == (221, 130, 101)


def test_a_missing_file_is_an_error(slicer_host, tmp_path):
    import slicer

    with pytest.raises(RuntimeError, match="does not exist"):
        slicer.util.loadVolume(str(tmp_path / "none.nrrd"))


def test_undo_of_a_segment_comes_from_the_real_editor_logic(segmentation):
    import slicer

    node, volume, mask = segmentation
    editor = slicer.vtkSlicerSegmentEditorLogic()
    editor.SetMRMLScene(slicer.mrmlScene)
    editor.SetSegmentEditorNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
    editor.SetSegmentationNode(node)
    editor.SaveStateForUndo()
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask * 0, node, "liver", volume)
    editor.Undo()
    found = slicer.util.arrayFromSegmentBinaryLabelmap(node, "liver", volume)
    assert np.array_equal(found, mask)
