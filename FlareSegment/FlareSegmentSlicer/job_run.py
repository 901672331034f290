"""A job segmented frame by frame while the window stays alive."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from FlareSegmentLib.volume import LabelMap
from FlareSegmentLib.worker_client import WorkerClient

from .job import Job


@dataclass(frozen=True)
class RunCallbacks:
    """Who is told what; each may be None.

    Attributes
    ----------
    onProgress
        Called with stage, fraction within it, and the number of the frame from 0.
    onFinished
        Called with the segmentation node and the rows of the statistics.
    onError
        Called with the error.
    """

    onProgress: Callable[[str, float, int], None] | None = None
    onFinished: Callable[[Any, list[dict[str, Any]]], None] | None = None
    onError: Callable[[Exception], None] | None = None


class JobRun:
    """Sends the frames of a job to the worker, one after the other.

    Parameters
    ----------
    job
        What to segment.
    client
        Gives the worker's client.
    finish
        Brings the results into the scene and gives the segmentation.
    ended
        Called when the run is over, before the callbacks are.
    callbacks
        Who is told.
    """

    def __init__(
        self,
        job: Job,
        client: Callable[[], WorkerClient],
        finish: Callable[[Job], Any],
        ended: Callable[[], None],
        callbacks: RunCallbacks,
    ) -> None:
        self._job = job
        self._client = client
        self._finish = finish
        self._ended = ended
        self._callbacks = callbacks

    def send(self) -> None:
        """Begin with the next frame; raises what the client raises."""
        request = self._job.nextRequest()
        self._client().segment(request, self._onProgress, self._onResult, self._onError)

    def _onProgress(self, stage: str, fraction: float) -> None:
        if self._callbacks.onProgress is not None:
            self._callbacks.onProgress(stage, fraction, len(self._job.results))

    def _onResult(self, result: LabelMap) -> None:
        self._job.take(result)
        try:
            if not self._job.done:
                self.send()
                return
            segmentation = self._finish(self._job)
            rows = self._job.rows()
        except Exception as error:  # shown to the user, whatever it is
            logging.exception("FlareSegment")
            self._onError(error)
            return
        self._ended()
        if self._callbacks.onFinished is not None:
            self._callbacks.onFinished(segmentation, rows)

    def _onError(self, error: Exception) -> None:
        self._ended()
        if self._callbacks.onError is not None:
            self._callbacks.onError(error)
        else:
            logging.error("%s", error)
