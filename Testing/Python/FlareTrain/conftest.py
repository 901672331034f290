"""Fixtures of the module's tests: the host application, both modules, a small dataset."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "Testing"))
sys.path.insert(0, str(Path(__file__).parent))  # panel_actions
sys.path.insert(0, str(ROOT / "Testing/Python/FlareTrainLib"))  # tiny_recipes

import tiny_recipes  # noqa: E402

from SlicerHost.fixtures import slicer_host  # noqa: E402, F401  (a fixture)


def _patients() -> Any:
    """The tiny patients of the library's tests."""
    path = ROOT / "Testing/Python/FlareTrainLib/conftest.py"
    spec = importlib.util.spec_from_file_location("flare_train_patients", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


patients = _patients()
raw_dataset = patients.raw_dataset


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own: installed models do not reach the real one."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    return folder


@pytest.fixture
def module(slicer_host: Any, home: Path) -> Any:  # noqa: F811
    """The loaded module, and FlareSegment, whose worker is not started by itself."""
    segment = slicer_host.load_module(ROOT / "FlareSegment/FlareSegment.py")
    import slicer

    slicer.app.userSettings().remove("FlareTrain/LastDataset")
    loaded = slicer_host.load_module(ROOT / "FlareTrain/FlareTrain.py")
    yield loaded
    segment.python.FlareSegmentLogic.stopWorker()


@pytest.fixture
def python(module: Any) -> Any:
    """The module's Python file, imported."""
    return module.python


@pytest.fixture
def panel(module: Any, slicer_host: Any) -> Any:  # noqa: F811
    """The module's widget, entered in a main window."""
    widget = module.enter()
    slicer_host.process_events(until=lambda: not widget.busy)
    return widget


@pytest.fixture
def add_patient(slicer_host: Any) -> Any:  # noqa: F811
    """Put a tiny patient into the scene: the volume, and its segmentation."""
    import numpy as np
    import slicer

    from FlareSegmentLib.labels import targets

    def add(seed: int = 3, keys: tuple[str, ...] = ("liver", "spleen", "tumor")) -> Any:
        image, labels = patients.patient(seed)
        volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
        slicer.util.updateVolumeFromArray(volume, image)
        volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(patients.affine()))
        segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        for target in targets():
            if target.key in keys:
                name = segmentation.GetSegmentation().AddEmptySegment("", target.name)
                mask = (labels == target.id).astype(np.uint8)
                slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, name, volume)
        return volume, segmentation, labels

    return add


@pytest.fixture
def tiny_recipe(tmp_path: Path) -> Callable[[int], Path]:
    """Write a recipe that trains some steps per second; gives its file."""
    return lambda steps: tiny_recipes.tiny_recipe(tmp_path, steps)
