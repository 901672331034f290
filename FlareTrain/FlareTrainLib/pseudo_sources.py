"""Folders of pseudo-labels: which cases they hold, and of which targets they say anything."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.geometry import canonical_volume
from FlareSegmentLib.reading import read_label_map
from FlareSegmentLib.volume import Volume

from .case_files import label_files
from .case_loading import LoadedScan
from .dataset import DatasetCase
from .label_maps import grid_difference, target_ids
from .label_values import IGNORE
from .pseudo_labels import SOURCE
from .refine_settings import RefineSettings
from .settings import read_json, write_json

logger = logging.getLogger(__name__)

IDENTITY = {label: label for label in range(1, 15)}
"""Pseudo-labels hold target ids."""

REMEDY = "Pseudo-labels hold FLARE's ids, whatever dataset.json says: translate the label map."


class Sources:
    """Pseudo-label folders of a refinement, most trusted first.

    Parameters
    ----------
    folders
        Folders by name.
    settings
        Which are wanted.
    memory
        File that keeps what was found in the label maps.

    Raises
    ------
    InputError
        When a wanted source is not there.
    """

    def __init__(self, folders: Mapping[str, Path], settings: RefineSettings, memory: Path) -> None:
        wanted = settings.sources or tuple(
            name for name in folders if name not in settings.tumor_sources
        )
        for name in (*wanted, *settings.tumor_sources):
            if name not in folders:
                there = ", ".join(folders) or "none"
                raise InputError(
                    f"There is no pseudo-label source '{name}' (there: {there}). Put its label "
                    "maps into pseudo/<source>/, or name other sources in the recipe."
                )
        self.names = wanted
        self.tumor_sources = settings.tumor_sources
        self._folders = {name: folders[name] for name in (*wanted, *settings.tumor_sources)}
        self._files = {name: label_files(folder) for name, folder in self._folders.items()}
        self._memory = memory
        self._known: dict[str, frozenset[int]] = {}

    def warn_of_strangers(self, cases: Sequence[DatasetCase]) -> None:
        """Say it when a source labeled none of the cases: its files may be named otherwise."""
        for name, files in self._files.items():
            if not any(case.name in files for case in cases):
                found = f"{next(iter(files.values())).name} is there" if files else "it is empty"
                logger.warning(
                    "The source '%s' has no label map of any case (%s). They must be named "
                    "<case>.nii.gz, like %s.nii.gz.",
                    name,
                    found,
                    cases[0].name,
                )

    def of(self, case: str) -> tuple[str, ...]:
        """Names of the sources that labeled a case."""
        return tuple(name for name in self.names if case in self._files[name])

    def read(self, name: str, case: str) -> tuple[np.ndarray, np.ndarray]:
        """Label map and affine of a source for a case, as stored.

        Raises
        ------
        InputError
            When the source has none.
        """
        path = self._files[name].get(case)
        if path is None:
            raise InputError(
                f"Source '{name}' has no label map of {case}. Label the case with it, or take the "
                "source out of the recipe."
            )
        return read_pseudo(path)

    def on_scan(self, name: str, case: str, scan: LoadedScan) -> np.ndarray:
        """A source's map in the scan's canonical axes.

        Raises
        ------
        InputError
            When there is none, or it does not lie on the scan's grid.
        """
        return map_on_scan(*self.read(name, case), name, case, scan)

    def fingerprint(self, case: DatasetCase) -> list[list[Any]]:
        """What the result of a case depends on: its files with sizes and times of change."""
        files = [self._files[name].get(case.name) for name in self._files]
        paths = [path for path in (case.scan, case.labels, *files) if path is not None]
        return [[path.name, *_stamp(path)] for path in paths]

    def known(self, name: str) -> frozenset[int]:
        """Targets that a source gives: of the others it says nothing.

        Of a source that this program made, the targets of its model; of others, those that occur
        in any of its label maps, which are read once for that.
        """
        if name not in self._known:
            made_by = self._folders[name] / SOURCE
            content = read_json(made_by) if made_by.is_file() else {}
            listed = content.get("targets")
            self._known[name] = frozenset(self._found(name) if listed is None else listed)
        return self._known[name]

    def _found(self, name: str) -> set[int]:
        """Targets in the label maps of a source; only new and changed files are read."""
        kept = read_json(self._memory) if self._memory.is_file() else {}
        before = kept.get(name, {})
        now = {}
        for case, path in self._files[name].items():
            stamp = _stamp(path)
            entry = before.get(case)
            if entry is None or entry["stamp"] != stamp:
                array, _ = self.read(name, case)
                ids = sorted({int(v) for v in np.unique(array)} - {0, IGNORE})
                entry = {"stamp": stamp, "ids": ids}
            now[case] = entry
        if now != before:
            write_json(self._memory, {**kept, name: now})
        return {label for entry in now.values() for label in entry["ids"]}


def read_pseudo(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Label map and affine as stored.

    Raises
    ------
    InputError
        When it cannot be read, or holds a value that is no target.
    """
    labels, affine = read_label_map(path)
    return target_ids(labels, IDENTITY, path, REMEDY), affine


def map_on_scan(
    labels: np.ndarray, affine: np.ndarray, source: str, case: str, scan: LoadedScan
) -> np.ndarray:
    """A source's label map, as stored, in the scan's canonical axes.

    Raises
    ------
    InputError
        When it does not lie on the scan's grid.
    """
    volume, _ = canonical_volume(Volume(labels, affine, case))
    difference = grid_difference(
        scan.volume.array.shape, scan.volume.affine, volume.array.shape, volume.affine
    )
    if difference:
        raise InputError(
            f"{case}: the label map of source '{source}' does not lie on the grid of the scan: "
            f"{difference}. Make it again on this scan."
        )
    return np.ascontiguousarray(volume.array)


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
