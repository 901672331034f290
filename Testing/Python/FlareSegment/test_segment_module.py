"""The module as Slicer makes, reloads, tests and ends it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from segment_actions import choose

from FlareSegmentLib.panel_state import PanelState
from FlareSegmentLib.worker_state import WorkerState

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")


# --- the scene and the end ------------------------------------------------------------------------


def test_closing_the_scene_cancels_and_starts_anew(panel, slicer_host, add_scan) -> None:
    choose(panel, add_scan("slow"))
    panel.ui.applyButton.click()
    slicer_host.process_events(until=lambda: panel.ui.progressBar.value > 200, timeout=60)
    slicer.mrmlScene.Clear(0)
    slicer_host.process_events(until=lambda: not panel.logic.busy, timeout=10)
    assert panel.state is PanelState.NOTHING_CHOSEN
    assert panel.ui.inputSelector.currentNode() is None


def test_closing_the_module_leaves_no_process(panel, slicer_host, add_scan) -> None:
    choose(panel, add_scan("slow"))
    panel.ui.applyButton.click()
    slicer_host.process_events(until=lambda: panel.ui.progressBar.value > 200, timeout=60)
    pid = panel.logic.client().facts["pid"]
    panel.cleanup()
    assert panel.logic.workerState is WorkerState.STOPPED
    slicer_host.process_events(until=lambda: not Path(f"/proc/{pid}").exists(), timeout=10)


def test_quitting_during_a_run_starts_no_new_worker(panel, slicer_host, python, add_scan) -> None:
    """Slicer's aboutToQuit calls `stopWorker` while the panel still is there."""
    choose(panel, add_scan("slow"))
    panel.ui.applyButton.click()
    slicer_host.process_events(until=lambda: panel.ui.progressBar.value > 200, timeout=60)
    python.FlareSegmentLogic.stopWorker()
    slicer_host.process_events()
    assert not panel.logic.busy
    assert not panel.logic.hasWorker


RELOAD = """
import json, sys
from pathlib import Path
root = Path(sys.argv[1])
sys.path[:0] = [str(root / "Testing"), str(root / "FlareSegment")]
from SlicerHost import start
host = start()
module = host.load_module(root / "FlareSegment/FlareSegment.py")
import numpy as np, slicer
module.python.FlareSegmentLogic.workerCommand = json.loads(sys.argv[2])
old = module.enter()
host.process_events(until=lambda: "pid" in old.logic.client().facts, timeout=60)
process = Path("/proc", str(old.logic.client().facts["pid"]))
names = ("FlareSegment", "FlareSegmentSlicer.job", "FlareSegmentSlicer.panel.run_section",
         "FlareSegmentLib.panel_state")
before = {name: sys.modules[name] for name in names}
old.onReload()
print("read again:", all(sys.modules[name] is not before[name] for name in names))
host.process_events(until=lambda: not process.exists(), timeout=20)
new = slicer.modules.FlareSegmentWidget
print("new panel:", new is not old, type(new).__module__, new.logic is not old.logic)
logic_class = sys.modules["FlareSegment"].FlareSegmentLogic
logic_class.workerCommand = json.loads(sys.argv[2])
new.enter()
volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
slicer.util.updateVolumeFromArray(volume, np.full((9, 9, 9), 1001, np.int16))
new.ui.inputSelector.setCurrentNode(volume)
new.ui.applyButton.click()
host.process_events(until=lambda: not new.logic.busy, timeout=60)
print("state:", new.state.value)
logic_class.stopWorker()
print("left:", host.finish_test())
"""


def test_reload_reads_all_files_again(python, repository: Path) -> None:
    """For developers. In a process of its own: other tests hold what is imported now."""
    command = json.dumps(python.FlareSegmentLogic.workerCommand)
    ended = subprocess.run(
        [sys.executable, "-c", RELOAD, str(repository), command], capture_output=True, text=True
    )
    assert ended.stdout.splitlines() == [
        "read again: True",
        "new panel: True FlareSegment True",
        "state: done",
        "left: []",
    ], ended.stderr


# --- the module's own test ------------------------------------------------------------------------


def test_modules_own_test_runs_the_bundled_model(slicer_host, python) -> None:
    """What Slicer's test runner runs: the product as it is installed, on a synthetic scan."""
    pytest.importorskip("torch")
    python.FlareSegmentLogic.workerCommand = None
    test = python.FlareSegmentTest()
    test.runTest()


@pytest.mark.parametrize("method", ["runTest", "test_segments_a_phantom"])
def test_modules_own_test_is_skipped_without_torch(monkeypatch, python, method) -> None:
    """Where extensions are built nobody installs PyTorch; ctest calls the test methods."""
    from FlareSegmentSlicer.shared import installation

    monkeypatch.setattr(installation, "torchIsInstalled", lambda: False)
    outcome = python.FlareSegmentTest(method).run()
    assert outcome.wasSuccessful()
    assert len(outcome.skipped) == (method != "runTest")


def test_panel_outside_of_the_module_window_works(module, slicer_host) -> None:
    """Made without a parent, a widget of Slicer makes its own and sets itself up."""
    widget = module.python.FlareSegmentWidget()
    assert widget.batch is not None
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
    slicer.mrmlScene.Clear(0)
    assert widget.ui.applyButton.toolTip == "Choose a CT volume."
    widget.cleanup()
    widget.parent.deleteLater()
