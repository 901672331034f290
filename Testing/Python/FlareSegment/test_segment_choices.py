"""The panel: volume, structures, model and region that the user chooses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from segment_actions import UNCHECKED, choose

from FlareSegmentLib import labels

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")


def test_first_volume_is_preselected(module, slicer_host, add_scan) -> None:
    volume = add_scan()
    widget = module.enter()
    assert widget.ui.inputSelector.currentNode() is volume


def test_checked_structures_are_what_is_looked_for(panel, run, add_scan) -> None:
    choose(panel, add_scan())
    import qt

    panel.ui.noTargetsButton.click()
    panel.targets.item("spleen").setCheckState(qt.Qt.Checked)
    assert list(panel.choices().targets) == ["spleen"]
    assert panel.ui.targetCountLabel.text == "1 of 14"
    run()
    segmentation = panel._parameterNode.outputSegmentation
    assert segmentation.GetSegmentation().GetNumberOfSegments() == 1


def test_organs_button_leaves_out_tumor(panel) -> None:
    panel.ui.organsButton.click()
    assert list(panel.choices().targets) == [t.key for t in labels.targets() if t.key != "tumor"]
    assert panel.targets.item("tumor").checkState() == UNCHECKED
    panel.ui.allTargetsButton.click()
    assert len(list(panel.choices().targets)) == 14


def test_choices_are_saved_with_the_scene(panel, add_scan, tmp_path: Path) -> None:
    choose(panel, add_scan())
    panel.ui.organsButton.click()
    panel.ui.deviceComboBox.setCurrentText("CPU")
    path = tmp_path / "scene.mrml"
    volume = panel._parameterNode.inputVolume
    slicer.util.saveNode(volume, str(tmp_path / "scan.nrrd"))
    slicer.util.saveScene(str(path))
    slicer.mrmlScene.Clear(0)
    assert len(list(panel.choices().targets)) == 14
    slicer.util.loadScene(str(path))
    panel.initializeParameterNode()
    assert "tumor" not in list(panel.choices().targets)
    assert panel.ui.deviceComboBox.currentText == "CPU"
    assert panel.ui.inputSelector.currentNode().GetName() == "scan"


def test_models_are_listed_with_the_bundled_one_first(panel, tmp_path: Path) -> None:
    combo = panel.ui.modelComboBox
    texts = [combo.itemText(row) for row in range(combo.count)]
    assert texts[0] == "flare-base (bundled)"
    assert texts[-1] == "Other folder..."
    panel._parameterNode.modelFolder = str(tmp_path)
    panel.models.show(str(tmp_path))
    assert panel.ui.modelComboBox.currentData == str(tmp_path)


def test_long_story_of_a_model_is_cut_and_whole_in_the_tool_tip(panel, tmp_path: Path) -> None:
    data = [f"data set {number}" for number in range(60)]
    info = {"name": "many", "version": "3", "facts": {"license": "L", "training_data": data}}
    (tmp_path / "model.json").write_text(json.dumps(info))
    panel.models.show(str(tmp_path))
    label = panel.ui.modelInfoLabel
    assert label.text.startswith("Version 3. License: L. Trained on: data set 0,")
    assert len(label.text) <= 240
    assert label.toolTip.endswith("data set 59.")


def test_model_of_the_user_is_chosen_by_its_folder(panel, tmp_path, slicer_host) -> None:
    (tmp_path / "model.json").write_text('{"name": "My model"}')
    slicer_host.answer_next_dialog(str(tmp_path))
    panel.models.onActivated(panel.ui.modelComboBox.count - 1)
    assert panel._parameterNode.modelFolder == str(tmp_path)
    assert panel.ui.modelComboBox.currentText == "My model"


def test_folder_without_model_is_refused_with_a_sentence(panel, tmp_path, slicer_host) -> None:
    slicer_host.testing_enabled = False
    try:
        slicer_host.answer_next_dialog(str(tmp_path))
        slicer_host.answer_next_dialog("OK")
        panel.models.onActivated(panel.ui.modelComboBox.count - 1)
        assert "holds no model" in slicer_host.dialogs_shown[-1]
        assert panel._parameterNode.modelFolder == ""
    finally:
        slicer_host.testing_enabled = True


def test_new_box_is_laid_around_the_volume_and_limits_the_run(panel, run, add_scan) -> None:
    """As the user does it: create the ROI in the selector, make it smaller, run."""
    volume = add_scan()
    choose(panel, volume)
    panel.ui.roiSelector.addNode()
    roi = panel._parameterNode.roi
    bounds, of_volume = [0.0] * 6, [0.0] * 6
    roi.GetRASBounds(bounds)
    volume.GetRASBounds(of_volume)
    np.testing.assert_allclose(bounds, of_volume, atol=1e-6)
    run()
    everything = panel._parameterNode.outputSegmentation
    assert everything.GetSegmentation().GetNumberOfSegments() == 3
    panel._parameterNode.outputSegmentation = None
    size = roi.GetSize()
    center = roi.GetCenter()
    # The lower half along R: the volume's first axis runs from right to left.
    roi.SetSize(size[0] / 2, size[1], size[2])
    roi.SetCenter(center[0] + size[0] / 4, center[1], center[2])
    run()
    half = panel._parameterNode.outputSegmentation
    names = [half.GetSegmentation().GetNthSegment(n).GetName() for n in range(2)]
    assert half.GetSegmentation().GetNumberOfSegments() == 2
    assert names == ["Liver", "Tumor"]
    assert panel.ui.statusLabel.text.endswith(f"Only the box {roi.GetName()} was looked at.")


def test_replacing_within_a_box_says_what_becomes_of_the_rest(
    panel, run, click, add_scan, slicer_host
) -> None:
    slicer_host.testing_enabled = False
    try:
        choose(panel, add_scan())
        run()
        panel.ui.roiSelector.addNode()
        slicer_host.answer_next_dialog("Cancel")
        click(panel.ui.applyButton)
        assert "empty outside of the box" in slicer_host.dialogs_shown[-1]
    finally:
        slicer_host.testing_enabled = True
