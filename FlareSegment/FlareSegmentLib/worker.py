"""The process that computes: reads requests from standard input, answers on standard output.

Started by the client as ``python -m FlareSegmentLib.worker --exchange FOLDER``. It says hello
before anything slow is imported, keeps the model loaded between requests, and leaves as soon as
its standard input closes, also in the middle of a computation, so that it never outlives the
application that started it.
"""

from __future__ import annotations

import argparse
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from . import __version__, errors
from .exchange import remove_if_abandoned
from .progress import ProgressCallback
from .statistics import organ_statistics
from .volume import Volume
from .windows import Box
from .worker_engine import BundleEngine, Engine
from .worker_errors import no_room
from .worker_protocol import (
    HEARTBEAT_SECONDS,
    PROTOCOL_VERSION,
    LineReader,
    Message,
    decode,
    encode,
)
from .worker_request import SegmentRequest
from .worker_streams import log_to, reserve_standard_output

logger = logging.getLogger(__name__)

_PROGRESS_SECONDS = 0.1
"""Shortest time between two progress events of one stage."""


class Worker:
    """Serves requests one after the other until the input ends.

    Parameters
    ----------
    engine
        What computes.
    requests
        Binary stream the requests are read from.
    events
        Binary stream the events are written to.
    exchange
        Folder of the client, removed when the client died without doing so.
    """

    def __init__(
        self, engine: Engine, requests: BinaryIO | IO[bytes], events: BinaryIO, exchange: Path
    ) -> None:
        self._engine = engine
        self._input = requests
        self._events = events
        self._exchange = exchange
        self._write_lock = threading.Lock()
        self._queue: queue.Queue[Message] = queue.Queue()
        self._cancelled: set[int] = set()

    def run(self) -> None:
        """Serve until the process ends; never returns."""
        self._send(
            {
                "event": "hello",
                "protocol": PROTOCOL_VERSION,
                "version": __version__,
                "pid": os.getpid(),
                "python": sys.version.split()[0],
            }
        )
        for target in (self._read_requests, self._beat):
            threading.Thread(target=target, daemon=True).start()
        while True:
            self._serve(self._queue.get())

    def _serve(self, request: Message) -> None:
        number = int(request["id"])
        try:
            if number in self._cancelled:
                raise errors.Cancelled("Cancelled before it began. Nothing was changed.")
            handlers: dict[str, Callable[[Message], Message]] = {
                "warm_up": self._warm_up,
                "segment": self._segment,
            }
            answer = handlers[request["op"]](request)
        except errors.Cancelled:
            answer = {"event": "cancelled"}
        except errors.FlareError as error:
            answer = {"event": "error", "kind": type(error).__name__, "message": str(error)}
        except MemoryError:
            logger.exception("out of memory")
            message = (
                "The memory of this computer was not enough for this scan. Close other programs, "
                "or crop the scan to the abdomen, and run again."
            )
            answer = {"event": "error", "kind": "MemoryError", "message": message}
        except Exception as error:  # the loop must live on, whatever one request ran into
            logger.exception("request failed")
            message = f"The segmentation stopped with an unexpected error: {error!r}"
            answer = {"event": "error", "kind": "WorkerError", "message": message}
        finally:
            self._cancelled.discard(number)
        self._send({**answer, "id": number})

    def _warm_up(self, request: Message) -> Message:
        start = time.perf_counter()
        facts = self._engine.warm_up(_model(request), request["device"])
        return {"event": "ready", "seconds": time.perf_counter() - start, **facts}

    def _segment(self, request: Message) -> Message:
        number = int(request["id"])
        volume = Volume(
            # Copy on write: torch dislikes arrays that cannot be written, and the file must stay.
            np.load(request["input"], mmap_mode="c"),
            np.array(request["affine"], dtype=np.float64),
            request["name"],
        )
        wanted = SegmentRequest(
            volume, request["targets"], _model(request), request["device"], _region(request)
        )
        label_map = self._engine.segment(
            wanted, self._progress_of(number), lambda: number in self._cancelled
        )
        output = Path(request["output"])
        try:
            np.save(output, np.ascontiguousarray(label_map.array))
        except OSError as error:
            raise no_room(output.parent, label_map.array, error, "result") from error
        extent = _extent(label_map.array)
        box = tuple(slice(first, end) for first, end in extent or [[0, 1]] * 3)
        return {
            "event": "result",
            "targets": list(label_map.targets),
            "report": label_map.report,
            "extent": extent,
            # Here and not in the application, whose window would freeze meanwhile.
            "statistics": organ_statistics(
                label_map.array[box], volume.array[box], volume.affine, label_map.targets
            ),
        }

    def _progress_of(self, number: int) -> ProgressCallback:
        last_stage, last_time = "", 0.0

        def progress(stage: str, fraction: float) -> None:
            nonlocal last_stage, last_time
            now = time.monotonic()
            if stage == last_stage and now - last_time < _PROGRESS_SECONDS and fraction < 1:
                return
            last_stage, last_time = stage, now
            self._send({"event": "progress", "id": number, "stage": stage, "fraction": fraction})

        return progress

    def _read_requests(self) -> None:
        """Take requests while the main thread computes; end the process with the input."""
        reader = LineReader()
        while data := os.read(self._input.fileno(), 65536):
            for line in reader.feed(data):
                request = decode(line)
                if request is None:
                    logger.error("not a request: %r", line[:200])
                elif request.get("op") == "cancel":
                    self._cancelled.add(int(request["id"]))
                else:
                    self._queue.put(request)
        self._leave()

    def _beat(self) -> None:
        while True:
            time.sleep(HEARTBEAT_SECONDS)
            self._send({"event": "heartbeat"})

    def _send(self, message: Message) -> None:
        try:
            with self._write_lock:
                self._events.write(encode(message))
                self._events.flush()
        except OSError:  # nobody listens any more
            self._leave()

    def _leave(self) -> None:
        """End the process at once, whatever its other threads are doing."""
        remove_if_abandoned(self._exchange, patience=1.0)
        os._exit(0)


def _model(request: Message) -> Path | None:
    return Path(request["model"]) if request.get("model") else None


def _region(request: Message) -> Box | None:
    if request["region"] is None:
        return None
    k, j, i = (slice(first, end) for first, end in request["region"])
    return k, j, i


def _extent(labels: np.ndarray) -> list[list[int]] | None:
    """Give first and last + 1 index along each axis of what is not background, None if nothing."""
    planes = np.flatnonzero(labels.any(axis=(1, 2)))
    if planes.size == 0:
        return None
    slab = labels[planes[0] : planes[-1] + 1]
    face = np.asarray(slab.any(axis=0))
    bounds = [planes, np.flatnonzero(face.any(axis=1)), np.flatnonzero(face.any(axis=0))]
    return [[int(b[0]), int(b[-1]) + 1] for b in bounds]


def serve(engine: Engine, arguments: Sequence[str] | None = None) -> None:
    """Run the worker on this process's standard streams with `engine`; never returns."""
    parser = argparse.ArgumentParser(prog="FlareSegmentLib.worker", description=__doc__)
    parser.add_argument("--exchange", type=Path, required=True, help="folder of the arrays")
    options = parser.parse_args(arguments)
    events = reserve_standard_output()
    log_to(sys.stderr)
    # Ctrl-C in the console that Slicer was started from reaches every process of it; the client
    # alone decides when the worker leaves.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Worker(engine, sys.stdin.buffer, events, options.exchange).run()


if __name__ == "__main__":
    serve(BundleEngine())
