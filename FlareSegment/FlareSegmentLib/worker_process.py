"""How the client starts, feeds and ends a process: the interface and one implementation.

The Slicer module brings a second implementation on Qt's process class; tests and scripts use the
one here.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO, Protocol


class ProcessListener(Protocol):
    """Who is told what the process does; called in the thread that owns the process."""

    def on_output(self, data: bytes) -> None:
        """Take bytes from the process's standard output."""

    def on_error_output(self, data: bytes) -> None:
        """Take bytes from the process's standard error."""

    def on_finished(self, exit_code: int) -> None:
        """Take the exit code; minus the signal number when a signal ended the process."""


class ProcessProtocol(Protocol):
    """One child process at a time; can be started again after it ended."""

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], listener: ProcessListener
    ) -> None:
        """Start `command`; raise `OSError` when that is not possible."""

    def write(self, data: bytes) -> None:
        """Send bytes to the standard input; silent when the process is gone."""

    def end_input(self) -> None:
        """Close the standard input, which asks a worker to leave."""

    def kill(self) -> None:
        """End the process now. Its child, when it is a launcher, may live on."""

    def pump(self, seconds: float) -> None:
        """Wait up to `seconds` for something to happen and tell the listener."""

    @property
    def running(self) -> bool:
        """Whether the process has been started and not yet been reported as finished."""


class SubprocessProcess:
    """`ProcessProtocol` on the standard library; the listener is called from `pump` only."""

    _ORPHAN_OUTPUT_SECONDS = 0.3
    """How long output of a dead launcher's child is still waited for."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._listener: ProcessListener | None = None
        self._events: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._open_streams = 0
        self._ended_at: float | None = None

    @property
    def running(self) -> bool:
        """Whether the process has been started and not yet been reported as finished."""
        return self._process is not None

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], listener: ProcessListener
    ) -> None:
        """Start `command`; raise `OSError` when that is not possible."""
        self._process = subprocess.Popen(
            list(command),
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._listener = listener
        # A queue per process: a late line of the previous one must not be taken for this one's.
        self._events = queue.Queue()
        self._open_streams = 2
        self._ended_at = None
        for kind, stream in (("output", self._process.stdout), ("error", self._process.stderr)):
            assert stream is not None
            reader = threading.Thread(
                target=_forward, args=(kind, stream, self._events), daemon=True
            )
            reader.start()

    def write(self, data: bytes) -> None:
        """Send bytes to the standard input; silent when the process is gone."""
        if self._process is not None and self._process.stdin is not None:
            # Its end is reported by `pump`, with the exit code: the better place to act on it.
            with contextlib.suppress(OSError, ValueError):
                self._process.stdin.write(data)
                self._process.stdin.flush()

    def end_input(self) -> None:
        """Close the standard input, which asks a worker to leave."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def kill(self) -> None:
        """End the process now. Its child, when it is a launcher, may live on."""
        if self._process is not None:
            self._process.kill()
            self.end_input()

    def pump(self, seconds: float) -> None:
        """Wait up to `seconds` for something to happen and tell the listener."""
        if self._process is None:
            return
        wait = seconds
        while self._process is not None:
            try:
                kind, data = self._events.get(timeout=wait) if wait else self._events.get_nowait()
            except queue.Empty:
                break
            wait = 0.0
            self._dispatch(kind, data)
        self._report_end()

    def _dispatch(self, kind: str, data: bytes) -> None:
        assert self._listener is not None
        if not data:
            self._open_streams -= 1
        elif kind == "output":
            self._listener.on_output(data)
        else:
            self._listener.on_error_output(data)

    def _report_end(self) -> None:
        if self._process is None or self._process.poll() is None:
            return
        self._ended_at = self._ended_at or time.monotonic()
        waited = time.monotonic() - self._ended_at
        if self._open_streams > 0 and waited < self._ORPHAN_OUTPUT_SECONDS:
            return
        process, listener = self._process, self._listener
        self.end_input()
        self._process = None
        assert listener is not None
        listener.on_finished(process.returncode)


def _forward(kind: str, stream: IO[bytes], events: queue.Queue[tuple[str, bytes]]) -> None:
    """Move bytes from `stream` to `events`; an empty piece says that the stream ended."""
    with stream:
        while data := os.read(stream.fileno(), 65536):
            events.put((kind, data))
    events.put((kind, b""))


def end_process_by_id(pid: int) -> None:
    """End the process `pid` now; silent when it is gone already.

    Needed behind a launcher: killing the launcher leaves the real process, and a process that
    hangs does not notice that its input was closed.
    """
    # os.kill ends a process on Windows for every signal it does not know, which SIGTERM is.
    number = getattr(signal, "SIGKILL", signal.SIGTERM)
    with contextlib.suppress(OSError):
        os.kill(pid, number)
