"""Slicer's terminology and color table say what labels.json says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from FlareSegmentLib.labels import targets


@pytest.fixture(scope="module")
def generator(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "terminology", repository / "Testing" / "terminology.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_files_are_up_to_date(generator: ModuleType) -> None:
    """After a change of labels.json: ``python Testing/terminology.py``."""
    terminology = (generator.FOLDER / generator.TERMINOLOGY).read_text(encoding="utf-8")
    colors = (generator.FOLDER / generator.COLOR_TABLE).read_text(encoding="utf-8")
    assert terminology == generator.terminology(targets())
    assert colors == generator.color_table(targets())


def test_slicer_reads_the_terminology(generator: ModuleType) -> None:
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    logic = slicer.vtkSlicerTerminologiesModuleLogic()
    path = generator.FOLDER / generator.TERMINOLOGY
    assert logic.LoadTerminologyFromFile(str(path)) == generator.CONTEXT
    for target in targets():
        entry = slicer.vtkSlicerTerminologyEntry()
        label = target.name.lower()
        assert logic.FindTypeInTerminologyBy3dSlicerLabel(generator.CONTEXT, label, entry), label
        coded = (entry.GetCategoryObject(), target.category), (entry.GetTypeObject(), target.type)
        for found, expected in coded:
            assert found.GetCodingSchemeDesignator() == expected.scheme
            assert found.GetCodeValue() == expected.value
            assert found.GetCodeMeaning() == expected.meaning
        shown = entry.GetTypeModifierObject() if target.modifier else entry.GetTypeObject()
        assert shown.GetCodeMeaning() == (target.modifier or target.type).meaning
        assert tuple(shown.GetRecommendedDisplayRGBValue()) == target.color


def test_slicer_reads_the_color_table(generator: ModuleType) -> None:
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    scene = slicer.vtkMRMLScene()
    node = scene.AddNewNodeByClass("vtkMRMLColorTableNode")
    storage = scene.AddNewNodeByClass("vtkMRMLColorTableStorageNode")
    storage.SetFileName(str(generator.FOLDER / generator.COLOR_TABLE))
    assert storage.ReadData(node)
    for target in targets():
        assert node.GetColorName(target.id) == target.name
        assert node.GetTerminologyAsString(target.id).split("~")[2].split("^")[1] == (
            target.type.value
        )
