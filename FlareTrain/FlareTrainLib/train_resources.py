"""Where the files that come with FlareTrain lie: recipes and text embeddings."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from FlareSegmentLib.resources import folder_with

_LIB_PARENT = Path(__file__).resolve().parent.parent

_CANDIDATES = (
    _LIB_PARENT / "Resources",  # source tree, and installed in Slicer
    _LIB_PARENT / "FlareTrainResources",  # wheel
)


@cache
def train_resources_folder() -> Path:
    """Folder with ``Recipes/`` and ``Text/``.

    Raises
    ------
    FileNotFoundError
        When the installation is incomplete. The text lists the places that were tried.
    """
    return folder_with("Recipes", _CANDIDATES, "FlareTrain")
