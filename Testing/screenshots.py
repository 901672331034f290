"""Render the panels of FlareSegment and FlareTrain in their main states to PNG files.

Usage: python Testing/screenshots.py [folder]

The panel is the real one in the host of the tests; the engine is the one of the tests that does
what a volume's name says, so that every state is reached in seconds on any computer. The numbers
in the table are therefore those of a drawn block, not of a patient. The training panel shows
files that look like a dataset and a run; its scores are made up.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SCRIPTED_WORKER = ROOT / "Testing/Python/FlareSegmentLib/scripted_worker.py"
WIDTH, HEIGHT = 460, 900


class Studio:
    """The panel on a stage, and the scans that bring it into its states."""

    def __init__(self, host: Any, folder: Path) -> None:
        import slicer

        self._host = host
        self._folder = folder
        self._slicer = slicer
        self.module = host.load_module(ROOT / "FlareSegment/FlareSegment.py")
        logic_class = self.module.python.FlareSegmentLogic
        logic_class.workerCommand = [sys.executable, str(SCRIPTED_WORKER)]
        self.panel = self.module.enter()
        self.pictures: list[Path] = []

    def training_panel(self) -> Any:
        """Go to the other module; its panel."""
        self.module = self._host.load_module(ROOT / "FlareTrain/FlareTrain.py")
        self.panel = self.module.enter()
        return self.panel

    def scan(self, name: str, shown: str = "CT abdomen portal venous") -> Any:
        """Choose a scan that makes the engine act out `name`."""
        import numpy as np

        slicer = self._slicer
        array = np.full((60, 100, 120), -900, np.int16)
        for number in range(1, 15):
            if number not in (9, 12):
                k, j, i = 3 * number, 5 * number, 6 * number
                array[k : k + 24 - number, j : j + 20 - number, i : i + 26 - number] = 1000 + number
        volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        slicer.util.updateVolumeFromArray(volume, array)
        volume.SetSpacing(2.2, 2.2, 4.0)
        self.panel.ui.inputSelector.setCurrentNode(volume)
        if name == "scan":
            volume.SetName(shown)
        return volume

    def wait(self, until: Callable[[], Any]) -> None:
        """Run the application until the condition holds."""
        self._host.process_events(until=until, timeout=60)

    def picture(self, name: str) -> None:
        """Save the panel as it is now."""
        widget = self.module.panel()
        widget.resize(WIDTH, HEIGHT)
        self._host.process_events()
        path = self._folder / f"{name}.png"
        if not widget.grab().save(str(path)):
            raise OSError(f"{path} could not be written.")
        self.pictures.append(path)

    def clear(self) -> None:
        """Begin the next state with an empty scene."""
        self._slicer.mrmlScene.Clear(0)
        self.panel.initializeParameterNode()


def show_states(studio: Studio) -> None:
    """Bring the panel into each state and take its picture."""
    from FlareSegmentLib.worker_client import WorkerState

    panel, ui = studio.panel, studio.panel.ui
    studio.picture("1_nothing_chosen")
    studio.scan("scan")
    panel.logic.stopWorker()
    panel._warmUp()
    studio.picture("2_warming_up")
    studio.wait(lambda: panel.logic.workerState is WorkerState.READY)
    studio.picture("3_ready")
    volume = studio.scan("slow")
    ui.applyButton.click()
    volume.SetName("CT abdomen portal venous")
    studio.wait(lambda: ui.progressBar.value > 400 and "left" in ui.statusLabel.text)
    studio.picture("4_running")
    ui.applyButton.click()
    studio.picture("5_cancelling")
    studio.wait(lambda: not panel.logic.busy)
    studio.clear()
    studio.scan("scan")
    ui.applyButton.click()
    studio.wait(lambda: not panel.logic.busy)
    studio.picture("6_done")
    studio.clear()
    volume = studio.scan("not a CT")
    ui.applyButton.click()
    volume.SetName("ultrasound")
    studio.wait(lambda: not panel.logic.busy)
    studio.picture("7_failed")
    studio.clear()
    studio.scan("scan")
    show_installing(studio)
    show_batch(studio)


def show_installing(studio: Studio) -> None:
    """Take the picture in the middle of an installation that installs nothing."""
    panel = studio.panel
    panel.run.installing = True
    panel.updateGUI()
    studio.picture("8_installing")
    panel.run.installing = False
    panel.updateGUI()


def show_batch(studio: Studio) -> None:
    """Take the picture of a batch half way."""
    from FlareSegmentLib.batch_client import BatchCase, BatchTable

    ui = studio.panel.ui
    for section in (ui.inputsCollapsibleButton, ui.outputsCollapsibleButton):
        section.collapsed = True
    ui.resultsCollapsibleButton.collapsed = True
    ui.batchCollapsibleButton.collapsed = False
    ui.advancedCollapsibleButton.collapsed = False
    node = studio.panel._parameterNode
    node.batchInput, node.batchOutput = Path("/data/liver study"), Path("/data/results")
    states = ("done", "done", "skipped", "failed", "done", "stopped", "stopped")
    messages = ("13 structures", "12 structures", "13 structures", "Found no air.", "13 structures")
    cases = [
        BatchCase(f"patient {n:02d}", state, message)
        for n, (state, message) in enumerate(zip(states, (*messages, "", ""), strict=True), 1)
    ]
    studio.panel.batch.client.table = BatchTable(cases)
    studio.panel.batch.show()
    studio.picture("9_batch")


def show_training(studio: Studio, folder: Path) -> None:
    """Take pictures of the training panel with a dataset and a run as a process leaves it."""
    panel = studio.training_panel()
    ui = panel.ui
    studio.picture("train_1_nothing_chosen")
    data, run = make_training_data(folder)
    os.chdir(folder)  # a short path in the pictures
    ui.dataPathLineEdit.currentPath = data.name
    ui.addGroupBox.collapsed = False
    studio.picture("train_2_dataset")
    ui.datasetCollapsibleButton.collapsed = True
    ui.refinementCollapsibleButton.collapsed = False
    ui.worklistTable.setCurrentCell(0, 0)
    studio.picture("train_3_refinement")
    ui.refinementCollapsibleButton.collapsed = True
    ui.trainingCollapsibleButton.collapsed = False
    ui.logGroupBox.collapsed = False
    studio.picture("train_4_training")
    act_finished(run)
    panel.refreshTasks()
    ui.logGroupBox.collapsed = True
    ui.resultCollapsibleButton.collapsed = False
    studio.picture("train_5_result")


def make_training_data(folder: Path) -> tuple[Path, Path]:
    """Make a dataset of empty files that look like one, with decisions and a run that is alive."""
    from FlareTrainLib import run_folder, task_folder
    from FlareTrainLib.settings import write_json

    data = folder / "liver study"
    annotated = {}
    for number in range(1, 9):
        name = f"patient_{number:02d}"
        place = data / "imagesTr" / f"{name}_0000.nii.gz"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
        ids = {1: list(range(1, 15)), 2: [1, 3, 14], 3: [1], 4: [14]}.get(number)
        if ids:
            (data / "labelsTr").mkdir(exist_ok=True)
            (data / "labelsTr" / f"{name}.nii.gz").touch()
            annotated[name] = ids
        for source in ("flare-base", "other model"):
            (data / "pseudo" / source).mkdir(parents=True, exist_ok=True)
            (data / "pseudo" / source / f"{name}.nii.gz").touch()
    write_json(data / "annotated.json", annotated)
    make_decisions(data / "refinement")
    settings = run_folder.RunSettings(data, "best", "auto", 600.0)
    run = run_folder.create_run(settings, "first try")
    from FlareTrainLib.recipe import read_recipe
    from FlareTrainLib.settings import settings_to_json

    write_json(run / "recipe.json", settings_to_json(read_recipe("best")))
    (run / "output.log").write_text("21:04:11 {'step': 6400, 'loss': 0.8123}\n")
    for stage, steps in (("localiser", 20000), ("network", 6400)):
        log = run / stage / "fit" / "log.jsonl"
        log.parent.mkdir(parents=True)
        log.write_text(f'{{"step": {steps}, "seconds_per_step": 0.9, "loss": 0.81}}\n')
    write_json(
        run / "process.json",
        {
            "pid": os.getpid(),
            "mark": task_folder.start_mark(os.getpid()),
            "host": task_folder.platform.node(),
            "started": time.time() - 5000,
        },
    )
    return data, run


def make_decisions(folder: Path) -> None:
    """Write a refinement's result with made-up scores."""
    from FlareTrainLib.settings import write_json

    decisions = []
    (folder / "scores").mkdir(parents=True)
    for number, agreement in ((5, 0.94), (6, 0.61), (7, 0.88), (8, 0.79)):
        name = f"patient_{number:02d}"
        good = agreement > 0.7
        line = {"case": name, "kind": "unlabeled", "score": agreement, "limit": 0.7}
        reason = "The two sources agree." if good else "The two sources differ."
        passed = "passed" if good else "rejected"
        decisions.append({**line, "step": "agreement gate", "decision": passed, "reason": reason})
        use = "pseudo organs" if good else "left out"
        decisions.append({**line, "step": "use", "decision": use, "reason": ""})
        scores = {
            "case": name,
            "kind": "unlabeled",
            "sources": ["flare-base", "other model"],
            "agreement": agreement,
        }
        write_json(folder / "scores" / f"{name}.json", {"files": [], "scores": scores})
    write_json(folder / "decisions.json", decisions)


