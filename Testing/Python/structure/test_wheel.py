"""The engine as a Python package, installed without the source tree."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel. The source is copied: a build writes beside pyproject.toml."""
    import shutil

    source = tmp_path_factory.mktemp("source")
    for name in ("FlareSegment", "FlareTrain", "Resources"):
        shutil.copytree(
            repository / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, source / name)
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    finished = subprocess.run(
        [*command, "--wheel-dir", str(target), str(source)], capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    (built,) = target.glob("*.whl")
    return built


def test_wheel_holds_every_file_of_the_engine(wheel: Path, repository: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    for lib in ("FlareSegment/FlareSegmentLib", "FlareTrain/FlareTrainLib"):
        folder = repository / lib
        for path in folder.rglob("*.py"):
            assert path.relative_to(folder.parent).as_posix() in packed
    for path in (repository / "Resources").rglob("*"):
        if path.is_file():
            name = f"FlareResources/{path.relative_to(repository / 'Resources').as_posix()}"
            assert name in packed


def test_installed_wheel_finds_its_resources(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        "from FlareSegmentLib.labels import targets\n"
        "from FlareSegmentLib.resources import resources_folder\n"
        "print(len(targets())); print(resources_folder())"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    finished = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, env=environment
    )
    assert finished.returncode == 0, finished.stderr
    count, folder = finished.stdout.split("\n")[:2]
    assert count == "14"
    assert Path(folder) == tmp_path / "FlareResources"
