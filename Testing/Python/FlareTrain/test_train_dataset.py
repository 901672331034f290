"""The section Dataset: the cases, what is wrong with them, and which of them judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel_actions import choose, label_array, select, settle, texts, wait_for

from FlareSegmentLib.reading import read_label_map, read_volume
from FlareTrainLib.dataset import read_dataset

slicer = pytest.importorskip("slicer")


def test_nothing_chosen(panel: Any, slicer_host: Any) -> None:
    ui = panel.ui
    assert ui.datasetNoteLabel.text.startswith("Choose the folder of a dataset.")
    assert ui.dataPathLineEdit.currentPath == ""
    line = ui.dataPathLineEdit.comboBox().lineEdit()
    assert line.placeholderText == "Folder of the scans and labels"
    for name in ("check", "addCase", "refine", "accept", "start", "stop", "resume", "install"):
        assert not getattr(ui, f"{name}Button").enabled, name


def test_a_dataset_shows_its_cases(panel: Any, slicer_host: Any, raw_dataset: Path) -> None:
    choose(panel, slicer_host, raw_dataset)
    rows = texts(panel.ui.caseTable)
    assert rows[0] == ["case_0", "training", "all organs and tumor", "", "a, b, c"]
    assert rows[2][2] == "liver, spleen"
    assert rows[3][2] == "nothing"
    assert rows[4][:2] == ["held_out", "validation"]
    assert panel.ui.startButton.enabled
    assert panel.ui.minutesSpinBox.text == "none"


def test_a_folder_that_is_no_dataset_says_so(panel: Any, slicer_host: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    choose(panel, slicer_host, tmp_path / "empty")
    assert "is no dataset" in panel.ui.datasetNoteLabel.text
    assert not panel.ui.startButton.enabled


def test_a_damaged_dataset_says_what_is_wrong(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    (raw_dataset / "annotated.json").write_text('{"case_0": {"annotated": [77]}}')
    choose(panel, slicer_host, raw_dataset)
    assert "lists 77, which is no target id" in panel.ui.datasetNoteLabel.text
    assert not panel.ui.startButton.enabled


def test_check_finds_problems_in_a_process(panel: Any, slicer_host: Any, raw_dataset: Path) -> None:
    double = raw_dataset / "imagesTr" / "twin_0000.nii.gz"
    double.write_bytes((raw_dataset / "imagesTr" / "case_0_0000.nii.gz").read_bytes())
    choose(panel, slicer_host, raw_dataset)
    panel.ui.checkButton.click()
    assert panel.ui.datasetNoteLabel.text == "Reading the dataset..."
    wait_for(panel, slicer_host, raw_dataset / "check")
    row = next(
        r for r in range(panel.ui.caseTable.rowCount) if texts(panel.ui.caseTable)[r][0] == "twin"
    )
    assert panel.ui.caseTable.item(row, 3).text() == "1"
    assert "same as that of case_0" in panel.ui.caseTable.item(row, 0).toolTip()


def test_a_case_is_loaded_with_its_labels(panel: Any, slicer_host: Any, raw_dataset: Path) -> None:
    choose(panel, slicer_host, raw_dataset)
    panel.dataset.onDoubleClicked(2, 0)
    assert panel.ui.datasetNoteLabel.text == "Reading case_2..."
    settle(panel, slicer_host)
    assert panel.ui.datasetNoteLabel.text == "case_2 is in the scene."
    volume = slicer.util.getNode("case_2")
    segmentation = slicer.util.getNode("case_2 annotated")
    expected, _ = read_label_map(raw_dataset / "labelsTr" / "case_2.nii.gz")
    assert np.array_equal(label_array(segmentation, volume), expected)
    assert np.array_equal(
        slicer.util.arrayFromVolume(volume),
        read_volume(raw_dataset / "imagesTr" / "case_2_0000.nii.gz").array,
    )


def test_a_case_that_is_in_the_scene_is_not_loaded_over_what_was_corrected(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    choose(panel, slicer_host, raw_dataset)
    for _again in range(2):
        panel.dataset.onDoubleClicked(2, 0)
        settle(panel, slicer_host)
    assert "in the scene already" in panel.ui.datasetNoteLabel.text
    assert len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == 1
    slicer.mrmlScene.Clear(0)
    panel.initializeParameterNode()
    choose(panel, slicer_host, raw_dataset)
    panel.dataset.onDoubleClicked(2, 0)
    settle(panel, slicer_host)
    assert len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == 1


def test_closing_the_scene_ends_the_loading_of_a_case(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    choose(panel, slicer_host, raw_dataset)
    panel.dataset.onDoubleClicked(2, 0)
    assert panel.busy
    slicer.mrmlScene.Clear(0)
    settle(panel, slicer_host)
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []


def test_a_damaged_scan_gets_a_sentence(panel: Any, slicer_host: Any, raw_dataset: Path) -> None:
    (raw_dataset / "imagesTr" / "case_2_0000.nii.gz").write_bytes(b"no image")
    choose(panel, slicer_host, raw_dataset)
    slicer_host.main_window()
    slicer_host.testing_enabled = False
    slicer_host.answer_next_dialog("OK")
    panel.dataset.onDoubleClicked(2, 0)
    settle(panel, slicer_host)
    assert "The case was not loaded." in slicer_host.dialogs_shown[-1]
    assert "case_2_0000.nii.gz" in slicer_host.dialogs_shown[-1]


def test_a_case_changes_sides_and_back(panel: Any, slicer_host: Any, raw_dataset: Path) -> None:
    choose(panel, slicer_host, raw_dataset)
    ui = panel.ui
    select(panel, slicer_host, "case_1")
    assert not ui.toTrainingButton.enabled
    ui.toValidationButton.click()
    settle(panel, slicer_host)
    assert [case.name for case in read_dataset(raw_dataset).validation] == ["case_1", "held_out"]
    select(panel, slicer_host, "case_1")
    assert not ui.toValidationButton.enabled
    ui.toTrainingButton.click()
    settle(panel, slicer_host)
    assert [case.name for case in read_dataset(raw_dataset).validation] == ["held_out"]


def test_a_case_without_annotations_cannot_judge(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    choose(panel, slicer_host, raw_dataset)
    select(panel, slicer_host, "case_3")
    panel.ui.toValidationButton.click()
    assert panel.ui.datasetNoteLabel.text.startswith("Nothing is annotated in case_3")
    assert not (raw_dataset / "split.json").exists()


def test_practice_fills_an_empty_folder_only(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    slicer_host.main_window()
    slicer_host.testing_enabled = False
    slicer_host.answer_next_dialog(str(raw_dataset))
    slicer_host.answer_next_dialog("OK")
    before = sorted(raw_dataset.rglob("*"))
    panel.ui.practiceButton.click()
    assert not panel.ui.practiceButton.enabled
    settle(panel, slicer_host)
    assert "is not empty" in slicer_host.dialogs_shown[-1]
    assert sorted(raw_dataset.rglob("*")) == before
    assert panel.ui.practiceButton.enabled
