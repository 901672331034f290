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
"""What a result was made from (``request``) and its report; the report is None while it is
written, so that a result whose writer was killed is known to be incomplete."""


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
        if record is None:
            return None
        made = self.result(case, str(record["request"].get("format")))
        return record if made.is_file() else None

    def write_record(self, case: str, request: Record, report: Record | None) -> None:
        """Write what a result is made from, and its report once everything is there.

        Raises
        ------
        OutputError
            When it cannot be written.
        """
        write_json(self._record_path(case), {"request": request, "report": report})

    def check_free(self, case: str, endings: Sequence[str]) -> None:
        """Raise `OutputError` when a result would replace a file that we know nothing about."""
        for ending in endings:
            path = self.result(case, ending)
            if path.exists():
                raise OutputError(
                    f"{path} is there already, and nothing says that this program made it. Choose "
                    "another output folder, or allow --overwrite."
                )

    def write_statistics(self) -> None:
        """Write ``statistics.csv`` over all finished cases, whichever run finished them.

        Raises
        ------
        OutputError
            When it cannot be written.
        """
        while True:
            records = self._all_records()
            reports = [record["report"] for record in records if record and record["report"]]
            if not reports:
                return
            with replaced_file(self.path / STATISTICS) as file:
                file.write(statistics_csv(reports).encode("utf-8", errors="backslashreplace"))
            # Another process may have finished a case while we wrote.
            if self._all_records() == records:
                return

    def _record_path(self, case: str) -> Path:
        return self._records / f"{case}.json"

    def _all_records(self) -> list[Record | None]:
        return [_read(path) for path in sorted(self._records.glob("*.json"))]


def _read(path: Path) -> Record | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    complete = isinstance(content, dict) and {"request", "report"} <= content.keys()
    return content if complete else None
