"""Reload of a module by its developer."""

from __future__ import annotations

import sys


def forgetPackages(*names: str) -> None:
    """Let the next import of these packages read their files anew.

    Slicer's Reload runs only the module file again; what that file imports would stay as it was.
    Objects made before keep the code they were made with. The other module keeps what it has
    imported until it is reloaded itself.
    """
    for name in list(sys.modules):
        if name.split(".")[0] in names:
            del sys.modules[name]
