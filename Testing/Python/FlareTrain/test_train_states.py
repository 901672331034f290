"""What may happen to a dataset and its runs behind the panel's back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from panel_actions import choose, fill_in_case, settle, texts, wait_for

from FlareTrainLib import run_folder, task_folder
from FlareTrainLib.settings import read_json, write_json
from FlareTrainLib.task_folder import TaskState
from train_states import a_run, alive, checked, died, many_cases

slicer = pytest.importorskip("slicer")

LONG = "Universitätsklinikum_Abdomen_CT_portalvenös_Serie_003_Schichtdicke_1.25"


def choose_run(panel: Any, host: Any, run: Path) -> None:
    combo = panel.ui.runComboBox
    combo.setCurrentIndex(combo.findData(str(run)))
    settle(panel, host)


def test_the_selected_case_says_what_the_check_found(
    panel: Any, slicer_host: Any, tmp_path: Path
) -> None:
    data = many_cases(tmp_path / "data", ["good", "bad"])
    checked(data, {"bad": ("It has 6 slices.", "Its label map is empty.")})
    choose(panel, slicer_host, data)
    assert [row[3] for row in texts(panel.ui.caseTable)] == ["2", ""]
    panel.ui.caseTable.setCurrentCell(0, 0)
    assert panel.ui.datasetNoteLabel.text == "bad: It has 6 slices. Its label map is empty."


def test_500_cases_are_listed_and_counted(panel: Any, slicer_host: Any, tmp_path: Path) -> None:
    names = [f"patient_{n:03d}" for n in range(500)]
    choose(panel, slicer_host, many_cases(tmp_path / "data", names, judging=100))
    assert panel.ui.caseTable.rowCount == 500
    assert panel.ui.datasetNoteLabel.text == (
        "400 cases for training, 0 of them without annotations; 100 for validation."
    )


def test_long_names_in_any_alphabet_do_not_widen_the_panel(
    panel: Any, module: Any, slicer_host: Any, tmp_path: Path
) -> None:
    def least_width() -> int:
        slicer_host.process_events()
        return int(module.panel().minimumSizeHint.width())

    choose(panel, slicer_host, many_cases(tmp_path / "d", ["a"], 1))
    before = least_width()
    data = many_cases(tmp_path / f"肝臓 {LONG}", [f"{LONG}_{n}" for n in range(3)], 1)
    a_run(data, "stopped", "", f"Versuch {LONG}")
    choose(panel, slicer_host, data)
    assert panel.ui.runComboBox.count == 1
    assert least_width() <= before
    table = panel.ui.caseTable
    assert table.columnWidth(0) < 0.5 * max(table.width, 300)
    assert texts(table)[0][0] == f"{LONG}_0"
    assert f"{LONG}_0" in table.item(0, 0).toolTip()


def test_a_dataset_in_a_folder_of_any_alphabet_is_trained_on(
    panel: Any, slicer_host: Any, raw_dataset: Path, tmp_path: Path, tiny_recipe: Any
) -> None:
    data = raw_dataset.rename(tmp_path / "Bäuche 肝臓 печень")
    choose(panel, slicer_host, data)
    assert panel.ui.caseTable.rowCount == 5
    panel.dataset.onDoubleClicked(2, 0)
    settle(panel, slicer_host)
    assert panel.ui.datasetNoteLabel.text == "case_2 is in the scene."
    settings = run_folder.RunSettings(
        data, str(tiny_recipe(2)), "cpu", sources=("a",), validate=False, compare=False
    )
    run = panel.logic.createRun(settings, "läuft")
    panel.logic.start(run)
    wait_for(panel, slicer_host, run)
    status = task_folder.status(run)
    assert status.state is TaskState.FINISHED, task_folder.log_end(run)


def test_a_dataset_that_was_moved_is_missed_and_found_with_its_runs(
    panel: Any, slicer_host: Any, raw_dataset: Path, tmp_path: Path, tiny_recipe: Any
) -> None:
    settings = run_folder.RunSettings(
        raw_dataset, str(tiny_recipe(2)), "cpu", sources=("a",), validate=False, compare=False
    )
    panel.logic.createRun(settings, "mine")
    choose(panel, slicer_host, raw_dataset)
    moved = raw_dataset.rename(tmp_path / "moved")
    panel.refreshTasks()
    settle(panel, slicer_host)
    ui = panel.ui
    assert ui.datasetNoteLabel.text.startswith(f"The folder {raw_dataset.name} is not there")
    assert (ui.caseTable.rowCount, ui.runComboBox.count) == (0, 0)
    for name in ("start", "stop", "resume", "curves", "refine", "install", "addCase", "check"):
        assert not getattr(ui, f"{name}Button").enabled, name
    choose(panel, slicer_host, moved)
    assert ui.runComboBox.currentText == "mine (not started)"
    ui.resumeButton.click()
    wait_for(panel, slicer_host, moved / "runs" / "mine")
    assert ui.runStatusLabel.text.startswith("Finished."), task_folder.log_end(moved / "runs/mine")
    assert not raw_dataset.exists()


def test_a_drive_that_comes_back_is_seen(
    panel: Any, slicer_host: Any, raw_dataset: Path, tmp_path: Path
) -> None:
    choose(panel, slicer_host, raw_dataset)
    away = raw_dataset.rename(tmp_path / "away")
    panel.refreshTasks()
    settle(panel, slicer_host)
    assert panel.ui.caseTable.rowCount == 0
    away.rename(raw_dataset)
    panel.refreshTasks()
    settle(panel, slicer_host)
    assert panel.ui.caseTable.rowCount == 5
    assert panel.ui.startButton.enabled


def test_a_closed_scene_keeps_the_dataset(panel: Any, slicer_host: Any, raw_dataset: Path) -> None:
    run = a_run(raw_dataset, "stopped")
    choose(panel, slicer_host, raw_dataset)
    slicer.mrmlScene.Clear(0)
    settle(panel, slicer_host)
    assert panel.ui.dataPathLineEdit.currentPath == str(raw_dataset)
    assert panel.ui.caseTable.rowCount == 5
    assert panel.run() == run


def test_a_run_whose_folder_was_deleted_does_not_trouble_the_others(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    keep, gone = (a_run(raw_dataset, "stopped", name=name) for name in ("keep", "gone"))
    choose(panel, slicer_host, raw_dataset)
    choose_run(panel, slicer_host, gone)
    shutil.rmtree(gone)
    panel.refreshTasks()
    assert panel.ui.runStatusLabel.text == "The folder of this run is not there any more."
    assert not panel.ui.resumeButton.enabled
    choose_run(panel, slicer_host, keep)
    assert panel.ui.runStatusLabel.text.startswith("Stopped.")


def test_a_run_that_died_says_how_to_go_on(panel: Any, slicer_host: Any, raw_dataset: Path) -> None:
    died(a_run(raw_dataset, "stopped"))
    choose(panel, slicer_host, raw_dataset)
    assert panel.ui.runStatusLabel.text.startswith("Failed. It ended without saying why")
    assert "Resume goes on" in panel.ui.runStatusLabel.text
    assert panel.ui.resumeButton.enabled


@pytest.mark.parametrize(
    ("activity", "text"),
    [
        ({"kind": "comparing"}, "Comparing the labels..."),
        ({"kind": "labeling", "done": 2, "of": 9}, "Labeling the scans: 2 of 9"),
        (
            {"kind": "packing", "done": 3, "of": 6},
            "Preparing the scans: 3 of 6. A time limit counts from the first step.",
        ),
        ({"kind": "scoring", "done": 1, "of": 2}, "Scoring the model: case 1 of 2"),
        ({"kind": "training", "fit": "network/fit"}, "network: step 40 of 100, 2 min left"),
    ],
)
def test_a_run_says_what_it_does(
    panel: Any, slicer_host: Any, raw_dataset: Path, activity: dict[str, Any], text: str
) -> None:
    alive(a_run(raw_dataset, "stopped", minutes=10), **activity)
    choose(panel, slicer_host, raw_dataset)
    assert panel.ui.runStatusLabel.text == text


def test_labeling_and_checking_say_how_far_they_are(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    for name, kind in (("check", "reading"), ("refinement", "labeling")):
        (raw_dataset / name).mkdir()
        write_json(raw_dataset / name / "outcome.json", {})
        alive(raw_dataset / name, kind=kind, done=2, of=9)
    choose(panel, slicer_host, raw_dataset)
    panel.refreshTasks()
    assert panel.ui.datasetNoteLabel.text == "Reading the dataset: case 2 of 9"
    assert panel.ui.refinementNoteLabel.text == "Labeling the scans: 2 of 9"
    for name in ("check", "refinement"):
        shutil.rmtree(raw_dataset / name)


def test_a_time_limit_does_not_run_while_scans_are_prepared(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    run = alive(a_run(raw_dataset, "stopped", minutes=1), kind="packing", done=1, of=2)
    process = read_json(run / "process.json")
    # It began ten minutes ago, far more than its limit.
    (run / "process.json").write_text(json.dumps({**process, "started": process["started"] - 600}))
    choose(panel, slicer_host, raw_dataset)
    assert panel.ui.progressBar.value == 400  # its steps, as the log has them


def test_a_second_run_at_once_is_asked_about(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    alive(a_run(raw_dataset, "stopped", name="first"))
    choose(panel, slicer_host, raw_dataset)
    assert panel.ui.runComboBox.currentText == "first (running)"
    slicer_host.testing_enabled = False
    slicer_host.answer_next_dialog("Cancel")
    panel.training.choices.chooseRecipe("best")
    panel.ui.startButton.click()
    settle(panel, slicer_host)
    assert "Already being trained: first." in slicer_host.dialogs_shown[-1]
    assert [run.name for run in run_folder.list_runs(raw_dataset)] == ["first"]


def test_a_training_that_nobody_will_judge_is_asked_about(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    for folder in ("imagesTs", "labelsTs"):
        shutil.rmtree(raw_dataset / folder)
    known = read_json(raw_dataset / "annotated.json")
    known.pop("held_out")
    (raw_dataset / "annotated.json").write_text(json.dumps(known))
    choose(panel, slicer_host, raw_dataset)
    panel.training.choices.chooseRecipe("best")
    slicer_host.testing_enabled = False
    slicer_host.answer_next_dialog("Cancel")
    panel.ui.startButton.click()
    settle(panel, slicer_host)
    assert "No case is for validation" in slicer_host.dialogs_shown[-1]
    assert run_folder.list_runs(raw_dataset) == []


def test_a_scene_that_is_closed_while_segments_are_read_leaves_a_whole_case_or_none(
    panel: Any, slicer_host: Any, raw_dataset: Path, add_patient: Any
) -> None:
    from FlareTrainLib.dataset import read_dataset

    volume, segmentation, _labels = add_patient()
    choose(panel, slicer_host, raw_dataset)
    ui = panel.ui
    fill_in_case(panel, volume, segmentation, "new_one", ("liver",))
    ui.addCaseButton.click()
    assert panel.addCase.busy
    del volume, segmentation
    slicer.mrmlScene.Clear(0)
    settle(panel, slicer_host)
    staged = raw_dataset / "added" / "new_one"
    slicer_host.process_events(
        until=lambda: not task_folder.status(staged).state.alive, timeout=300
    )
    names = [case.name for case in read_dataset(raw_dataset).cases]
    assert ("new_one" in names) == (raw_dataset / "labelsTr" / "new_one.nii.gz").exists()
    choose(panel, slicer_host, raw_dataset)
    assert panel.ui.startButton.enabled
