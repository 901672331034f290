"""Render the panel of FlareSegment in its main states to PNG files.

Usage: python Testing/screenshots.py [folder]

The panel is the real one in the host of the tests; the engine is the one of the tests that does
what a volume's name says, so that every state is reached in seconds on any computer. The numbers
in the table are therefore those of a drawn block, not of a patient. FlareTrain's panel:
`train_screenshots.py` for its states, `tutorial.py` for the pictures of its tutorial.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from picture_stage import ROOT, save_picture, shown_path, stage

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
        path = self._folder / f"{name}.png"
        self.pictures.append(save_picture(self._host, self.module, path, (WIDTH, HEIGHT)))

    def clear(self) -> None:
        """Begin the next state with an empty scene."""
        self._slicer.mrmlScene.Clear(0)
        self.panel.initializeParameterNode()


def show_states(studio: Studio) -> None:
    """Bring the panel into each state and take its picture."""
    from FlareSegmentLib.worker_state import WorkerState

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


def main() -> int:
    """Write the pictures and name them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "Screenshots" / "panel")
    folder: Path = parser.parse_args().folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with stage() as (host, _home):
        studio = Studio(host, folder)
        show_states(studio)
    for path in studio.pictures:
        print(shown_path(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
