"""The training panel: what the user sees in each state, and what each button does."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.reading import read_label_map, read_volume
from FlareTrainLib import run_folder, task_folder
from FlareTrainLib.case_choices import read_choices
from FlareTrainLib.dataset import read_dataset
from FlareTrainLib.settings import write_json
from FlareTrainLib.task_folder import TaskState

slicer = pytest.importorskip("slicer")

USER_ROLE = 256


def choose(panel: Any, host: Any, data: Path) -> None:
    """Choose a dataset folder, as the user does, and wait until it is listed."""
    panel.ui.dataPathLineEdit.currentPath = str(data)
    settle(panel, host)


def settle(panel: Any, host: Any) -> None:
    """Run the window until nothing short is on its way any more."""
    host.process_events(until=lambda: not panel.busy, timeout=60)


def texts(table: Any) -> list[list[str]]:
    """The texts of a table."""
    return [
        [table.item(row, column).text() for column in range(table.columnCount)]
        for row in range(table.rowCount)
    ]


def check(widget: Any, keys: tuple[str, ...]) -> None:
    """Check the items with these keys and no others."""
    import qt

    for row in range(widget.count):
        item = widget.item(row)
        item.setCheckState(qt.Qt.Checked if item.data(USER_ROLE) in keys else qt.Qt.Unchecked)


def wait_for(panel: Any, host: Any, folder: Path) -> None:
    """Run the window until a task has ended and the panel has seen it."""
    host.process_events(until=lambda: not task_folder.status(folder).state.alive, timeout=90)
    panel.refreshTasks()
    settle(panel, host)


def a_run(data: Path, state: str, message: str = "") -> Path:
    """A run's folder as a process leaves it."""
    recipe = data.parent / "r.json"
    network = {"training": {"fit": {"steps": 100}}}
    recipe.write_text(json.dumps({"name": "tiny", "network": network}))
    run = run_folder.create_run(run_folder.RunSettings(data, str(recipe), "cpu"))
    write_json(run / "recipe.json", {"name": "tiny", "network": network})
    process = {"pid": 2**22 + 1, "mark": "gone", "host": task_folder.platform.node()}
    write_json(run / "process.json", {**process, "started": time.time()})
    write_json(run / "outcome.json", {"state": state, "message": message})
    log = run / "network" / "fit" / "log.jsonl"
    log.parent.mkdir(parents=True)
    lines = [{"step": n, "seconds_per_step": 2.0, "loss": 3.0 - n / 50} for n in (20, 40)]
    lines.append({"step": 40, "validation": {"liver": 0.5, "spleen": 0.25}})
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def label_array(segmentation: Any, volume: Any) -> np.ndarray:
    """Target ids (k, j, i) of all segments, tumor last."""
    from FlareSegmentLib.labels import targets

    result = np.zeros(slicer.util.arrayFromVolume(volume).shape, np.uint8)
    for target in targets():
        if segmentation.GetSegmentation().GetSegment(target.key) is not None:
            mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, target.key, volume)
            result[mask > 0] = target.id
    return result


# --- states --------------------------------------------------------------------------------------


def test_nothing_chosen(panel: Any, slicer_host: Any) -> None:
    ui = panel.ui
    assert ui.datasetNoteLabel.text == "Choose the folder of a dataset, or make a new one."
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


def test_a_run_stopped_a_run_failed(panel: Any, slicer_host: Any, raw_dataset: Path) -> None:
    run = a_run(raw_dataset, "stopped", "Stopped; everything done so far is saved.")
    choose(panel, slicer_host, raw_dataset)
    ui = panel.ui
    assert ui.runStatusLabel.text == "Stopped. network: step 40 of 100"
    assert ui.progressBar.value == 400
    assert ui.resumeButton.enabled
    assert not ui.stopButton.enabled
    assert not ui.installButton.enabled
    write_json(run / "outcome.json", {"state": "failed", "message": "The disk is full."})
    panel.refreshTasks()
    assert ui.runStatusLabel.text.startswith("Failed. The disk is full.")


