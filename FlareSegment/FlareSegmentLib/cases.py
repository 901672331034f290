"""From the paths on a command line to cases: one scan each, with a name of its own."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .reading import case_name, is_volume_file, read_volume
from .volume import Volume

if TYPE_CHECKING:
    from .dicom import SeriesInfo

RESULT_ENDING = "_seg"
"""Results are named ``<case>_seg.*``: in a folder such files are results, not scans."""

_FINGERPRINT_BYTES = 2**16
"""Read at both ends of a file: header and first slices, and the checksum of a gzip file."""


@dataclass(frozen=True)
class Case:
    """One scan to segment.

    Attributes
    ----------
    name
        Name for output files, unique within a batch.
    source
        The file, or the folder that was given or found.
    series
        For DICOM: the series of one study. Empty for a file.
    """

    name: str
    source: Path
    series: tuple[SeriesInfo, ...] = ()

    def read(self, series: str | None = None, frame: int | None = None) -> Volume:
        """Read the scan; `series` and `frame` as in `read_volume`."""
        if not self.series:
            return replace(read_volume(self.source, series, frame), name=self.name)
        from .dicom import choose_series, read_dicom_series

        chosen, notes = choose_series(self.series, self.source, series)
        return read_dicom_series(chosen, frame, self.name, notes)

    def fingerprint(self) -> str:
        """Tell this scan from others by content, so that moving or copying it does not matter.

        Raises
        ------
        OSError
            When the source cannot be read.
        """
        digest = hashlib.sha256()
        if self.series:
            for uid, count in sorted((series.uid, len(series.slices)) for series in self.series):
                digest.update(f"{uid} {count}\n".encode())
        elif self.source.is_file():
            size = self.source.stat().st_size
            digest.update(f"{size}\n".encode())
            with self.source.open("rb") as file:
                digest.update(file.read(_FINGERPRINT_BYTES))
                file.seek(max(0, size - _FINGERPRINT_BYTES))
                digest.update(file.read())
        return digest.hexdigest()


def find_cases(inputs: Iterable[Path], output: Path) -> list[Case]:
    """Find the scans that are meant.

    A file is one case, whatever its name. In a folder every volume file in it or below it is a
    case, and every DICOM study; results (``<case>_seg.*``), hidden folders and the output folder
    are passed over. What cannot be read stays in the list, so that it is reported as a bad case.

    Parameters
    ----------
    inputs
        Files and folders.
    output
        Folder of the results.

    Returns
    -------
    list of Case
        In the order of the inputs, each scan once. Cases of equal name in different folders get
        the folders' names in front: ``patient1_scan``.
    """
    found: dict[Path, Case] = {}
    for path in inputs:
        for case in _cases_of(Path(path), output):
            key = case.source.resolve()
            if case.series:
                key = key / case.series[0].study  # several studies may lie in one folder
            found.setdefault(key, case)
    return _with_unique_names(list(found.values()))


def _cases_of(path: Path, output: Path) -> list[Case]:
    if not path.is_dir():
        return [Case(case_name(path), path)]
    files = [
        file
        for file in _files_below(path, output.resolve())
        if is_volume_file(file) and not case_name(file).endswith(RESULT_ENDING)
    ]
    cases = [Case(case_name(file), file) for file in files]
    try:
        cases += _studies(path)
    except OSError:
        cases.append(Case(case_name(path), path))  # reading it says what is wrong
    # An empty folder is a case too: reading it says what was expected.
    return cases or [Case(case_name(path), path)]


def _files_below(folder: Path, output: Path) -> list[Path]:
    files = []
    for parent, folders, names in os.walk(folder):
        here = Path(parent)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (here / name).resolve() != output
        )
        files += [here / name for name in sorted(names) if not name.startswith(".")]
    return files


def _studies(folder: Path) -> list[Case]:
    """Give one case per DICOM study, named after the folder that holds it."""
    from .dicom import find_dicom_series

    studies: dict[str, list[SeriesInfo]] = {}
    for series in find_dicom_series(folder):
        studies.setdefault(series.study, []).append(series)
    cases = []
    for members in studies.values():
        parents = [header.path.parent for series in members for header in series.slices]
        source = folder if len(studies) == 1 else Path(os.path.commonpath(parents))
        cases.append(Case(case_name(source), source, tuple(members)))
    return sorted(cases, key=lambda case: (str(case.source), case.series[0].study))


def _with_unique_names(cases: Sequence[Case]) -> list[Case]:
    names = Counter(case.name.casefold() for case in cases)  # Windows and macOS ignore capitals
    twice = [case for case in cases if names[case.name.casefold()] > 1]
    renamed = [case for case in cases if names[case.name.casefold()] == 1]
    taken = {case.name.casefold() for case in renamed}
    parents = [case.source.resolve().parent for case in twice]
    common = Path(os.path.commonpath(parents)) if twice else Path()
    unique: dict[int, Case] = {}
    for case, parent in zip(twice, parents, strict=True):
        name = "_".join((*parent.relative_to(common).parts, case.name))
        number, free = 1, name
        while free.casefold() in taken:
            number += 1
            free = f"{name}_{number}"
        taken.add(free.casefold())
        unique[id(case)] = replace(case, name=free)
    return [unique.get(id(case), case) for case in cases]
