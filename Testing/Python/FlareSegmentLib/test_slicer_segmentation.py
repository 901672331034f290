from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import target_by_key, targets
from FlareSegmentLib.reading import read_label_map
from FlareSegmentLib.slicer_segmentation import segment_fields, terminology_entry
from FlareSegmentLib.writing import write_label_map

TILTED = np.array([[-0.8, 0, 0, 10], [0, -0.7, -1.2, 20], [0, 0, 2.5, -30], [0, 0, 0, 1.0]])
ORGANS = "SCT^123037004^Anatomical Structure"
CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
NO_REGION = "Anatomic codes - DICOM master list~^^~^^"


def boxes(*keys: str) -> np.ndarray:
    """A label map with one box of its own size per target."""
    array = np.zeros((20, 24, 28), np.uint8)
    for key in keys:
        label = target_by_key(key).id
        array[label : label + 2, 3 : 6 + label % 3, label : label + 3] = label
    return array


def test_terms_are_written_as_slicer_does() -> None:
    expected = {
        "liver": f"{CONTEXT}~{ORGANS}~SCT^10200004^Liver~^^~{NO_REGION}",
        "left_kidney": f"{CONTEXT}~{ORGANS}~SCT^64033007^Kidney~SCT^7771000^Left~{NO_REGION}",
        "tumor": (
            f"{CONTEXT}~SCT^49755003^Morphologically Altered Structure~SCT^4147007^Mass~^^~"
            f"{NO_REGION}"
        ),
    }
    for key, entry in expected.items():
        assert terminology_entry(target_by_key(key)) == entry


def test_fields_describe_the_segments_that_were_found() -> None:
    fields = segment_fields(boxes("spleen", "tumor"), targets())
    assert fields["Segment0_ID"] == "spleen"
    assert fields["Segment0_Name"] == "Spleen"
    assert fields["Segment0_LabelValue"] == "3"
    assert fields["Segment0_Layer"] == "0"
    assert fields["Segment0_Extent"] == "3 5 3 5 3 4"  # i, j, k, both ends included
    assert fields["Segment0_Color"] == "0.615686 0.423529 0.635294"
    entry = terminology_entry(target_by_key("spleen"))
    assert fields["Segment0_Tags"] == f"TerminologyEntry:{entry}|"
    assert fields["Segment1_ID"] == "tumor"
    assert not any(key.startswith("Segment2_") for key in fields)
    assert fields["Segmentation_MasterRepresentation"] == "Binary labelmap"


def test_nothing_found_gives_no_segment() -> None:
    fields = segment_fields(np.zeros((9, 9, 9), np.uint8), targets())
    assert not any(key.startswith("Segment0") for key in fields)


def test_label_without_a_target_is_not_lost_silently() -> None:
    with pytest.raises(ValueError, match=r"labels without a target: \[14\]"):
        segment_fields(boxes("liver", "tumor"), targets()[:13])


def test_slicer_loads_names_colors_terms_and_voxels(tmp_path: Path) -> None:
    slicer = pytest.importorskip("slicer", reason="needs slicer-core, Slicer's own reader")
    vtk = pytest.importorskip("vtk")
    from vtk.util.numpy_support import vtk_to_numpy

    keys = [target.key for target in targets() if target.key != "gallbladder"]
    path = tmp_path / "case_seg.seg.nrrd"
    write_label_map(path, boxes(*keys), TILTED, targets())
    scene = slicer.vtkMRMLScene()
    node, storage = slicer.vtkMRMLSegmentationNode(), slicer.vtkMRMLSegmentationStorageNode()
    scene.AddNode(node)
    scene.AddNode(storage)
    storage.SetFileName(str(path))
    assert storage.ReadData(node) == 1
    segmentation = node.GetSegmentation()
    assert list(segmentation.GetSegmentIDs()) == keys
    assert segmentation.GetNumberOfLayers() == 1
    for key in keys:
        target, segment = target_by_key(key), segmentation.GetSegment(key)
        assert segment.GetName() == target.name
        assert segment.GetLabelValue() == target.id
        np.testing.assert_allclose(segment.GetColor(), np.array(target.color) / 255, atol=1e-5)
        tag = vtk.reference("")
        assert segment.GetTag(segment.GetTerminologyEntryTagName(), tag)
        assert str(tag) == terminology_entry(target)
    image = segmentation.GetSegment("liver").GetRepresentation("Binary labelmap")
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    world = np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
    np.testing.assert_allclose(world, TILTED, atol=1e-9)
    i0, i1, j0, j1, k0, k1 = image.GetExtent()
    voxels = vtk_to_numpy(image.GetPointData().GetScalars())
    voxels = voxels.reshape(k1 - k0 + 1, j1 - j0 + 1, i1 - i0 + 1)
    expected = boxes(*keys)
    np.testing.assert_array_equal(voxels, expected[k0 : k1 + 1, j0 : j1 + 1, i0 : i1 + 1])
    assert np.count_nonzero(voxels) == np.count_nonzero(expected)


