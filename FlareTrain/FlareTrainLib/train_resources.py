"""Where the files that come with FlareTrain lie: recipes and text embeddings."""

from __future__ import annotations

from functools import cache
from pathlib import Path

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
    for folder in _CANDIDATES:
        # In the source tree of the other module a folder of this name holds no recipes.
        if (folder / "Recipes").is_dir():
            return folder
    tried = ", ".join(str(folder) for folder in _CANDIDATES)
    raise FileNotFoundError(
        f"The folder Recipes was not found in any of: {tried}. "
        "The installation is incomplete; install FlareTrain again."
    )
