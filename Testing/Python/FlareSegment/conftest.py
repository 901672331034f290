"""Fixtures of the module's tests: the host application, small scans, a worker that is fast."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "Testing"))

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
