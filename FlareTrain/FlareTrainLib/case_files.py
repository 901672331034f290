"""Which file in a folder belongs to which case."""

from __future__ import annotations

from pathlib import Path

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.reading import SUFFIXES, case_name

CHANNEL = "_0000"
"""Ending of a scan's name in nnU-Net's layout: its first channel, and CT's only one."""


def files_by_case(folder: Path, first: str = "", others: tuple[str, ...] = ()) -> dict[str, Path]:
    """Files of a folder by case; others than volumes are looked past.

    Parameters
    ----------
    first, others
        Endings of nnU-Net's first channel and of those that CT does not have.

    Raises
    ------
    InputError
        When there are two files of one case.
    """
    paths = [
        path
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".") and path.name.lower().endswith(SUFFIXES)
    ]
    stems = {case_name(path) for path in paths}
    found: dict[str, Path] = {}
    for path in paths:
        name = case_name(path)
        for ending in others:
            # Without a first channel beside it the number is the case's own: lidc_0001.
            if name.endswith(ending) and name.removesuffix(ending) + first in stems:
                name = name.removesuffix(ending) + first
        name = name.removesuffix(first)
        if name in found:
            channel = " (CT has one channel, _0000)" if first == CHANNEL else ""
            raise InputError(
                f"Case {name} has two files in {folder}: {found[name].name} and {path.name}. "
                f"Keep one of them{channel}."
            )
        found[name] = path
    return found


def label_files(folder: Path) -> dict[str, Path]:
    """Label maps of a pseudo-label folder by case: ``<case>.*`` or ``<case>_seg.*``.

    Raises
    ------
    InputError
        When there is no such folder, or it holds two label maps of one case.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder of pseudo-labels {folder}. Check the path.")
    return files_by_case(folder, "_seg")


def strangers(folder: Path) -> list[str]:
    """Sentences about files in a folder of scans that cannot be one; none without the folder."""
    others = [
        path.name
        for path in (sorted(folder.iterdir()) if folder.is_dir() else ())
        if not path.name.startswith(".") and not path.name.lower().endswith(SUFFIXES)
    ]
    if not others:
        return []
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return [
        f"{folder.name} holds {others[0]}{more}, which cannot be a scan and is left out. Scans are "
        f"files that end in {', '.join(SUFFIXES)}."
    ]
