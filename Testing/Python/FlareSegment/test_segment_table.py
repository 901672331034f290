"""The logic: volumes and HU, and what a saved scene keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from segment_actions import mask_of, segment_names

from FlareSegmentLib import labels
from FlareSegmentLib.slicer_segmentation import terminology_entry

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")


# --- statistics -----------------------------------------------------------------------------------


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


# --- scene ----------------------------------------------------------------------------------------


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