def act_finished(run: Path) -> None:
    """Leave in a run what a finished one leaves, with made-up scores."""
    from FlareSegmentLib.labels import targets
    from FlareTrainLib.settings import read_json, write_json

    process = read_json(run / "process.json")
    write_json(run / "process.json", {**process, "mark": "ended"})
    write_json(run / "outcome.json", {"state": "finished", "message": "The model is ready."})
    (run / "bundle").mkdir()
    write_json(run / "bundle" / "model.json", {"name": "best"})
    cases = [
        {"case": f"held_out_{n}", "targets": {"liver": {"dsc": 0.95 - n / 20}}} for n in (1, 2, 3)
    ]
    for name, gain in (("latest", 0.02), ("bundled", 0.0)):
        scores = {
            target.key: {"dsc": 0.95 - 0.02 * n + gain, "nsd": 0.9 - 0.02 * n + gain, "cases": 3}
            for n, target in enumerate(targets())
        }
        (run / name).mkdir()
        write_json(run / name / "evaluation.json", {"targets": scores, "cases": cases})


def main() -> int:
    """Write the pictures and name them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "Screenshots" / "panel")
    folder: Path = parser.parse_args().folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    for path in (ROOT / "Testing", ROOT / "FlareSegment", ROOT / "FlareTrain"):
        sys.path.insert(0, str(path))
    with tempfile.TemporaryDirectory() as home:
        os.environ.setdefault("HOME", home)
        from SlicerHost import start

        host = start()
        studio = Studio(host, folder)
        logic_class = studio.module.python.FlareSegmentLogic
        try:
            show_states(studio)
            show_training(studio, Path(home))
        finally:
            os.chdir(ROOT)
            logic_class.stopWorker()
            host.finish_test()
    for path in studio.pictures:
        print(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
