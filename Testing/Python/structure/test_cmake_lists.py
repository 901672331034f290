"""Every file that belongs into the package is listed in CMake."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def cmake_lists(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "cmake_lists", repository / "Testing" / "cmake_lists.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_lists_agree_with_the_tree(cmake_lists: ModuleType) -> None:
    found = cmake_lists.differences()
    assert not found, "run `python Testing/cmake_lists.py --fix`:\n" + "\n".join(found)


def test_lists_name_the_engine(cmake_lists: ModuleType) -> None:
    """Guards against patterns that match nothing, which would agree with an empty list."""
    listed = {path for files in cmake_lists.FILE_LISTS for path in files.listed()}
    assert {"FlareSegmentLib/labels.py", "FlareTrainLib/__init__.py", "labels.json"} <= listed


def test_added_and_removed_files_are_named_and_fixed(
    cmake_lists: ModuleType, repository: Path, tmp_path: Path
) -> None:
    for files in cmake_lists.FILE_LISTS:
        source, copy = repository / files.cmake_file, tmp_path / files.cmake_file
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, copy)
        for path in files.expected():
            target = tmp_path / files.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
    assert cmake_lists.differences(tmp_path) == []

    (tmp_path / "FlareSegment" / "FlareSegmentLib" / "added.py").touch()
    (tmp_path / "Resources" / "labels.json").unlink()
    assert cmake_lists.differences(tmp_path) == [
        "FlareSegmentLib/added.py is not in MODULE_PYTHON_SCRIPTS of FlareSegment/CMakeLists.txt",
        "labels.json in SHARED_RESOURCES of CMakeLists.txt is not in the tree",
    ]
    for files in cmake_lists.FILE_LISTS:
        files.write(tmp_path)
    assert cmake_lists.differences(tmp_path) == []


def test_files_of_both_modules_do_not_collide(cmake_lists: ModuleType) -> None:
    """Slicer installs both modules and the shared resources into one folder."""
    installed: list[str] = []
    for files in cmake_lists.FILE_LISTS:
        prefix = "Resources/" if files.variable == "SHARED_RESOURCES" else ""
        installed += [prefix + path for path in files.listed()]
    twice = sorted({path for path in installed if installed.count(path) > 1})
    assert not twice
