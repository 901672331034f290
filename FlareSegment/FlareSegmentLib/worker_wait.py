"""Waiting for a worker's result: the way of scripts and of the Python console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import FlareError
from .progress import CancelQuery, ProgressCallback
from .volume import LabelMap
from .worker_request import SegmentRequest

if TYPE_CHECKING:
    from .worker_client import WorkerClient


def result_of(
    client: WorkerClient,
    request: SegmentRequest,
    progress: ProgressCallback | None,
    cancel: CancelQuery | None,
) -> LabelMap:
    """Segment and wait for the result.

    Parameters
    ----------
    client
        Who asks the worker.
    request
        What is asked for.
    progress, cancel
        See `progress`.

    Raises
    ------
    FlareError
        What went wrong; `Cancelled` when `cancel` gave true.
    """
    results: list[LabelMap] = []
    failures: list[FlareError] = []
    client.segment(
        request,
        progress if progress is not None else lambda stage, fraction: None,
        results.append,
        failures.append,
    )
    try:
        while not results and not failures:
            client.tick()
            client.pump(0.0 if client.writing else 0.02)
            if cancel is not None and cancel():
                client.cancel()
    except BaseException:  # Ctrl-C or a failing callback: leave no run behind
        client.cancel()
        while client.busy:
            client.pump(0.02)
            client.tick()
        raise
    if failures:
        raise failures[0]
    return results[0]