def write_segments(path: Path, array: np.ndarray, *segments: dict[str, Any]) -> Path:
    """Write a ``.seg.nrrd`` with SimpleITK, as another program would."""
    image = sitk.GetImageFromArray(array, isVector=array.ndim == 4)
    for index, segment in enumerate(segments):
        for key, value in {"ID": f"Segment_{index + 1}", "Layer": 0, **segment}.items():
            image.SetMetaData(f"Segment{index}_{key}", str(value))
    sitk.WriteImage(image, str(path))
    return path


def test_label_values_of_slicer_are_not_taken_for_ours(tmp_path: Path) -> None:
    array = np.zeros((9, 9, 9), np.uint8)
    array[2], array[4], array[6] = 1, 2, 3
    path = write_segments(
        tmp_path / "a.seg.nrrd",
        array,
        {"Name": "Spleen", "LabelValue": 1},
        {"Name": "left kidney", "LabelValue": 2},
        {
            "Name": "Organ",
            "LabelValue": 3,
            "Tags": f"TerminologyEntry:{terminology_entry(target_by_key('aorta'))}|",
        },
    )
    read, _ = read_label_map(path)
    assert [int(read[k, 0, 0]) for k in (0, 2, 4, 6)] == [
        0,
        target_by_key("spleen").id,
        target_by_key("left_kidney").id,
        target_by_key("aorta").id,
    ]


def test_side_is_part_of_the_term(tmp_path: Path) -> None:
    array = np.ones((9, 9, 9), np.uint8)
    for key in ("right_adrenal_gland", "left_adrenal_gland"):
        tags = f"Other:1|TerminologyEntry:{terminology_entry(target_by_key(key))}|"
        path = write_segments(
            tmp_path / "a.seg.nrrd", array, {"Name": "x", "LabelValue": 1, "Tags": tags}
        )
        assert read_label_map(path)[0].max() == target_by_key(key).id


def test_overlapping_layers_give_tumor_over_organ(tmp_path: Path) -> None:
    layers = np.zeros((9, 9, 9, 2), np.uint8)
    layers[2:7, ..., 0] = 1
    layers[4:5, ..., 1] = 1
    path = write_segments(
        tmp_path / "a.seg.nrrd",
        layers,
        {"ID": "tumor", "Name": "Tumor", "LabelValue": 1, "Layer": 1},
        {"ID": "liver", "Name": "Liver", "LabelValue": 1, "Layer": 0},
    )
    read, _ = read_label_map(path)
    assert [int(read[k, 0, 0]) for k in (0, 2, 4, 6, 8)] == [0, 1, 14, 1, 0]


def test_unknown_segments_are_reported_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    array = np.zeros((9, 9, 9), np.uint8)
    array[2], array[4] = 1, 2
    path = write_segments(
        tmp_path / "a.seg.nrrd",
        array,
        {"Name": "Liver", "LabelValue": 1},
        {"Name": "Table", "LabelValue": 2},
    )
    with caplog.at_level(logging.WARNING):
        read, _ = read_label_map(path)
    assert np.unique(read).tolist() == [0, 1]
    assert "Table" in caplog.text


def test_only_unknown_segments_are_refused(tmp_path: Path) -> None:
    path = write_segments(
        tmp_path / "a.seg.nrrd", np.ones((9, 9, 9), np.uint8), {"Name": "Thing", "LabelValue": 1}
    )
    with pytest.raises(InputError, match=r"known name \(Thing\).*liver, right_kidney"):
        read_label_map(path)
