"""Segmentation of many cases into one folder: skipped when finished, never overwritten unasked.

Beside the results lies a hidden folder with a record per case. The record says which scan, model
and settings a result belongs to; a result without record is somebody else's and is left alone.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .cases import RESULT_ENDING, Case
from .claims import claim
from .errors import FlareError, OutputError
from .labels import target_by_key
from .memory import MemorySampler
from .model_choice import DESCRIPTION, read_choice
from .progress import ProgressCallback
from .reading import read_label_map
from .report import CaseFacts, case_report, statistics_csv, write_json
from .statistics import organ_statistics
from .writing import replaced_file, write_label_map

if TYPE_CHECKING:
    from .segmenter import Segmenter
    from .volume import Volume

logger = logging.getLogger(__name__)

FORMATS = ("nii.gz", "nrrd", "seg.nrrd")
"""Formats of the label map; the last is Slicer's segmentation."""

RECORD_FOLDER = ".flare-segment"
STATISTICS = "statistics.csv"


@dataclass(frozen=True)
class BatchSettings:
    """What is wanted of every case.

    Attributes
    ----------
    output
        Folder of the results; made when missing.
    targets
        Keys of the targets, or None for all that the model knows.
    format
        One of `FORMATS`.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    model
        Folder of a model bundle; None is the bundled one.
    series, frame
        As in `read_volume`.
    json, preview
        Whether to write ``<case>_seg.json`` and ``<case>_seg.png`` too.
    overwrite
        Whether to replace what is there.
    """

    output: Path
    targets: tuple[str, ...] | None = None
    format: str = "nii.gz"
    device: str = "auto"
    model: Path | None = None
    series: str | None = None
    frame: int | None = None
    json: bool = False
    preview: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class CaseResult:
    """What became of one case.

    Attributes
    ----------
    case
        The case.
    state
        ``"done"``, ``"skipped"`` (it was finished before), ``"claimed"`` (another process works
        on it) or ``"failed"``.
    path
        The label map.
    report
        Of `case_report`, when done or skipped.
    message
        A sentence, when failed or claimed.
    """

    case: Case
    state: str
    path: Path
    report: dict[str, Any] | None = None
    message: str = ""


