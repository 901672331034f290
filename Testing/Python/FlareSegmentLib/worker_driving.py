"""What tests of the worker share: a small scan, driving a client, watching processes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from FlareSegmentLib.volume import Volume
from FlareSegmentLib.worker_client import WorkerClient
from FlareSegmentLib.worker_request import SegmentRequest

SCRIPT = str(Path(__file__).with_name("scripted_worker.py"))


def scan(name: str = "", dtype: type = np.int16) -> Volume:
    """A small volume whose voxels are their own index minus 50."""
    array = (np.arange(5 * 6 * 7).reshape(5, 6, 7) - 50).astype(dtype)
    return Volume(array, np.diag([0.8, 0.9, 2.5, 1.0]), name)


def alive(pid: int) -> bool:
    """Whether the process is there and not a zombie that only waits to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds: float = 15.0) -> bool:
    """Poll `condition` until it holds or the time is over; give whether it holds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


def drive(client: WorkerClient, until, seconds: float = 15.0) -> None:
    """Tick and pump as an application does, until the condition holds."""

    def step() -> bool:
        client.tick()
        client.pump(0.01)
        return bool(until())

    assert wait_until(step, seconds), f"waited in vain in state {client.state}"


class Run:
    """A request begun on a client and what came back."""

    def __init__(self, client: WorkerClient, volume: Volume) -> None:
        self.progress: list[tuple[str, float]] = []
        self.results: list = []
        self.errors: list[Exception] = []
        client.segment(
            SegmentRequest(volume),
            lambda *step: self.progress.append(step),
            self.results.append,
            self.errors.append,
        )

    @property
    def ended(self) -> bool:
        """Whether the run came to its end, one way or the other."""
        return bool(self.results or self.errors)
