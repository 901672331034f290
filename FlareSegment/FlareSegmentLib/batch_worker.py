"""A batch as a process for an application: request in, events out, as JSON lines.

Started by `batch_client` as ``python -m FlareSegmentLib.batch_worker``. The first line of the
standard input is the request. When the input closes, the batch stops: at once between two steps,
and at the latest after two seconds. Finished cases stay, half files never appear.
"""

from __future__ import annotations

import _thread
import logging
import os
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from . import __version__
from .batch import Batch, BatchSettings, CaseResult, run_batch
from .cases import Case, find_cases
from .errors import FlareError
from .worker_protocol import PROTOCOL_VERSION, LineReader, Message, decode, encode
from .worker_streams import log_to, reserve_standard_output

logger = logging.getLogger(__name__)

_STOP_SECONDS = 2.0
_INTERRUPTED = 130


def settings_from(request: Message) -> BatchSettings:
    """Give the settings in a request."""
    content = dict(request["settings"])
    content["output"] = Path(content["output"])
    content["model"] = Path(content["model"]) if content.get("model") else None
    if content.get("targets") is not None:
        content["targets"] = tuple(content["targets"])
    return BatchSettings(**content)


def request_for(inputs: list[Path], studies: list[str] | None, settings: BatchSettings) -> Message:
    """Give the request that makes `run` do this.

    Parameters
    ----------
    inputs
        Files and folders.
    studies
        DICOM study instance UIDs to which the cases are limited; None for no limit.
    settings
        What is wanted.
    """
    content = asdict(settings)
    for key in ("output", "model"):
        content[key] = str(content[key]) if content[key] is not None else None
    return {"inputs": [str(path) for path in inputs], "studies": studies, "settings": content}


def run(request: Message, events: BinaryIO) -> int:
    """Do the batch and tell about it; give the exit code."""

    def send(message: Message) -> None:
        events.write(encode(message))
        events.flush()

    last = 0.0

    def progress(stage: str, fraction: float) -> None:
        nonlocal last
        if time.monotonic() - last > 0.2 or fraction >= 1:
            last = time.monotonic()
            send({"event": "progress", "stage": stage, "fraction": fraction})

    def started(case: Case, number: int, count: int) -> None:
        send({"event": "started", "case": case.name, "number": number, "count": count})

    send({"event": "hello", "protocol": PROTOCOL_VERSION, "version": __version__})
    try:
        settings = settings_from(request)
        cases = find_cases([Path(path) for path in request["inputs"]], settings.output)
        studies = request.get("studies")
        if studies is not None:
            cases = [case for case in cases if case.series and case.series[0].study in studies]
        send({"event": "cases", "cases": [case.name for case in cases]})
        results = run_batch(Batch(cases, settings), started, progress, lambda r: send(_ended(r)))
    except FlareError as error:
        send({"event": "error", "kind": type(error).__name__, "message": str(error)})
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    send({"event": "finished"})
    return int(any(result.state == "failed" for result in results))


def _ended(result: CaseResult) -> Message:
    report = result.report or {}
    return {
        "event": "ended",
        "case": result.case.name,
        "state": result.state,
        "path": str(result.path),
        "message": result.message,
        "seconds": report.get("seconds", {}).get("total"),
        "found": [row["name"] for row in report.get("targets", ()) if row["voxels"]],
    }


def _stop_with_input() -> None:
    """Interrupt the main thread when the input closes; end the process if that takes long."""
    while os.read(sys.stdin.fileno(), 65536):
        pass
    _thread.interrupt_main()
    time.sleep(_STOP_SECONDS)
    os._exit(_INTERRUPTED)


def main() -> int:
    """Take the request and do it."""
    events = reserve_standard_output()
    log_to(sys.stderr)
    reader = LineReader()
    lines: list[bytes] = []
    while not lines:
        data = os.read(sys.stdin.fileno(), 65536)
        if not data:
            return 2
        lines += reader.feed(data)
    request = decode(lines[0])
    if request is None:
        logger.error("not a request: %r", lines[0][:200])
        return 2
    threading.Thread(target=_stop_with_input, daemon=True).start()
    return run(request, events)


if __name__ == "__main__":
    sys.exit(main())
