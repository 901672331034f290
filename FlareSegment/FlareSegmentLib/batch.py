"""Segmentation of many cases into one folder: skipped when finished, never overwritten unasked.

A result belongs to a scan, a model and settings; its record says which. A result without record
is somebody else's and is left alone.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .batch_request import check_same_request, model_hash, request_for_case
from .batch_settings import FORMATS, BatchSettings, CaseResult
from .bundle_info import bundled_model
from .cases import Case
from .errors import FlareError, OutputError
from .labels import target_by_key
from .memory import MemorySampler
from .progress import ProgressCallback
from .read_ahead import ReadAhead
from .reading import read_label_map
from .report import CaseFacts, case_report, write_json
from .result_folder import Record, ResultFolder
from .statistics import organ_statistics
from .writing import write_label_map

if TYPE_CHECKING:
    from .segmenter import Segmenter
    from .volume import Volume

logger = logging.getLogger(__name__)

__all__ = ["FORMATS", "Batch", "BatchSettings", "CaseResult", "run_batch"]


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
        self._model = settings.model or bundled_model()
        self._model_hash = model_hash(self._model)
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
                self.folder.check_free(case.name, self.settings.endings)
                return None
            check_same_request(self._request(case), record["request"], self.settings.output)
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
        """Read, segment and write one case; gives its report."""
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
            entry = self.folder.begin(case.name, self._request(case), self.settings.endings)
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
        self.folder.finish(case.name, entry, report)
        progress("write", 1.0)
        return report

    def _add_what_is_missing(self, case: Case, record: Record) -> None:
        """Write report and preview of a finished case that was made without them."""
        wanted = [e for e in self.settings.endings if not self.folder.result(case.name, e).exists()]
        if not wanted:
            return
        if "json" in wanted:
            write_json(self.folder.result(case.name, "json"), record["report"])
        if "png" in wanted:
            labels, _ = read_label_map(self._path(case))
            volume = case.read(self.settings.series, self.settings.frame)
            self._write_preview(case, volume, labels)
        self.folder.add_files(case.name, record, wanted)

    def _write_preview(self, case: Case, volume: Volume, labels: Any) -> None:
        from .preview import render_preview  # needs Pillow, which the rest does not

        render_preview(volume, labels, self.folder.result(case.name, "png"))

    def _path(self, case: Case) -> Path:
        return self.folder.result(case.name, self.settings.format)

    def _request(self, case: Case) -> dict[str, Any]:
        return request_for_case(case, self.settings, self._model_hash)

    def _check_overwrites_no_input(self, case: Case) -> None:
        for ending in self.settings.endings:
            path = self.folder.result(case.name, ending)
            if os.path.realpath(path) in self._inputs:
                raise OutputError(
                    f"The result would overwrite the scan {path}. Choose another output folder."
                )


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
    models = batch.folder.write_statistics()
    if len(models) > 1:
        logger.warning(
            "statistics.csv holds cases of %d models: %s. The column model says which.",
            len(models),
            ", ".join(models),
        )
    return results


def _folder_sentence(error: OSError) -> str:
    return (
        f"The output folder cannot be used ({error.strerror or error}). Choose another one, or a "
        "shorter name for the scan."
    )
