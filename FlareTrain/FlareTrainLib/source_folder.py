"""Label maps of another program become a pseudo-label source of a dataset."""

from __future__ import annotations

import shutil
from pathlib import Path

from FlareSegmentLib.errors import InputError, OutputError

from .case_files import label_files
from .dataset import read_dataset


def add_source(data: Path, folder: Path) -> Path:
    """Copy the label maps of the dataset's cases from `folder`; the folder of the new source.

    Raises
    ------
    InputError
        When none of them belongs to a case, or there is a source of this name.
    OutputError
        When they cannot be copied; the dataset is then as before.
    """
    names = {case.name for case in read_dataset(data).cases}
    files = {name: path for name, path in label_files(folder).items() if name in names}
    if not files:
        raise InputError(
            f"No file in {folder} is named like a case. Name the label maps <case>.nii.gz, for "
            f"example {min(names)}.nii.gz."
        )
    target = data / "pseudo" / folder.name
    if target.exists():
        raise InputError(f"There is a source '{folder.name}' already. Rename the folder.")
    fresh = data / f".{folder.name}.part"
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        for path in files.values():
            shutil.copy2(path, fresh / path.name)
        target.parent.mkdir(exist_ok=True)
        fresh.rename(target)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise OutputError(
            f"The label maps cannot be copied to {target} ({error.strerror or error}). Make room, "
            "and try again."
        ) from error
    return target
