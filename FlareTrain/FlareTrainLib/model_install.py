"""A run's model is given to others: installed for FlareSegment, or copied to a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from FlareSegmentLib.errors import InputError, OutputError
from FlareSegmentLib.model_choice import DESCRIPTION, user_models_folder

from .pipeline import BUNDLE
from .settings import read_json

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
    copy_bundle(source, target, json.dumps(content, indent=1))
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


def copy_bundle(source: Path, target: Path, description: str = "") -> None:
    """Copy a bundle beside its place, then rename: it is there whole, or as it was.

    Parameters
    ----------
    description
        Another text for ``model.json``.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    fresh = target.with_name(f".{target.name}.part")
    old = target.with_name(f".{target.name}.old")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(source, fresh)
        if description:
            (fresh / DESCRIPTION).write_text(description, encoding="utf-8")
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
            target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        if old.exists() and not target.exists():
            old.rename(target)
        raise OutputError(
            f"The model cannot be copied to {target} ({error.strerror or error}). Choose a place "
            "that is writable and has free space."
        ) from error
