"""How a worker is started: its command line and its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .waiting_threads import let_threads_sleep


def worker_command(python: str, module: str = "FlareSegmentLib.worker") -> list[str]:
    """Give the command line of a worker run by the interpreter `python`."""
    return [python, "-X", "utf8", "-m", module]


def worker_environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give the environment in which the worker finds this very package.

    The folder goes first on ``PYTHONPATH``, so that another installation of the package is not
    picked up by chance.
    """
    environment = dict(os.environ if base is None else base)
    here = str(Path(__file__).resolve().parents[1])
    paths = [here, environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    let_threads_sleep(environment)
    return environment
