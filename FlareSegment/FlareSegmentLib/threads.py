"""Independent pieces of work on all cores, one thread each.

PyTorch shares every single operation among its threads. Where operations are small, waking the
threads costs more than they save; whole pieces of work are then better shared out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

import torch

T = TypeVar("T")

TICK = 0.05
"""Seconds between two looks at how far the work is."""


def in_threads(
    work: Callable[[T], None], pieces: Sequence[T], tick: Callable[[float], None] | None = None
) -> None:
    """Do `work` on every piece, as many at a time as PyTorch has threads.

    Parameters
    ----------
    work
        Called in other threads unless there is only one, in which PyTorch has one thread each.
    pieces
        In the order they are begun.
    tick
        Called in this thread with the fraction of the pieces done; what it raises ends the work
        after the pieces that have begun, and is raised.

    Raises
    ------
    Exception
        The first that `work` raised, after the pieces that had begun.
    """
    count = min(torch.get_num_threads(), len(pieces))
    if count < 2:
        for number, piece in enumerate(pieces):
            if tick is not None:
                tick(number / len(pieces))
            work(piece)
        return
    threads, inference = torch.get_num_threads(), torch.is_inference_mode_enabled()
    stop = threading.Event()

    def one(piece: T) -> None:
        if not stop.is_set():
            # Both belong to the thread.
            with torch.inference_mode(inference):
                work(piece)

    try:
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            try:
                waiting = {pool.submit(one, piece) for piece in pieces}
                while waiting:
                    done, waiting = wait(waiting, TICK, FIRST_EXCEPTION)
                    for future in done:
                        future.result()
                    if tick is not None:
                        tick(1 - len(waiting) / len(pieces))
            finally:
                stop.set()
    finally:
        torch.set_num_threads(threads)
