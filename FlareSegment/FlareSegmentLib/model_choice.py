"""Which models there are to choose from; reads descriptions only, so it needs no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .bundle_info import DEFAULT_MODEL, DESCRIPTION
from .errors import BundleError
from .resources import resources_folder


@dataclass(frozen=True)
class ModelChoice:
    """One model bundle that can be chosen.

    Attributes
    ----------
    folder
        Where the bundle lies.
    name
        Its own name.
    bundled
        Whether it came with the extension.
    info
        Its description, ``model.json``.
    """

    folder: Path
    name: str
    bundled: bool
    info: dict[str, Any]

    @property
    def summary(self) -> str:
        """Version, license and training data in a line or two, as far as they are known."""
        facts = self.info.get("facts", {})
        data = [
            str(entry.get("name", entry)) if isinstance(entry, dict) else str(entry)
            for entry in facts.get("training_data", ())
        ]
        parts = (
            ("Version", self.info.get("version")),
            ("License:", facts.get("license")),
            ("Trained on:", ", ".join(data)),
        )
        return " ".join(f"{title} {value}." for title, value in parts if value)


def user_models_folder() -> Path:
    """Where models that the user trained or received are installed: a folder per model."""
    return Path.home() / "FlareSegment" / "Models"


def read_choice(folder: Path, bundled: bool = False) -> ModelChoice:
    """Give the model in `folder`.

    Raises
    ------
    BundleError
        When there is no readable description. Everything else about the bundle is checked when
        it is loaded.
    """
    path = folder / DESCRIPTION
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(
            f"The folder {folder} holds no model: {DESCRIPTION} could not be read ({error}). "
            "Choose the folder that contains it."
        ) from error
    if not isinstance(info, dict):
        raise BundleError(f"{path} is not the description of a model.")
    return ModelChoice(folder, str(info.get("name", folder.name)), bundled, info)


def available_models(user_folder: Path | None = None) -> list[ModelChoice]:
    """Give the bundled models, then the user's; folders without a model are left out.

    Parameters
    ----------
    user_folder
        Where the user's models are; `user_models_folder` when None.
    """
    places = (
        (resources_folder() / "Models", True),
        (user_models_folder() if user_folder is None else user_folder, False),
    )
    choices = []
    for place, bundled in places:
        folders = sorted(place.iterdir(), key=_default_first) if place.is_dir() else []
        for folder in folders:
            if (folder / DESCRIPTION).is_file():
                try:
                    choices.append(read_choice(folder, bundled))
                except BundleError:
                    continue
    return choices


def _default_first(folder: Path) -> tuple[bool, str]:
    return folder.name != DEFAULT_MODEL, folder.name