class Batch:
    """Cases and what is wanted of them.

    Parameters
    ----------
    cases
        Of `find_cases`.
    settings
        What is wanted.

    Raises
    ------
    BundleError
        When the model's folder holds no model.
    OutputError
        When the output folder cannot be made or written, or holds a ``statistics.csv`` that is
        not ours.
    """

    def __init__(self, cases: Sequence[Case], settings: BatchSettings) -> None:
        self.cases = tuple(cases)
        self.settings = settings
        self._inputs = {case.source.resolve() for case in cases}
        self._model = _model_folder(settings)
        self._model_hash = _model_hash(self._model)
        self._segmenter: Segmenter | None = None
        self._records = settings.output / RECORD_FOLDER
        self._prepare_output()

    def finished(self, case: Case) -> CaseResult | None:
        """Say what became of a case that needs no work: it is finished, or stands in the way.

        Returns
        -------
        CaseResult or None
            None when the case has to be segmented.
        """
        path = self._path(case, f".{self.settings.format}")
        try:
            self._check_overwrites_no_input(case)
            if self.settings.overwrite:
                return None
            record = self._read_record(case)
            if record is None or not self._made_path(case, record).is_file():
                self._check_nothing_there(case)
                return None
            self._check_same_request(case, record)
            # A record without report is of a run that was killed while it wrote.
            if record["report"] is None:
                return None
            self._add_what_is_missing(case, record)
        except FlareError as error:
            return CaseResult(case, "failed", path, message=str(error))
        return CaseResult(case, "skipped", path, record["report"])

    def run(self, case: Case, progress: ProgressCallback) -> CaseResult:
        """Segment one case and write its results; errors become a result.

        Raises
        ------
        KeyboardInterrupt
            By Ctrl-C; no half file is left.
        """
        path = self._path(case, f".{self.settings.format}")
        try:
            with claim(self._records / f"{case.name}.claim") as holder:
                if holder is not None:
                    return CaseResult(case, "claimed", path, message=f"{holder} works on it.")
                # Another process may have finished it since we looked.
                found = self.finished(case)
                if found is not None:
                    return found
                report = self._segment(case, progress)
        except FlareError as error:
            return CaseResult(case, "failed", path, message=str(error))
        except MemoryError:
            message = (
                "The memory of this computer was not enough for this scan. Close other programs, "
                "or crop the scan to the abdomen."
            )
            return CaseResult(case, "failed", path, message=message)
        except Exception as error:  # the other cases must go on, whatever this one ran into
            logger.exception("%s failed", case.name)
            message = f"The segmentation stopped with an unexpected error: {error!r}"
            return CaseResult(case, "failed", path, message=message)
        return CaseResult(case, "done", path, report)

    def write_statistics(self) -> None:
        """Write ``statistics.csv`` over all finished cases in the output folder.

        Raises
        ------
        OutputError
            When it cannot be written.
        """
        path = self.settings.output / STATISTICS
        while True:
            names = self._record_files()
            records = [_read_json(name) for name in names]
            reports = [record["report"] for record in records if record and record["report"]]
            if not reports:
                return
            with replaced_file(path) as file:
                file.write(statistics_csv(reports).encode("utf-8"))
            # Another process may have added a case while we wrote.
            if self._record_files() == names:
                return

    def load(self) -> Segmenter:
        """Load the model, once for all cases.

        Raises
        ------
        BundleError, DeviceError
            When the model or the device cannot be used: no case could be segmented.
        """
        if self._segmenter is None:
            from .bundle import ModelBundle
            from .segmenter import Segmenter

            self._segmenter = Segmenter(ModelBundle.load(self._model), self.settings.device)
        return self._segmenter

    def _segment(self, case: Case, progress: ProgressCallback) -> dict[str, Any]:
        start = time.perf_counter()
        with MemorySampler() as memory:
            progress("read", 0.0)
            volume = case.read(self.settings.series, self.settings.frame)
            progress("read", 1.0)
            read_seconds = time.perf_counter() - start
            label_map = self.load().segment(volume, self.settings.targets, progress)
            computed = time.perf_counter()
            progress("write", 0.0)
            request = self._request(case)
            self._write_record(case, request, None)
            path = self._path(case, f".{self.settings.format}")
            labels = [target_by_key(key) for key in label_map.targets]
            write_label_map(path, label_map.array, label_map.affine, labels)
            rows = organ_statistics(label_map.array, volume.array, volume.affine, label_map.targets)
            if self.settings.preview:
                self._write_preview(case, volume, label_map.array)
        now = time.perf_counter()
        facts = CaseFacts(case.source, read_seconds, now - computed, now - start, memory.summary())
        report = case_report(volume, label_map, rows, facts)
        if self.settings.json:
            write_json(self._path(case, ".json"), report)
        self._write_record(case, request, report)
        progress("write", 1.0)
        return report

    def _add_what_is_missing(self, case: Case, record: dict[str, Any]) -> None:
        """Write report and preview of a finished case that was made without them."""
        json_path, preview_path = self._path(case, ".json"), self._path(case, ".png")
        if self.settings.json and not json_path.exists():
            write_json(json_path, record["report"])
        if self.settings.preview and not preview_path.exists():
            labels, _ = read_label_map(self._path(case, f".{self.settings.format}"))
            volume = case.read(self.settings.series, self.settings.frame)
            self._write_preview(case, volume, labels)

    def _write_preview(self, case: Case, volume: Volume, labels: Any) -> None:
        from .preview import render_preview  # needs Pillow, which the rest does not

        render_preview(volume, labels, self._path(case, ".png"))

    def _path(self, case: Case, ending: str) -> Path:
        return self.settings.output / f"{case.name}{RESULT_ENDING}{ending}"

    def _made_path(self, case: Case, record: dict[str, Any]) -> Path:
        return self._path(case, f".{record['request'].get('format')}")

    def _result_paths(self, case: Case) -> list[Path]:
        endings = [f".{self.settings.format}"]
        endings += [".json"] if self.settings.json else []
        endings += [".png"] if self.settings.preview else []
        return [self._path(case, ending) for ending in endings]

    def _check_overwrites_no_input(self, case: Case) -> None:
        for path in self._result_paths(case):
            if path.resolve() in self._inputs:
                raise OutputError(
                    f"The result would overwrite the scan {path}. Choose another output folder."
                )

    def _check_nothing_there(self, case: Case) -> None:
        for path in self._result_paths(case):
            if path.exists():
                raise OutputError(
                    f"{path} is there already and was not made by this program from this folder's "
                    "records. Choose another output folder, or allow --overwrite."
                )

    def _check_same_request(self, case: Case, record: dict[str, Any]) -> None:
        """Raise `OutputError` when the finished result is not the one that is wanted."""
        names = {
            "scan": "another scan",
            "model": "another model",
            "targets": "other targets",
            "format": "another format",
            "series": "another series",
            "frame": "another frame",
        }
        wanted, made = self._request(case), record["request"]
        other = [name for key, name in names.items() if wanted[key] != made.get(key)]
        if other:
            raise OutputError(
                f"The result in {self.settings.output} was made with {' and '.join(other)}. "
                "Choose another output folder, or allow --overwrite."
            )

    def _request(self, case: Case) -> dict[str, Any]:
        """Give what a result depends on; device and number format may change nothing visible."""
        try:
            scan = case.fingerprint()
        except OSError as error:
            raise OutputError(
                f"{case.source} cannot be read ({error.strerror or error}). Check the path."
            ) from error
        targets = self.settings.targets
        return {
            "scan": scan,
            "model": self._model_hash,
            "targets": None if targets is None else list(targets),
            "format": self.settings.format,
            "series": self.settings.series,
            "frame": self.settings.frame,
        }

    def _prepare_output(self) -> None:
        output = self.settings.output
        foreign = (output / STATISTICS).exists() and not self._records.exists()
        if foreign and not self.settings.overwrite:
            raise OutputError(
                f"{output / STATISTICS} is there already and is not of this program. Choose "
                "another output folder, or allow --overwrite."
            )
        try:
            self._records.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"The output folder {output} cannot be made or written "
                f"({error.strerror or error}). Choose another one."
            ) from error
        if not os.access(self._records, os.W_OK | os.X_OK):
            raise OutputError(
                f"The output folder {output} cannot be written: it is not permitted. Choose "
                "another one."
            )

    def _record_files(self) -> list[Path]:
        return sorted(self._records.glob("*.json"))

    def _read_record(self, case: Case) -> dict[str, Any] | None:
        return _read_json(self._records / f"{case.name}.json")

    def _write_record(
        self, case: Case, request: dict[str, Any], report: dict[str, Any] | None
    ) -> None:
        content = {"request": request, "report": report}
        write_json(self._records / f"{case.name}.json", content)


