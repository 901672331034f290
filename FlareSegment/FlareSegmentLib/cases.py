"""From the paths on a command line to cases: one scan each, with a name of its own."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .folder_walk import files_below
from .itk_files import data_files
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
            for path in (self.source, *data_files(self.source)):
                _add_ends(digest, path)
        return digest.hexdigest()


def _add_ends(digest: hashlib._Hash, path: Path) -> None:
    """Add size, beginning and end of a file."""
    size = path.stat().st_size
    digest.update(f"{size}\n".encode())
    with path.open("rb") as file:
        digest.update(file.read(_FINGERPRINT_BYTES))
        file.seek(max(0, size - _FINGERPRINT_BYTES))
        digest.update(file.read())


def find_cases(
    inputs: Iterable[Path], output: Path, looked: Callable[[int], None] | None = None
) -> list[Case]:
    """Find the scans that are meant.

    A file is one case, whatever its name. In a folder every volume file in it or below it is a
    case, and every DICOM study; results (``<case>_seg.*``), hidden files and folders and the
    output folder are passed over. What cannot be read stays in the list, so that it is reported
    as a bad case.

    Parameters
    ----------
    inputs
        Files and folders.
    output
        Folder of the results.
    looked
        Told again and again how many files were looked at: in an archive this takes minutes.

    Returns
    -------
    list of Case
        In the order of the inputs, each scan once. Cases of equal name in different folders get
        the folders' names in front: ``patient1_scan``.
    """
    found: dict[Path, Case] = {}
    counter = _Counter(looked)
    for path in inputs:
        for case in _cases_of(Path(path), output, counter):
            key = Path(os.path.realpath(case.source))
            if case.series:
                key = key / case.series[0].study  # several studies may lie in one folder
            found.setdefault(key, case)
    return _with_unique_names(list(found.values()))


class _Counter:
    """Counts the files that pass."""

    def __init__(self, looked: Callable[[int], None] | None) -> None:
        self._looked = looked
        self._count = 0

    def pass_on(self, files: Iterable[Path]) -> Iterator[Path]:
        for path in files:
            self._count += 1
            if self._looked is not None:
                self._looked(self._count)
            yield path


def _cases_of(path: Path, output: Path, counter: _Counter) -> list[Case]:
    if not path.is_dir():
        return [Case(case_name(path), path)]
    closed: list[Path] = []
    files = list(files_below(path, output, lambda error: closed.append(Path(error.filename))))
    volumes = [file for file in files if is_volume_file(file)]
    cases = [
        Case(case_name(file), file)
        for file in volumes
        if not case_name(file).endswith(RESULT_ENDING)
    ]
    others = set(files).difference(volumes)
    cases += _studies(path, counter.pass_on(file for file in files if file in others))
    # A folder that cannot be opened and an empty one are cases too: reading them says why.
    cases += [Case(case_name(folder), folder) for folder in closed]
    return cases or [Case(case_name(path), path)]


def _studies(folder: Path, files: Iterable[Path]) -> list[Case]:
    """Give one case per DICOM study, named after the folder that holds it."""
    from .dicom import find_dicom_series

    studies: dict[str, list[SeriesInfo]] = {}
    for series in find_dicom_series(folder, files):
        studies.setdefault(series.study, []).append(series)
    cases = []
    for members in studies.values():
        parents = [header.path.parent for series in members for header in series.slices]
        parents += [path.parent for series in members for path in series.broken]
        source = folder if len(studies) == 1 else Path(os.path.commonpath(parents))
        cases.append(Case(case_name(source), source, tuple(members)))
    return sorted(cases, key=lambda case: (str(case.source), case.series[0].study))


def _with_unique_names(cases: Sequence[Case]) -> list[Case]:
    names = Counter(case.name.casefold() for case in cases)  # Windows and macOS ignore capitals
    twice = [case for case in cases if names[case.name.casefold()] > 1]
    renamed = [case for case in cases if names[case.name.casefold()] == 1]
    taken = {case.name.casefold() for case in renamed}
    parents = [Path(os.path.realpath(case.source)).parent for case in twice]
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
