"""What a worker is doing, and how long its client waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class WorkerState(Enum):
    """What the worker is doing, as far as the client knows."""

    STOPPED = "stopped"
    STARTING = "starting"
    WARMING_UP = "warming up"
    READY = "ready"
    RUNNING = "running"
    CANCELLING = "cancelling"
    FAILED = "failed"


@dataclass(frozen=True)
class WorkerSettings:
    """Patience of the client, in seconds."""

    hello: float = 120.0
    """From start to the first word: Python starts slowly from a network disk."""
    heartbeat: float = 60.0
    """Without a sign of life: importing torch holds the interpreter for long on a cold disk."""
    progress: float = 900.0
    """Without progress while alive: one window of a large network on a slow CPU takes minutes."""
    cancel: float = 0.7
    """From cancel to its confirmation; then the worker is ended instead."""
    leave: float = 1.5
    """From closed input to the end of the process; then it is killed."""
    idle: float = 900.0
    """Without a request; then the worker is ended and its memory given back."""
