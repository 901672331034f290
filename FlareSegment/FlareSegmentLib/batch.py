"""Segmentation of many cases into one folder: skipped when finished, never overwritten unasked.

A result belongs to a scan, a model and settings; its record says which. A result without record
is somebody else's and is left alone.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .bundle_info import DESCRIPTION, bundled_model
from .cases import Case
from .errors import FlareError, OutputError
from .labels import target_by_key
from .memory import MemorySampler
from .model_choice import read_choice
from .progress import ProgressCallback
from .read_ahead import ReadAhead
from .reading import read_label_map
from .report import CaseFacts, case_report, write_json
from .result_folder import ResultFolder
from .statistics import organ_statistics
from .writing import write_label_map

if TYPE_CHECKING:
    from .segmenter import Segmenter
    from .volume import Volume

logger = logging.getLogger(__name__)

FORMATS = ("nii.gz", "nrrd", "seg.nrrd")
"""Formats of the label map; the last is Slicer's segmentation."""


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
        self._inputs = {os.path.realpath(case.source) for case in cases}
        self._model = _model_folder(settings)
        self._model_hash = _model_hash(self._model)
        self._segmenter: Segmenter | None = None
        self._ahead = ReadAhead(settings.series, settings.frame)
        self.folder = ResultFolder(settings.output, settings.overwrite)

    def finished(self, case: Case) -> CaseResult | None:
        """Say what became of a case that needs no work: it is finished, or stands in the way.

        Returns
        -------
        CaseResult or None
            None when the case has to be segmented.
        """
        path = self._path(case)
        try:
            self._check_overwrites_no_input(case)
            if self.settings.overwrite:
                return None
            record = self.folder.record(case.name)
            if record is None:
                self.folder.check_free(case.name, self._endings())
                return None
            self._check_same_request(case, record)
            # A record without report is of a run that was killed while it wrote.
            if record["report"] is None:
                return None
            self._add_what_is_missing(case, record)
        except FlareError as error:
            return CaseResult(case, "failed", path, message=str(error))
        except OSError as error:
            return CaseResult(case, "failed", path, message=_folder_sentence(error))
        return CaseResult(case, "skipped", path, record["report"])

    def run(
        self, case: Case, progress: ProgressCallback, following: Case | None = None
    ) -> CaseResult:
        """Segment one case and write its results; errors become a result.

        Parameters
        ----------
        following
            The case that will be next: it is read while this one is segmented.

        Raises
        ------
        KeyboardInterrupt
            By Ctrl-C; no half file is left.
        """
        path = self._path(case)
        try:
            with self.folder.claim(case.name) as holder:
                if holder is not None:
                    return CaseResult(case, "claimed", path, message=f"{holder} works on it.")
                # Another process may have finished it since we looked.
                found = self.finished(case)
                if found is not None:
                    return found
                report = self._segment(case, progress, following)
        except FlareError as error:
            return CaseResult(case, "failed", path, message=str(error))
        except OSError as error:
            return CaseResult(case, "failed", path, message=_folder_sentence(error))
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

    def read_ahead(self, case: Case) -> None:
        """Begin to read the case that will be run first."""
        self._ahead.start(case)

    def _segment(
        self, case: Case, progress: ProgressCallback, following: Case | None
    ) -> dict[str, Any]:
        start = time.perf_counter()
        with MemorySampler() as memory:
            progress("read", 0.0)
            volume = self._ahead.take(case)
            progress("read", 1.0)
            if following is not None:
                self._ahead.start(following)
            read_seconds = time.perf_counter() - start
            label_map = self.load().segment(volume, self.settings.targets, progress)
            computed = time.perf_counter()
            progress("write", 0.0)
            request = self._request(case)
            self.folder.write_record(case.name, request, None)
            labels = [target_by_key(key) for key in label_map.targets]
            write_label_map(self._path(case), label_map.array, label_map.affine, labels)
            rows = organ_statistics(label_map.array, volume.array, volume.affine, label_map.targets)
            if self.settings.preview:
                self._write_preview(case, volume, label_map.array)
        now = time.perf_counter()
        facts = CaseFacts(case.source, read_seconds, now - computed, now - start, memory.summary())
        report = case_report(volume, label_map, rows, facts)
        if self.settings.json:
            write_json(self.folder.result(case.name, "json"), report)
        self.folder.write_record(case.name, request, report)
        progress("write", 1.0)
        return report

    def _add_what_is_missing(self, case: Case, record: dict[str, Any]) -> None:
        """Write report and preview of a finished case that was made without them."""
        json_path = self.folder.result(case.name, "json")
        preview_path = self.folder.result(case.name, "png")
        if self.settings.json and not json_path.exists():
            write_json(json_path, record["report"])
        if self.settings.preview and not preview_path.exists():
            labels, _ = read_label_map(self._path(case))
            volume = case.read(self.settings.series, self.settings.frame)
            self._write_preview(case, volume, labels)

    def _write_preview(self, case: Case, volume: Volume, labels: Any) -> None:
        from .preview import render_preview  # needs Pillow, which the rest does not

        render_preview(volume, labels, self.folder.result(case.name, "png"))

    def _path(self, case: Case) -> Path:
        return self.folder.result(case.name, self.settings.format)

    def _endings(self) -> list[str]:
        json = ["json"] if self.settings.json else []
        preview = ["png"] if self.settings.preview else []
        return [self.settings.format, *json, *preview]

    def _check_overwrites_no_input(self, case: Case) -> None:
        for ending in self._endings():
            path = self.folder.result(case.name, ending)
            if os.path.realpath(path) in self._inputs:
                raise OutputError(
                    f"The result would overwrite the scan {path}. Choose another output folder."
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
            batch.read_ahead(waiting[0])
            batch.load()
        for number, case in enumerate(waiting, 1):
            started(case, number, len(waiting))
            following = waiting[number] if number < len(waiting) else None
            result = batch.run(case, progress, following)
            results.append(result)
            ended(result)
    except KeyboardInterrupt:
        with suppress(OutputError):
            batch.folder.write_statistics()
        raise
    batch.folder.write_statistics()
    return results


def _folder_sentence(error: OSError) -> str:
    return (
        f"The output folder cannot be used ({error.strerror or error}). Choose another one, or a "
        "shorter name for the scan."
    )


def _model_folder(settings: BatchSettings) -> Path:
    if settings.model is not None:
        return settings.model
    return bundled_model()


def _model_hash(folder: Path) -> str:
    """SHA-256 of model.json, which holds the SHA-256 of the weights."""
    read_choice(folder)  # refuses a folder without model before any case is looked at
    return hashlib.sha256((folder / DESCRIPTION).read_bytes()).hexdigest()
