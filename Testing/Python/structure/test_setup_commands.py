"""The two set-up commands, `make demo` and `make test`, and what the CI runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

pytestmark = pytest.mark.skipif(
    shutil.which("make") is None or shutil.which("bash") is None, reason="no make or no bash"
)


def run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # Tests may themselves be run by make, whose settings must not reach the one below.
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**inherited, **environment},
    )


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Path:
    """What installing needs, in a folder with spaces, without .venv."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    shutil.copy(repository / "Makefile", folder)
    shutil.copytree(repository / "requirements", folder / "requirements")
    shutil.copytree(repository / ".ci", folder / ".ci")
    return folder


def complete(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    shutil.copy(checkout / "requirements" / "pinned.txt", checkout / ".venv" / "complete")


def test_help_names_the_commands(checkout: Path) -> None:
    text = run(checkout, "make").stdout
    assert "make demo" in text
    assert "INPUT=scan.nii.gz OUTPUT=folder" in text


def test_python_that_is_not_there_is_told(checkout: Path) -> None:
    finished = run(checkout, "make", "venv", "PYTHON=no-such-python")
    assert finished.returncode != 0
    assert "Python 3.11 or later is needed, but 'no-such-python' is: no such program" in (
        finished.stderr
    )
    assert not (checkout / ".venv").exists()


def test_python_that_is_too_old_is_told(checkout: Path) -> None:
    old = checkout / "old python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    finished = run(checkout, "make", "venv", f"PYTHON={old}")
    assert finished.returncode != 0
    assert "is: Python 3.9.2." in finished.stderr


def test_complete_environment_is_left_as_it_is(checkout: Path) -> None:
    complete(checkout)
    finished = run(checkout, "make", "venv", "PYTHON=no-such-python")
    assert finished.returncode == 0, finished.stderr


def test_interrupted_installation_is_not_taken_for_complete(checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    finished = run(checkout, "make", "venv", "PYTHON=no-such-python")
    assert "no-such-python" in finished.stderr


def test_changed_versions_are_installed(checkout: Path) -> None:
    complete(checkout)
    with (checkout / "requirements" / "pinned.txt").open("a") as file:
        file.write("another==1.0\n")
    finished = run(checkout, "make", "venv", "PYTHON=no-such-python")
    assert "no-such-python" in finished.stderr


def test_two_installations_do_not_run_into_each_other(checkout: Path) -> None:
    (checkout / ".venv.lock").mkdir()
    finished = run(checkout, "make", "venv", f"PYTHON={sys.executable}")
    assert finished.returncode != 0
    assert "Another installation" in finished.stderr
    assert (checkout / ".venv.lock").exists()
    assert not (checkout / ".venv").exists()


def test_every_pin_is_exact(repository: Path) -> None:
    lines = (repository / "requirements" / "pinned.txt").read_text().splitlines()
    pins = [line.split(";")[0] for line in lines if line and not line.startswith("#")]
    assert len(pins) > 20
    assert all(pin.count("==") == 1 and "*" not in pin for pin in pins)


def test_ci_runs_both_and_fails_when_one_fails(checkout: Path) -> None:
    (checkout / "Makefile").write_text("lint:\n\t@exit 1\ntest:\n\t@echo 3 passed in 1s\n")
    finished = run(checkout, str(checkout / ".ci" / "run"))
    assert finished.returncode == 1
    assert finished.stdout.splitlines()[-1] == "3 passed in 1s"
    (checkout / "Makefile").write_text("lint:\n\t@true\ntest:\n\t@true\n")
    assert run(checkout, str(checkout / ".ci" / "run")).returncode == 0


def test_demo_segments_a_scan_of_the_user(
    repository: Path, tmp_path: Path, tiny_ct: np.ndarray
) -> None:
    if not (repository / ".venv" / "complete").exists():
        pytest.skip("the tests do not run in .venv of make")
    scan = tmp_path / "my scan $1.nii.gz"
    image = sitk.GetImageFromArray(tiny_ct)
    image.SetSpacing((9.0, 9.0, 9.0))
    sitk.WriteImage(image, str(scan))
    output = tmp_path / "my results"
    finished = run(repository, "bash", "requirements/demo.sh", INPUT=str(scan), OUTPUT=str(output))
    assert finished.returncode == 0, finished.stderr
    assert {path.name for path in output.iterdir() if not path.name.startswith(".")} == {
        "my scan $1_seg.nii.gz",
        "my scan $1_seg.json",
        "my scan $1_seg.png",
        "statistics.csv",
    }
