"""Batches made ready in a thread while the network computes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import torch

from .sampling import Batch


class Prefetcher:
    """Gives `draw(first)`, `draw(first + 1)` ... in order, drawn ahead of their use.

    On a GPU the thread works on a stream of its own, so augmentation and training overlap. What
    is drawn ahead and not used is simply dropped: a batch is a function of its step.

    Parameters
    ----------
    draw
        Batch of a step.
    first
        First step.
    depth
        Batches kept ready; 0 draws each one when it is asked for, without a thread.
    device
        Where the network is.
    """

    def __init__(
        self, draw: Callable[[int], Batch], first: int, depth: int, device: torch.device
    ) -> None:
        self._draw = draw
        self._step = first
        self._device = device
        self._stop = threading.Event()
        self._ready: queue.Queue[Batch | BaseException] = queue.Queue(max(depth, 1))
        self._thread: threading.Thread | None = None
        if depth > 0:
            self._thread = threading.Thread(target=self._work, name="batches", daemon=True)
            self._thread.start()

    def next(self) -> Batch:
        """Batch of the next step.

        Raises
        ------
        Exception
            Whatever drawing it raised.
        """
        if self._thread is None:
            batch = self._draw(self._step)
            self._step += 1
            return batch
        item = self._ready.get()
        if isinstance(item, BaseException):
            raise item
        if self._device.type == "cuda":
            stream = torch.cuda.current_stream(self._device)
            for tensor in (item.image, item.labels, item.known):
                # Its memory came from the other stream and must not be reused too early.
                tensor.record_stream(stream)
        return item

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is None:
            return
        while self._thread.is_alive():
            try:
                self._ready.get_nowait()
            except queue.Empty:
                self._thread.join(0.01)

    def _work(self) -> None:
        stream = None
        if self._device.type == "cuda":
            stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        step = self._step
        while not self._stop.is_set():
            try:
                if stream is None:
                    item = self._draw(step)
                else:
                    with torch.cuda.stream(stream):
                        item = self._draw(step)
                    stream.synchronize()
            except BaseException as error:
                self._ready.put(error)
                return
            self._ready.put(item)
            step += 1
