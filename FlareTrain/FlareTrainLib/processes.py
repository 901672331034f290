"""The processes that train one network together: one, or those that `torchrun` started."""

from __future__ import annotations

import datetime
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import distributed

from FlareSegmentLib.devices import choose_device

PATIENCE = datetime.timedelta(hours=2)
"""How long processes wait for each other, e.g. while the first one validates."""


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes
    ----------
    rank, count
        Number of this process and of all.
    device
        Where this process computes.
    """

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Whether each flag is true in any of the processes; asked by all at the same time."""
        if self.count == 1:
            return flags
        values = torch.tensor([float(flag) for flag in flags], device=self.device)
        distributed.all_reduce(values)
        return tuple(bool(value > 0) for value in values.tolist())

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            distributed.barrier()


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Join the processes that `torchrun` started; alone without it.

    Parameters
    ----------
    device
        "auto", "cpu" or "cuda".
    """
    chosen, _ = choose_device(device)
    # The only way in which torchrun tells a process who it is.
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or "RANK" not in os.environ:
        yield Processes(device=chosen)
        return
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(chosen)
    already = distributed.is_initialized()
    if not already:
        backend = "nccl" if chosen.type == "cuda" else "gloo"
        distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size(), chosen)
    finally:
        if not already:
            distributed.destroy_process_group()


@contextmanager
def on_stop_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on SIGTERM and SIGINT; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    previous = {number: signal.signal(number, lambda *_: stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
