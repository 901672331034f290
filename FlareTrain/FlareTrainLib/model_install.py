"""A run's model is given to others: installed for FlareSegment, or copied to a folder."""

from __future__ import annotations

import json
from pathlib import Path

from FlareSegmentLib.bundle_info import DESCRIPTION
from FlareSegmentLib.errors import InputError
from FlareSegmentLib.model_choice import user_models_folder

from .run_bundles import BUNDLE
from .settings import read_json
from .whole_files import copy_folder

_FORBIDDEN = '/\\:*?"<>|'


def install(
    run: Path,
    models: Path | None = None,
    name: str = "",
    description: str = "",
    replace: bool = False,
) -> Path:
    """Copy the run's model to where FlareSegment finds it; the folder it has there.

    Parameters
    ----------
    models
        Folder of the user's models; that of FlareSegment when None.
    name
        Its name, and that of its folder; dataset and run when empty.
    description
        What FlareSegment says about it; as the training left it when empty.
    replace
        Whether a model that has this name may be replaced.

    Raises
    ------
    InputError
        When the run has no model yet, the name is no folder name, or there is a model of this
        name and `replace` is false.
    OutputError
        When the folder cannot be written; a model that was there is then as before.
    """
    source = run / BUNDLE
    if not (source / DESCRIPTION).is_file():
        raise InputError(f"The run {run.name} has no model yet. Train it first.")
    target = installed_at(run, models, name)
    if target.exists() and not replace:
        raise InputError(
            f"There is a model '{target.name}' in {target.parent} already. Choose another name."
        )
    content = read_json(source / DESCRIPTION)
    if name:
        content["name"] = target.name
    if description:
        content.setdefault("facts", {})["description"] = description
    copy_folder(source, target, {DESCRIPTION: json.dumps(content, indent=1)})
    return target


def installed_at(run: Path, models: Path | None = None, name: str = "") -> Path:
    """Folder that `install` copies to.

    Raises
    ------
    InputError
        When the name is no folder name.
    """
    name = name.strip() or model_name(run)
    if name.startswith(".") or any(letter in _FORBIDDEN for letter in name):
        raise InputError(f"'{name}' cannot be the name of a model. Leave out {_FORBIDDEN}.")
    return (user_models_folder() if models is None else models) / name


def model_name(run: Path) -> str:
    """Name that a run's model is installed as when nobody gave it another."""
    return f"{run.parent.parent.name} {run.name}"
