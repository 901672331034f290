"""A dataset of synthetic patients to learn the way with: scans, partial labels, and a source."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import targets
from FlareSegmentLib.phantom import PhantomSettings, make_phantom
from FlareSegmentLib.writing import write_label_map

from .add_case import NewCase, add_case, make_dataset
from .case_split import move_case
from .whole_files import made_folder

logger = logging.getLogger(__name__)

SPACING = (5.0, 3.0, 3.0)
SOURCE = "other program"

_ALL = tuple(target.id for target in targets())
_ANNOTATED: dict[str, tuple[int, ...]] = {
    "patient_1": _ALL,
    "patient_2": _ALL,
    "patient_3": _ALL,
    "patient_4": (1, 3, 14),
    "patient_5": (),
    "patient_6": (),
    "patient_7": _ALL,
    "patient_8": _ALL,
}
_JUDGES = ("patient_7", "patient_8")
_SHIFT = {"patient_5": 1, "patient_6": 4}
"""Voxels by which the made-up other program is wrong."""


def make_practice_dataset(folder: Path) -> str:
    """Make eight synthetic patients, as real collections are: some annotated, some not at all.

    Two of them judge. "Other program" has labeled the scans that nobody annotated: the truth,
    moved to the side, by little in one and by much in the other.

    Raises
    ------
    InputError
        When the folder has something in it.
    OutputError
        When it cannot be written.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty. Choose an empty folder, or make a new one.")
    make_dataset(folder)
    for number, (name, annotated) in enumerate(_ANNOTATED.items(), start=1):
        scan, truth = make_phantom(PhantomSettings(seed=number, spacing=SPACING))
        add_case(folder, NewCase(name, annotated), scan, truth)
        if name in _SHIFT:
            wrong = np.roll(truth, _SHIFT[name], axis=2).astype(np.uint8)
            path = made_folder(folder / "pseudo" / SOURCE) / f"{name}.nii.gz"
            write_label_map(path, wrong, scan.affine, targets())
        if name in _JUDGES:
            move_case(folder, name, "validation")
        logger.info("made %s", name)
    return f"{len(_ANNOTATED)} synthetic patients. They show the way; no model is good for them."
