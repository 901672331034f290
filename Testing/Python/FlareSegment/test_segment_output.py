"""The panel: what becomes of a result, and what is asked before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from segment_actions import choose

from FlareSegmentLib.panel_state import PanelState

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")


def test_replacing_asks_and_no_means_no(panel, run, click, add_scan, slicer_host) -> None:
    slicer_host.testing_enabled = False
    try:
        choose(panel, add_scan())
        run()
        segmentation = panel._parameterNode.outputSegmentation
        before = segmentation.GetSegmentation().GetMTime()
        slicer_host.answer_next_dialog("Cancel")
        click(panel.ui.applyButton)
        assert not panel.logic.busy
        assert "already has: Liver, Spleen, Tumor" in slicer_host.dialogs_shown[-1]
        assert segmentation.GetSegmentation().GetMTime() == before
        slicer_host.answer_next_dialog("OK")
        run()
        assert panel.state is PanelState.DONE
        assert panel.ui.undoButton.enabled
        panel.ui.undoButton.click()
        assert panel.ui.statusLabel.text == "The replaced segments are back."
    finally:
        slicer_host.testing_enabled = True


def test_another_volume_gets_a_new_segmentation(panel, run, add_scan) -> None:
    choose(panel, add_scan())
    run()
    choose(panel, add_scan("other"))
    assert panel._parameterNode.outputSegmentation is None


def test_error_is_shown_in_a_dialog(panel, run, add_scan, slicer_host) -> None:
    slicer_host.testing_enabled = False
    try:
        choose(panel, add_scan("not a CT"))
        slicer_host.answer_next_dialog("OK")
        run()
        assert "A CT is needed" in slicer_host.dialogs_shown[-1]
    finally:
        slicer_host.testing_enabled = True


def test_table_can_be_saved_as_csv(panel, run, add_scan, tmp_path: Path) -> None:
    choose(panel, add_scan())
    run()
    path = tmp_path / "Größen.csv"
    panel.results.saveTable(path)
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == "Structure,Volume (ml),Mean HU,SD HU,Voxels"
    assert lines[3].startswith("Spleen,0.0504,1003.0,0.0,36")
    assert lines[2] == "Right kidney,0.0,,,0"


def test_update_measures_an_edited_segment(panel, run, add_scan) -> None:
    volume = add_scan()
    choose(panel, volume)
    run()
    segmentation = panel._parameterNode.outputSegmentation
    edited = np.zeros(slicer.util.arrayFromVolume(volume).shape, np.uint8)
    edited[0, 0, 0:2] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(edited, segmentation, "spleen", volume)
    panel.ui.updateTableButton.click()
    table = panel.ui.resultTable
    rows = {table.item(r, 0).text(): table.item(r, 4).text() for r in range(table.rowCount)}
    assert rows["Spleen"] == "2"


def test_all_frames_is_offered_for_a_sequence_only(panel, add_scan) -> None:
    choose(panel, add_scan())
    assert not panel.ui.allFramesCheckBox.visible
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "4D")
    for number in range(2):
        frame = add_scan("frame")
        sequence.SetDataNodeAtValue(frame, str(number))
        slicer.mrmlScene.RemoveNode(frame)
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateAllProxyNodes()
    choose(panel, browser.GetProxyNode(sequence))
    assert panel.ui.allFramesCheckBox.visible


def test_removed_result_is_shown_no_longer(panel, run, add_scan) -> None:
    """Removed in the Data module, a segmentation cannot be measured, undone or shown in 3D."""
    choose(panel, add_scan())
    run()
    assert panel.ui.resultsCollapsibleButton.visible
    slicer.mrmlScene.RemoveNode(panel.ui.outputSelector.currentNode())
    assert not panel.ui.resultsCollapsibleButton.visible
    assert not panel.ui.undoButton.enabled
    run()
    assert panel.ui.resultsCollapsibleButton.visible
