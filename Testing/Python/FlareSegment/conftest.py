"""Fixtures of the module's tests: the host application, small scans, a worker that is fast."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "Testing"))
sys.path.insert(0, str(Path(__file__).parent))  # segment_actions

from SlicerHost.fixtures import slicer_host  # noqa: E402, F401  (a fixture)

SCRIPTED_WORKER = ROOT / "Testing/Python/FlareSegmentLib/scripted_worker.py"


@pytest.fixture
def module(slicer_host: Any):  # noqa: F811  (a fixture)
    """The loaded module, with the worker whose engine does what a volume's name says."""
    loaded = slicer_host.load_module(ROOT / "FlareSegment/FlareSegment.py")
    logic_class = loaded.python.FlareSegmentLogic
    logic_class.stopWorker()
    logic_class.workerCommand = [sys.executable, str(SCRIPTED_WORKER)]
    yield loaded
    logic_class.stopWorker()
    logic_class.workerCommand = None


@pytest.fixture
def python(module: Any):
    """The module's Python file, imported."""
    return module.python


@pytest.fixture
def logic(python: Any):
    """A logic without any window."""
    return python.FlareSegmentLogic()


@pytest.fixture
def add_scan(slicer_host: Any):  # noqa: F811
    """Add volumes to the scene: liver in one half, spleen and tumor in boxes, an odd geometry."""
    import slicer

    def add(name: str = "scan", array: np.ndarray | None = None) -> Any:
        if array is None:
            array = np.full((10, 12, 14), -900, np.int16)
            array[2:6, 3:9, 2:7] = 1001  # liver
            array[6:9, 3:6, 8:12] = 1003  # spleen
            array[3:5, 4:6, 3:5] = 1014  # tumor
        volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        slicer.util.updateVolumeFromArray(volume, array)
        volume.SetSpacing(0.7, 0.8, 2.5)
        volume.SetOrigin(-20.0, 35.0, 410.0)
        volume.SetIJKToRASDirections(-1, 0, 0, 0, 0, 1, 0, -1, 0)
        return volume

    return add


@pytest.fixture
def panel(module: Any, slicer_host: Any):  # noqa: F811
    """The module's widget, entered in a main window."""
    widget = module.enter()
    slicer_host.process_events()
    return widget


@pytest.fixture
def click(slicer_host: Any):  # noqa: F811
    """Click a button from within the event loop, where Slicer's dialogs are at home."""
    import qt

    def click_button(button) -> None:
        clicked: list[bool] = []

        def press() -> None:
            button.click()
            clicked.append(True)

        qt.QTimer.singleShot(0, press)
        slicer_host.process_events(until=lambda: clicked, timeout=20)

    return click_button


@pytest.fixture
def run(panel: Any, slicer_host: Any, click: Any):  # noqa: F811
    """Click Segment and wait for the end of the run."""

    def click_and_wait() -> None:
        click(panel.ui.applyButton)
        slicer_host.process_events(until=lambda: not panel.logic.busy, timeout=60)

    return click_and_wait


@pytest.fixture
def browser(slicer_host: Any, add_scan: Any):  # noqa: F811
    """A sequence of three frames whose liver wanders, and its browser."""
    import slicer

    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "4D")
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    for number in range(3):
        array = np.full((9, 9, 9), -900, np.int16)
        array[2:5, 2:5, 1 + number : 4 + number] = 1001
        frame = add_scan("scan", array)
        sequence.SetDataNodeAtValue(frame, str(number))
        slicer.mrmlScene.RemoveNode(frame)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    node.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateAllProxyNodes()
    return node
