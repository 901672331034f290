"""Where the files that come with FlareTrain lie: recipes, studies and text embeddings."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from FlareSegmentLib.errors import InputError
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


def named_file(folder: Path, name_or_path: str, kind: str) -> Path:
    """Give the JSON file that is named like one that comes along, or is given as a path.

    Parameters
    ----------
    folder
        Where those that come along lie.
    kind
        What they are, for the error: "recipe", "study".

    Raises
    ------
    InputError
        When there is none.
    """
    shipped = folder / f"{name_or_path}.json"
    path = shipped if shipped.is_file() else Path(name_or_path)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.json")))
        raise InputError(
            f"There is no {kind} '{name_or_path}'. Give one of {known}, or a JSON file."
        )
    return path