def run_batch(
    batch: Batch,
    started: Callable[[Case, int, int], None],
    progress: ProgressCallback,
    ended: Callable[[CaseResult], None],
) -> list[CaseResult]:
    """Segment the cases of a batch one after the other and write the statistics over all.

    Parameters
    ----------
    batch
        What to do.
    started
        Called with a case, its number from 1 and the count of cases that need work.
    progress
        Called with stage and fraction within the case.
    ended
        Called with the result of each case, also of those that needed no work.

    Raises
    ------
    BundleError, DeviceError
        When no case can be segmented with this model or on this device.
    KeyboardInterrupt
        By Ctrl-C, after the statistics of what is finished were written.
    """
    results = []
    waiting = []
    for case in batch.cases:
        found = batch.finished(case)
        if found is None:
            waiting.append(case)
        else:
            results.append(found)
            ended(found)
    try:
        if waiting:
            batch.load()
        for number, case in enumerate(waiting, 1):
            started(case, number, len(waiting))
            result = batch.run(case, progress)
            results.append(result)
            ended(result)
    except KeyboardInterrupt:
        with suppress(OutputError):
            batch.write_statistics()
        raise
    batch.write_statistics()
    return results


def _model_folder(settings: BatchSettings) -> Path:
    if settings.model is not None:
        return settings.model
    from .bundle import bundled_model

    return bundled_model()


def _model_hash(folder: Path) -> str:
    """SHA-256 of model.json, which holds the SHA-256 of the weights."""
    read_choice(folder)  # refuses a folder without model before any case is looked at
    return hashlib.sha256((folder / DESCRIPTION).read_bytes()).hexdigest()


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    complete = isinstance(content, dict) and {"request", "report"} <= content.keys()
    return content if complete else None
