"""The folder of a batch's results, with a hidden record of what belongs to which scan."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from .cases import RESULT_ENDING
from .claims import claim
from .errors import OutputError
from .report import statistics_csv, write_json
from .writing import replaced_file

RECORD_FOLDER = ".flare-segment"
STATISTICS = "statistics.csv"

Record = dict[str, Any]
"""What a result was made from (``request``), its report, and the endings of its files; the report
is None while it is written, so that a result whose writer was killed is known to be incomplete."""


class ResultFolder:
    """Results, records and claims of cases.

    Parameters
    ----------
    path
        Made when missing.
    overwrite
        Whether a ``statistics.csv`` of another program may be replaced.

    Raises
    ------
    OutputError
        When the folder cannot be made or written, or holds another program's ``statistics.csv``.
    """

    def __init__(self, path: Path, overwrite: bool = False) -> None:
        self.path = path
        self._records = path / RECORD_FOLDER
        statistics = path / STATISTICS
        if statistics.exists() and not self._records.exists() and not overwrite:
            raise OutputError(
                f"{statistics} is there already and is not of this program. Choose another output "
                "folder, or allow --overwrite."
            )
        try:
            self._records.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise OutputError(
                f"The output folder {path} cannot be made: a file has that name, or that of a "
                "folder above it. Choose another one."
            ) from error
        except OSError as error:
            raise OutputError(
                f"The output folder {path} cannot be made or written ({error.strerror or error}). "
                "Choose another one."
            ) from error
        if not os.access(self._records, os.W_OK | os.X_OK):
            raise OutputError(
                f"The output folder {path} cannot be written: it is not permitted. Choose another "
                "one."
            )

    def result(self, case: str, ending: str) -> Path:
        """Path of a result, e.g. ``case_seg.nii.gz`` for the ending ``nii.gz``."""
        return self.path / f"{case}{RESULT_ENDING}.{ending}"

    def claim(self, case: str) -> AbstractContextManager[str | None]:
        """Claim a case for this process, see `claims.claim`."""
        return claim(self._records / f"{case}.claim")

    def record(self, case: str) -> Record | None:
        """Give the record of a case; None without one, or when its label map is gone."""
        record = _read(self._record_path(case))
        return record if record is not None and self._has_label_map(case, record) else None

    def begin(self, case: str, request: Record, endings: Sequence[str]) -> Record:
        """Note that the results of a case are being written; gives what `finish` needs.

        Parameters
        ----------
        case
            Its name.
        request
            What the results are made from.
        endings
            Of the files that will be written.

        Raises
        ------
        OutputError
            When the note cannot be written.
        """
        before = _read(self._record_path(case))
        # Until the end both sets are ours: the run may be killed on the way.
        files = dict.fromkeys([*endings, *(_files(before) if before else [])])
        self._write_record(case, {"request": request, "report": None, "files": list(files)})
        return {"request": request, "files": list(endings)}

    def finish(self, case: str, entry: Record, report: Record) -> None:
        """Note that everything is there, and remove what an earlier run left beside it.

        A report or a label map in another format that was made with another model would be taken
        for this one's.

        Raises
        ------
        OutputError
            When the note cannot be written, or a file cannot be removed.
        """
        record = _read(self._record_path(case))
        for ending in set(_files(record) if record else []) - set(entry["files"]):
            path = self.result(case, ending)
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise OutputError(
                    f"{path}, of an earlier run, could not be removed ({error.strerror or error}). "
                    "Close the programs that show it, then run again with --overwrite."
                ) from error
        self._write_record(case, {**entry, "report": report})

    def add_files(self, case: str, record: Record, endings: Sequence[str]) -> None:
        """Note that files were added to a finished case."""
        files = dict.fromkeys([*_files(record), *endings])
        self._write_record(case, {**record, "files": list(files)})

    def check_free(self, case: str, endings: Sequence[str]) -> None:
        """Raise `OutputError` when a result would replace a file that we know nothing about."""
        record = _read(self._record_path(case))
        ours = _files(record) if record else []
        for ending in endings:
            path = self.result(case, ending)
            if ending not in ours and path.exists():
                raise OutputError(
                    f"{path} is there already, and nothing says that this program made it. Choose "
                    "another output folder, or allow --overwrite."
                )

    def write_statistics(self) -> list[str]:
        """Write ``statistics.csv`` over all finished cases, whichever run finished them.

        Returns
        -------
        list of str
            Names of the models that the cases were segmented with.

        Raises
        ------
        OutputError
            When it cannot be written.
        """
        while True:
            reports = self._reports()
            if not reports:
                return []
            with replaced_file(self.path / STATISTICS) as file:
                file.write(statistics_csv(reports).encode("utf-8", errors="backslashreplace"))
            # Another process may have finished a case while we wrote.
            if self._reports() == reports:
                return sorted({str(report.get("model")) for report in reports})

    def _record_path(self, case: str) -> Path:
        return self._records / f"{case}.json"

    def _write_record(self, case: str, record: Record) -> None:
        write_json(self._record_path(case), record)

    def _has_label_map(self, case: str, record: Record) -> bool:
        return self.result(case, str(record["request"].get("format"))).is_file()

    def _reports(self) -> list[Record]:
        """Reports of the finished cases whose label maps are there, by name."""
        reports = []
        for path in sorted(self._records.glob("*.json")):
            record = _read(path)
            if record and record["report"] and self._has_label_map(path.stem, record):
                reports.append(record["report"])
        return reports


def _files(record: Record) -> list[str]:
    """Endings of the files of a case; records of version 0.1 name the label map only."""
    files: list[str] = record.get("files", [str(record["request"].get("format"))])
    return files


def _read(path: Path) -> Record | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    complete = isinstance(content, dict) and {"request", "report"} <= content.keys()
    return content if complete else None
