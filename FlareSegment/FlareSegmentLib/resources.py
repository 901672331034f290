"""Where the data files shared by both modules lie."""

from __future__ import annotations

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
    for folder in _CANDIDATES:
        # A module's own Resources/ (icons, .ui) may stand at the first place: only the folder
        # with labels.json is the shared one.
        if (folder / "labels.json").is_file():
            return folder
    tried = ", ".join(str(folder) for folder in _CANDIDATES)
    raise FileNotFoundError(
        f"The file labels.json was not found in any of: {tried}. "
        "The installation is incomplete; install FlareSegment again."
    )
