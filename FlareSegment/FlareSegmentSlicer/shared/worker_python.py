"""The interpreter that processes of ours run in."""

from __future__ import annotations

import shutil
import sys


def workerPython() -> str:
    """Give the interpreter to run processes with.

    Slicer's own interpreter first, as for Slicer's command-line modules: this process already has
    the environment that the launcher ``PythonSlicer`` would make, and without the launcher there
    is one process less to end.
    """
    for name in ("python-real", "PythonSlicer"):
        path = shutil.which(name)
        if path:
            return path
    return sys.executable
