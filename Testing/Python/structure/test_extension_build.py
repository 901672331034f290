"""The extension as Slicer would package it, with stand-ins for Slicer's macros."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def _cmake() -> str:
    """CMake of the system, or the one in this Python environment."""
    beside = shutil.which("cmake", path=str(Path(sys.executable).parent))
    found = beside or shutil.which("cmake")
    if found is None:
        pytest.skip("cmake is not installed (it is in the pinned versions of make venv)")
    return found


def _run(*command: str | Path, **options: object) -> str:
    finished = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        **options,  # type: ignore[call-overload]
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def installed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the scripted modules after configure, build and install."""
    # A space in the path: unquoted variables in the CMake files would show.
    build = tmp_path_factory.mktemp("extension build")
    prefix = tmp_path_factory.mktemp("installed extension")
    cmake = _cmake()
    macros = repository / "Testing" / "SlicerMacros"
    _run(
        cmake,
        f"-DSlicer_DIR={macros}",
        "-DBUILD_TESTING=ON",
        f"-DCMAKE_INSTALL_PREFIX={prefix}",
        "-S",
        repository,
        "-B",
        build,
    )
    _run(cmake, "--build", build)
    _run(cmake, "--install", build)
    return prefix / "lib" / "Slicer-5.12" / "qt-scripted-modules"


def _import_from(installed: Path, code: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    # -P: the folder we stand in is not searched; only what is installed may be found.
    finished = _run(
        sys.executable, "-P", "-c", code, env={**environment, "PYTHONPATH": str(installed)}
    )
    return finished.strip()


def test_engine_is_imported_from_the_installed_tree(installed: Path) -> None:
    where = _import_from(installed, "import FlareSegmentLib as l; print(l.__file__)")
    assert Path(where).is_relative_to(installed)


def test_every_engine_file_can_be_imported(installed: Path) -> None:
    """A file that is missing from the package shows as an import that fails."""
    code = (
        "import importlib, pkgutil, FlareSegmentLib as l\n"
        "names = [m.name for m in pkgutil.walk_packages(l.__path__, 'FlareSegmentLib.')\n"
        "         if not m.name.endswith('__main__')]\n"
        "[importlib.import_module(name) for name in names]\n"
        "print(len(names))"
    )
    assert int(_import_from(installed, code)) > 10


def test_slicer_side_is_packaged_as_a_whole(installed: Path, repository: Path) -> None:
    source = repository / "FlareSegment"
    files = [path.relative_to(source) for path in source.glob("FlareSegmentSlicer/**/*.py")]
    assert Path("FlareSegmentSlicer/shared/installation.py") in files
    assert [path for path in files if not (installed / path).is_file()] == []


def test_shared_resources_are_found_in_the_installed_tree(installed: Path) -> None:
    code = (
        "from FlareSegmentLib.resources import resources_folder\n"
        "from FlareSegmentLib.labels import targets\n"
        "print(resources_folder()); print(len(targets()))"
    )
    folder, count = _import_from(installed, code).splitlines()
    assert Path(folder) == installed / "Resources"
    assert count == "14"


def test_shared_resources_are_packaged_unchanged(installed: Path, repository: Path) -> None:
    source = repository / "Resources"
    files = [path for path in source.rglob("*") if path.is_file()]
    assert files
    for path in files:
        copy = installed / "Resources" / path.relative_to(source)
        assert copy.read_bytes() == path.read_bytes(), copy
    assert len(json.loads((installed / "Resources" / "labels.json").read_text())["targets"]) == 14


def test_only_module_files_lie_at_the_top(installed: Path) -> None:
    """Slicer takes every .py there for a module."""
    assert {path.name for path in installed.glob("*.py")} <= {"FlareSegment.py", "FlareTrain.py"}


def test_tests_are_not_packaged(installed: Path) -> None:
    assert not (installed / "Testing").exists()


def test_command_line_module_is_packaged(installed: Path) -> None:
    names = {path.name for path in (installed.parent / "cli-modules").iterdir()}
    assert names == {"FlareSegmentCLI.py", "FlareSegmentCLI.xml"}


@pytest.mark.parametrize("variable", ["EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"])
def test_pictures_of_the_catalog_are_in_the_tree(repository: Path, variable: str) -> None:
    text = (repository / "CMakeLists.txt").read_text(encoding="utf-8")
    (url,) = re.findall(rf'set\({variable} "(.*)"\)', text)
    path = repository / url.split("/raw/main/")[1]
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_a_slicer_that_is_too_old_is_refused(tmp_path: Path, repository: Path) -> None:
    """Slicer 5.8 has Python 3.9; README states the version that CMake asks for."""
    wanted = re.search(
        r"find_package\(Slicer (\S+) REQUIRED\)",
        (repository / "CMakeLists.txt").read_text(encoding="utf-8"),
    )
    assert wanted is not None
    assert f"Slicer {wanted[1]} or later" in (repository / "README.md").read_text(encoding="utf-8")
    command = [_cmake(), f"-DSlicer_DIR={repository / 'Testing' / 'SlicerMacros'}"]
    command += ["-DSLICER_VERSION_FOR_TEST=5.8.1", "-S", str(repository), "-B", str(tmp_path)]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode != 0
    assert f'requested version "{wanted[1]}"' in finished.stderr


def test_listed_file_that_is_missing_stops_the_build(tmp_path: Path, repository: Path) -> None:
    """The stand-in refuses as Slicer's macro does; else the tests above would prove little."""
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16.3...3.28.0)\nproject(Broken NONE)\n"
        "find_package(Slicer REQUIRED)\ninclude(${Slicer_USE_FILE})\n"
        "slicerMacroBuildScriptedModule(NAME Broken SCRIPTS Missing.py)\n"
    )
    macros = repository / "Testing" / "SlicerMacros"
    finished = subprocess.run(
        [_cmake(), f"-DSlicer_DIR={macros}", "-S", tmp_path, "-B", tmp_path / "build"],
        capture_output=True,
        text=True,
    )
    assert finished.returncode != 0
    assert "Missing.py" in finished.stderr
