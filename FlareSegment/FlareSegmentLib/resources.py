"""Where the data files shared by both modules lie."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

_LIB_PARENT = Path(__file__).resolve().parent.parent

_CANDIDATES = (
    _LIB_PARENT / "Resources",  # installed in Slicer: both modules share one folder
    _LIB_PARENT.parent / "Resources",  # source tree
    _LIB_PARENT / "FlareResources",  # wheel: site-packages has no room for a bare "Resources"
)


@cache
def resources_folder() -> Path:
    """Folder with ``labels.json``, ``Models/`` and ``Terminology/``.

    Raises
    ------
    FileNotFoundError
        When the installation is incomplete. The text lists the places that were tried.
    """
    return folder_with("labels.json", _CANDIDATES, "FlareSegment")


def folder_with(name: str, candidates: Sequence[Path], module: str) -> Path:
    """Give the first of `candidates` that holds the file or folder `name`.

    A folder alone proves nothing: a module's own Resources/ (icons, .ui) may stand at the first
    place.

    Parameters
    ----------
    name
        What tells the folder from others.
    candidates
        Where it may be.
    module
        What to install again when it is nowhere.

    Raises
    ------
    FileNotFoundError
        When none holds it. The text lists the places that were tried.
    """
    for folder in candidates:
        if (folder / name).exists():
            return folder
    tried = ", ".join(str(folder) for folder in candidates)
    raise FileNotFoundError(
        f"{name} was not found in any of: {tried}. "
        f"The installation is incomplete; install {module} again."
    )
