"""Installation of Python packages, with the signatures of Slicer 5.12's ``slicer.packaging``.

What is asked, skipped and raised follows Slicer; pip itself is run as there, by the Python that
runs Slicer, which in the host is the tests' own.
"""

from __future__ import annotations

import importlib.metadata
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from packaging.requirements import Requirement

__all__ = [
    "isPipInstallInProgress",
    "load_pyproject_dependencies",
    "load_requirements",
    "pip_check",
    "pip_ensure",
    "pip_install",
    "pip_uninstall",
]

_in_progress = False
Requirements = str | Requirement | list[str | Requirement]


def load_requirements(path: str | Path) -> list[Requirement]:
    """Read a requirements file; lines of options and of comments are left out.

    Raises
    ------
    packaging.requirements.InvalidRequirement
        Also for a comment behind a requirement.
    """
    lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def load_pyproject_dependencies(path: str | Path) -> list[Requirement]:
    """Read ``[project] dependencies`` of a pyproject.toml."""
    import tomllib

    data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    return [Requirement(text) for text in data["project"].get("dependencies", [])]


def _as_list(requirements: Requirements) -> list[Requirement]:
    if isinstance(requirements, Requirement):
        return [requirements]
    parts = requirements.split() if isinstance(requirements, str) else requirements
    return [part if isinstance(part, Requirement) else Requirement(part) for part in parts]


def pip_check(req: Requirements) -> bool:
    """Tell whether all requirements are met by what is installed."""
    for requirement in _as_list(req):
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            return False
        if not requirement.specifier.contains(version, prereleases=True):
            return False
    return True


def isPipInstallInProgress() -> bool:
    """Tell whether pip is at work."""
    return _in_progress


def pip_ensure(
    requirements: Requirements,
    constraints: str | Path | None = None,
    skip_packages: list[str] | None = None,
    prompt_install: bool = True,
    prompt_restart: bool = True,
    requester: str | None = None,
    skip_in_testing: bool = True,
    show_progress: bool = True,
) -> list[str] | None:
    """Install what is missing, after asking.

    Raises
    ------
    RuntimeError
        When the user declines.
    subprocess.CalledProcessError
        When pip fails.
    """
    missing = [requirement for requirement in _as_list(requirements) if not pip_check(requirement)]
    if not missing:
        return None
    if skip_in_testing and slicer.app.testingEnabled():
        logging.info("Testing mode is enabled: skipping pip_ensure for %s", missing)
        return None
    if prompt_install:
        title = f"{requester} - Install Python Packages" if requester else "Install Python Packages"
        count = len(missing)
        message = (
            f"{count} Python package{'s' * (count > 1)} need{'s' * (count == 1)} to be "
            "installed.\n\nThis will modify Slicer's Python environment. Continue?"
        )
        details = "\n".join(f"- {requirement}" for requirement in missing)
        if not slicer.util.confirmOkCancelDisplay(message, title, detailedText=details):
            raise RuntimeError("User declined package installation")
    return pip_install(
        [str(requirement) for requirement in missing],
        constraints=constraints,
        skip_packages=skip_packages,
        requester=requester,
        show_progress=show_progress,
    )


def pip_install(
    requirements: str | list[str],
    constraints: str | Path | None = None,
    no_deps_requirements: str | list[str] | None = None,
    skip_packages: list[str] | None = None,
    blocking: bool = True,
    show_progress: bool = True,
    requester: str | None = None,
    logCallback: Callable[[str], None] | None = None,
    completedCallback: Callable[[int], None] | None = None,
) -> list[str] | None:
    """Run ``pip install``.

    Raises
    ------
    NotImplementedError
        For ``skip_packages`` and ``no_deps_requirements``, which the host does not model.
    """
    if skip_packages or no_deps_requirements:
        raise NotImplementedError("The host does not model skip_packages or no_deps_requirements.")
    words = requirements.split() if isinstance(requirements, str) else list(requirements)
    if constraints is not None:
        words += ["-c", str(constraints)]
    _run_pip(["install", *words], blocking, logCallback, completedCallback)
    return None


def pip_uninstall(
    requirements: str | list[str],
    blocking: bool = True,
    logCallback: Callable[[str], None] | None = None,
    completedCallback: Callable[[int], None] | None = None,
) -> None:
    """Run ``pip uninstall``."""
    words = requirements.split() if isinstance(requirements, str) else list(requirements)
    _run_pip(["uninstall", *words, "--yes"], blocking, logCallback, completedCallback)


def _run_pip(
    words: list[str],
    blocking: bool,
    log: Callable[[str], None] | None,
    completed: Callable[[int], None] | None,
) -> None:
    global _in_progress
    if _in_progress:
        raise RuntimeError("Another pip operation is in progress.")
    command = [sys.executable, "-m", "pip", *words]

    def done(code: int) -> None:
        global _in_progress
        _in_progress = False
        if completed is not None:
            completed(code)

    _in_progress = True
    if not blocking:
        slicer.util.launchConsoleProcess(
            command,
            useStartupEnvironment=False,
            blocking=False,
            logCallback=log,
            completedCallback=done,
        )
        return
    try:
        process: Any = slicer.util.launchConsoleProcess(command, useStartupEnvironment=False)
        slicer.util.logProcessOutput(process, log)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
    finally:
        _in_progress = False