def test_curves_are_plots_of_losses_and_of_each_structure(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    run = a_run(raw_dataset, "stopped")
    choose(panel, slicer_host, raw_dataset)
    panel.ui.lossPlotButton.click()
    settle(panel, slicer_host)
    panel.ui.dscPlotButton.click()
    settle(panel, slicer_host)
    loss, dsc = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
    assert loss.GetNumberOfPlotSeriesNodes() == 1
    table = loss.GetNthPlotSeriesNode(0).GetTableNode()
    assert slicer.util.arrayFromTableColumn(table, "value") == pytest.approx([2.6, 2.2])
    names = [dsc.GetNthPlotSeriesNode(n).GetName() for n in range(2)]
    assert names == ["Liver", "Spleen"]
    with (run / "network" / "fit" / "log.jsonl").open("a") as log:
        log.write(json.dumps({"step": 60, "seconds_per_step": 2.0, "loss": 1.5}) + "\n")
    panel.refreshTasks()
    settle(panel, slicer_host)
    assert slicer.util.arrayFromTableColumn(table, "value") == pytest.approx([2.6, 2.2, 1.5])
    assert len(slicer.util.getNodesByClass("vtkMRMLPlotChartNode")) == 2


def test_scores_stand_beside_those_of_the_bundled_model(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    run = a_run(raw_dataset, "finished", "The model is ready.")
    (run / "bundle").mkdir()
    (run / "bundle" / "model.json").write_text('{"name": "tiny"}')
    for folder, dsc in (("latest", 0.75), ("bundled", 0.5)):
        (run / folder).mkdir()
        targets = {"liver": {"dsc": dsc, "nsd": dsc / 2, "cases": 2}}
        cases = [
            {"case": name, "targets": {"liver": {"dsc": value}}}
            for name, value in (("good", 0.9), ("bad", 0.6))
        ]
        content = {"targets": targets, "cases": cases}
        (run / folder / "evaluation.json").write_text(json.dumps(content))
    choose(panel, slicer_host, raw_dataset)
    assert texts(panel.ui.scoreTable) == [["Liver", "2", "0.750", "0.500", "0.375", "0.250"]]
    assert [row[0] for row in texts(panel.ui.worstTable)] == ["bad", "good"]
    assert panel.ui.installButton.enabled
    assert panel.ui.exportButton.enabled


# --- cases ---------------------------------------------------------------------------------------


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


def test_a_segmentation_becomes_a_case_with_what_was_annotated(
    panel: Any, slicer_host: Any, raw_dataset: Path, add_patient: Any
) -> None:
    volume, segmentation, labels = add_patient()
    choose(panel, slicer_host, raw_dataset)
    ui = panel.ui
    ui.caseVolumeSelector.setCurrentNode(volume)
    ui.caseSegmentationSelector.setCurrentNode(segmentation)
    ui.caseNameLineEdit.text = "new_one"
    check(ui.annotatedList, ("liver", "gallbladder"))
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
    panel.ui.caseVolumeSelector.setCurrentNode(volume)
    panel.ui.caseSegmentationSelector.setCurrentNode(segmentation)
    panel.ui.caseNameLineEdit.text = "case_0"
    check(panel.ui.annotatedList, ("liver",))
    path = raw_dataset / "labelsTr" / "case_0.nii.gz"
    before = path.read_bytes()
    slicer_host.testing_enabled = False
    slicer_host.answer_next_dialog("Cancel")
    panel.dataset.onAddCase()
    assert path.read_bytes() == before
    assert not (raw_dataset / "added").exists()
    slicer_host.answer_next_dialog("OK")
    panel.dataset.onAddCase()
    settle(panel, slicer_host)
    wait_for(panel, slicer_host, raw_dataset / "added" / "case_0")
    assert path.read_bytes() != before
    assert (raw_dataset / "replaced" / "1" / "labelsTr" / "case_0.nii.gz").read_bytes() == before


# --- refinement ----------------------------------------------------------------------------------


def test_the_worklist_shows_the_least_agreed_case_first_and_heeds_people(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    from FlareSegmentLib.labels import targets
    from FlareSegmentLib.writing import write_label_map

    worse = raw_dataset / "pseudo" / "b" / "case_3.nii.gz"
    array, affine = read_label_map(worse)
    write_label_map(worse, np.roll(array, 6, axis=2).astype(np.uint8), affine, targets())
    choose(panel, slicer_host, raw_dataset)
    check(panel.ui.sourceList, ("source:a", "source:b"))
    panel.training.chooseRecipe("p1")
    panel.ui.refineButton.click()
    assert panel.ui.refineButton.text == "Stop"
    wait_for(panel, slicer_host, raw_dataset / "refinement")
    rows = texts(panel.ui.worklistTable)
    assert rows[0][0] == "case_3"
    assert float(rows[0][1]) < 0.85
    assert rows[0][3:] == ["left out", "rule"]
    panel.ui.worklistTable.setCurrentCell(0, 0)
    panel.ui.acceptButton.click()
    assert read_choices(raw_dataset) == {"case_3": "accepted"}
    panel.ui.refineButton.click()
    wait_for(panel, slicer_host, raw_dataset / "refinement")
    assert texts(panel.ui.worklistTable)[0][3:] == ["pseudo organs", "you"]
    panel.refinement.onDoubleClicked(0, 0)
    settle(panel, slicer_host)
    overlay = slicer.util.arrayFromSegmentBinaryLabelmap(
        slicer.util.getNode("case_3 disagreement"),
        "disagreement",
        slicer.util.getFirstNodeByClassByName("vtkMRMLScalarVolumeNode", "case_3"),
    )
    assert np.array_equal(overlay == 1, array != np.roll(array, 6, axis=2))
    assert slicer.util.getNode("case_3 a").GetSegmentation().GetNumberOfSegments() == 14


# --- training ------------------------------------------------------------------------------------


def test_a_run_that_cannot_fit_is_warned_of(
    panel: Any, slicer_host: Any, raw_dataset: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "fine.json"
    grid = {"spacing": [0.01, 0.01, 0.01]}
    recipe.write_text(json.dumps({"name": "fine", "network": {"grid": grid}}))
    slicer_host.main_window()
    choose(panel, slicer_host, raw_dataset)
    panel.training.chooseRecipe(str(recipe))
    slicer_host.testing_enabled = False
    slicer_host.answer_next_dialog("Cancel")
    panel.training.onStart()
    settle(panel, slicer_host)
    assert "GB of memory" in slicer_host.dialogs_shown[-1]
    assert run_folder.list_runs(raw_dataset) == []


def test_opening_the_module_finds_a_run_that_is_alive(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    choose(panel, slicer_host, raw_dataset)
    run = a_run(raw_dataset, "stopped")
    import os

    mark = run_folder.task_folder.start_mark(os.getpid())
    process = {"pid": os.getpid(), "mark": mark, "host": task_folder.platform.node()}
    write_json(run / "process.json", {**process, "started": time.time()})
    panel.exit()
    panel.enter()
    settle(panel, slicer_host)
    ui = panel.ui
    assert ui.runComboBox.currentText == run.name
    assert ui.runStatusLabel.text == "network: step 40 of 100, 2 min left"
    assert ui.stopButton.enabled
    assert not ui.resumeButton.enabled
    ui.stopButton.click()
    assert task_folder.status(run).state is TaskState.STOPPING
    assert ui.runStatusLabel.text.startswith("Saving and stopping...")
    assert not ui.stopButton.enabled


def test_start_stop_and_resume(
    panel: Any, slicer_host: Any, raw_dataset: Path, tmp_path: Path
) -> None:
    network = {
        "grid": {"spacing": [16, 16, 16]},
        "patch": [16, 32, 32],
        "training": {
            "network": {
                "name": "SubvoxelUNet",
                "arguments": {"widths": [4, 6], "stem_stride": [1, 1, 1], "convolutions": 1},
            },
            "fit": {"steps": 100_000, "batch": 1, "prefetch": 0, "report_every": 1},
            "sampling": {"patches": [[8, 8, 8]], "patch_weights": [1]},
            "tumors": {"probability": 0.0},
        },
    }
    recipe = tmp_path / "long.json"
    recipe.write_text(json.dumps({"name": "long", "network": network}))
    choose(panel, slicer_host, raw_dataset)
    ui = panel.ui
    panel.training.chooseRecipe(str(recipe))
    check(ui.sourceList, ("source:a",))
    ui.runNameLineEdit.text = "first"
    ui.startButton.click()
    settle(panel, slicer_host)
    (run,) = run_folder.list_runs(raw_dataset)
    assert ui.runComboBox.currentText == "first"
    assert ui.runStatusLabel.text == "Preparing the data..."
    assert ui.stopButton.enabled

    slicer_host.process_events(
        until=lambda: ui.runStatusLabel.text.startswith("network: step"), timeout=90
    )
    assert "left" in ui.runStatusLabel.text
    ui.stopButton.click()
    assert ui.runStatusLabel.text.startswith("Saving and stopping...")
    wait_for(panel, slicer_host, run)
    assert ui.runStatusLabel.text.startswith("Stopped. network: step")
    assert "step" in ui.logText.toPlainText()
    stopped_at = run_folder.progress(run).step

    ui.resumeButton.click()
    slicer_host.process_events(until=lambda: run_folder.progress(run).step > stopped_at, timeout=90)
    assert ui.stopButton.enabled
    ui.stopButton.click()
    wait_for(panel, slicer_host, run)
    assert ui.resumeButton.enabled


def test_a_model_that_has_not_labeled_yet_is_not_silently_left_out(
    panel: Any, slicer_host: Any, raw_dataset: Path, home: Path
) -> None:
    model = home / "FlareSegment" / "Models" / "mine"
    model.mkdir(parents=True)
    (model / "model.json").write_text('{"name": "mine"}')
    slicer_host.main_window()
    choose(panel, slicer_host, raw_dataset)
    check(panel.ui.sourceList, (f"model:{model}",))
    slicer_host.testing_enabled = False
    slicer_host.answer_next_dialog("OK")
    # Shown to the user, and passed on to Slicer's log.
    with pytest.raises(InputError):
        panel.training.onStart()
    assert "have not been labeled with mine yet" in slicer_host.dialogs_shown[-1]
    assert run_folder.list_runs(raw_dataset) == []
