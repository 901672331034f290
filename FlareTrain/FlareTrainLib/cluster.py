"""Labeling on several processes or computers with Dask; the cases of a lost worker are redone."""

from __future__ import annotations

import logging
from typing import Any

from FlareSegmentLib.errors import InputError

from .pseudo_labels import JobRunner, Labeled, LabelJob, label_one

logger = logging.getLogger(__name__)

RETRIES = 3
"""Times a case is given to another worker after its worker was lost."""


def cluster_runner(scheduler: str = "", workers: int = 0) -> JobRunner:
    """Runner of labeling jobs on a Dask cluster.

    Parameters
    ----------
    scheduler
        Address of a running scheduler, e.g. ``tcp://host:8786``; its workers must have this
        package and see the same folders.
    workers
        Without a scheduler: this many processes on this computer.

    Raises
    ------
    InputError
        When Dask is not installed, neither or both are given, or no scheduler answers.
    """
    if bool(scheduler) == bool(workers):
        raise InputError("Give either the address of a scheduler or a number of workers.")
    distributed = _distributed()

    def run(jobs: list[LabelJob]) -> list[Labeled]:
        with _client(distributed, scheduler, min(workers, len(jobs))) as client:
            # A label map that is there makes a job done at once, so redoing a case that a lost
            # worker had just finished costs nothing.
            futures = client.map(label_one, jobs, pure=False, retries=RETRIES)
            results = []
            for future, job in zip(futures, jobs, strict=True):
                results.append(_result(distributed, future, job))
                logger.info("labeled %s (%d of %d)", job.name, len(results), len(jobs))
            return results

    return run


def _result(distributed: Any, future: Any, job: LabelJob) -> Labeled:
    try:
        result: Labeled = future.result()
    except distributed.scheduler.KilledWorker:
        return Labeled(
            job.name,
            "every worker that took it was lost; it may need more memory than a worker has.",
        )
    return result


def _client(distributed: Any, scheduler: str, workers: int) -> Any:
    try:
        if scheduler:
            return distributed.Client(scheduler, timeout="20s")
        return distributed.Client(
            n_workers=workers, threads_per_worker=1, dashboard_address=None, processes=True
        )
    except (OSError, TimeoutError) as error:
        raise InputError(
            f"No Dask scheduler answers at {scheduler}. Check the address, and that the scheduler "
            "runs (dask scheduler)."
        ) from error


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise InputError(
            "Working on a cluster needs Dask, which is not installed. Install it with: "
            "pip install distributed"
        ) from error
    return distributed
