"""The section Training: choices, warnings, and a run from start to resume."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from panel_actions import check, choose, settle, wait_for

from FlareSegmentLib.errors import InputError
from FlareTrainLib import run_folder, task_folder
from FlareTrainLib.settings import write_json
from FlareTrainLib.task_folder import TaskState
from train_states import a_run

slicer = pytest.importorskip("slicer")


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


def test_a_run_that_cannot_fit_is_warned_of(
    panel: Any, slicer_host: Any, raw_dataset: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "fine.json"
    grid = {"spacing": [0.01, 0.01, 0.01]}
    recipe.write_text(json.dumps({"name": "fine", "network": {"grid": grid}}))
    slicer_host.main_window()
    choose(panel, slicer_host, raw_dataset)
    panel.training.choices.chooseRecipe(str(recipe))
    slicer_host.testing_enabled = False
    slicer_host.answer_next_dialog("Cancel")
    panel.training.onStart()
    settle(panel, slicer_host)
    assert "GB on the disk" in slicer_host.dialogs_shown[-1]
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
    assert ui.runComboBox.currentText == f"{run.name} (running)"
    assert ui.runStatusLabel.text == "network: step 40 of 100, 2 min left"
    assert ui.stopButton.enabled
    assert not ui.resumeButton.enabled
    ui.stopButton.click()
    assert task_folder.status(run).state is TaskState.STOPPING
    assert ui.runStatusLabel.text.startswith("Saving and stopping...")
    assert not ui.stopButton.enabled


def test_after_a_restart_the_run_is_found_in_the_dataset_of_the_last_time(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    run = a_run(raw_dataset, "stopped")
    choose(panel, slicer_host, raw_dataset)
    panel.exit()
    slicer.mrmlScene.Clear(0)  # a restarted Slicer has an empty scene
    panel.enter()
    settle(panel, slicer_host)
    assert panel.data() == raw_dataset
    assert panel.ui.runComboBox.currentText == f"{run.name} (stopped)"
    assert panel.ui.runStatusLabel.text.startswith("Stopped.")


def test_start_stop_and_resume(
    panel: Any, slicer_host: Any, raw_dataset: Path, tiny_recipe: Any
) -> None:
    recipe = tiny_recipe(100_000)
    choose(panel, slicer_host, raw_dataset)
    ui = panel.ui
    panel.training.choices.chooseRecipe(str(recipe))
    check(ui.sourceList, ("source:a",))
    ui.runNameLineEdit.text = "first"
    ui.startButton.click()
    settle(panel, slicer_host)
    (run,) = run_folder.list_runs(raw_dataset)
    assert ui.runComboBox.currentText == "first (running)"
    assert ui.runStatusLabel.text == "Starting..."
    assert ui.stopButton.enabled

    slicer_host.process_events(
        until=lambda: ui.runStatusLabel.text.startswith("network: step"), timeout=600
    )
    assert "left" in ui.runStatusLabel.text
    ui.stopButton.click()
    assert ui.runStatusLabel.text.startswith("Saving and stopping...")
    wait_for(panel, slicer_host, run)
    assert ui.runStatusLabel.text.startswith("Stopped. network: step")
    assert ui.logText.toPlainText() == ""
    ui.logGroupBox.collapsed = False
    panel.refreshTasks()
    assert "step" in ui.logText.toPlainText()
    stopped_at = run_folder.progress(run).step

    ui.resumeButton.click()
    slicer_host.process_events(
        until=lambda: run_folder.progress(run).step > stopped_at, timeout=600
    )
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


def test_fold_and_start_are_kept_with_the_run(
    panel: Any, slicer_host: Any, raw_dataset: Path, home: Path
) -> None:
    model = home / "FlareSegment" / "Models" / "mine"
    model.mkdir(parents=True)
    (model / "model.json").write_text('{"name": "mine"}')
    choose(panel, slicer_host, raw_dataset)
    ui = panel.ui
    ui.initialComboBox.setCurrentIndex(ui.initialComboBox.findText("mine"))
    ui.foldComboBox.setCurrentIndex(2)
    run = panel.logic.createRun(panel.training.choices.settings(), "chosen")
    arguments = task_folder.read_request(run)[1]
    assert (arguments["fold"], arguments["initial"]) == (2, str(model))


def test_a_start_from_a_model_with_another_network_is_refused(
    panel: Any, slicer_host: Any, raw_dataset: Path, home: Path
) -> None:
    model = home / "FlareSegment" / "Models" / "mine"
    model.mkdir(parents=True)
    network = {"name": "PlainUNet", "arguments": {}}
    (model / "model.json").write_text(json.dumps({"name": "mine", "network": network}))
    choose(panel, slicer_host, raw_dataset)
    ui = panel.ui
    ui.initialComboBox.setCurrentIndex(ui.initialComboBox.findText("mine"))
    slicer_host.main_window()
    panel.training.choices.chooseRecipe("best")
    slicer_host.testing_enabled = False
    slicer_host.answer_next_dialog("OK")
    ui.startButton.click()
    settle(panel, slicer_host)
    assert "is not the one that the recipe 'best' trains" in slicer_host.dialogs_shown[-1]
    assert run_folder.list_runs(raw_dataset) == []
