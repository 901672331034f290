"""The application's side of a batch: starts its process, keeps its table, stops it."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import __version__
from .batch import BatchSettings
from .batch_worker import request_for
from .run_progress import RunProgress
from .worker_command import worker_command, worker_environment
from .worker_process import ProcessProtocol
from .worker_protocol import PROTOCOL_VERSION, LineReader, Message, decode, encode


@dataclass
class BatchCase:
    """One line of the table.

    Attributes
    ----------
    name
        Of the case.
    state
        ``waiting``, ``running``, ``done``, ``skipped``, ``claimed``, ``failed`` or ``stopped``.
    message
        What went wrong, or what was found.
    seconds
        How long it took, when done.
    """

    name: str
    state: str = "waiting"
    message: str = ""
    seconds: float | None = None


@dataclass
class BatchTable:
    """What is known of a batch: the cases in their order."""

    cases: list[BatchCase] = field(default_factory=list)
    progress: RunProgress = field(default_factory=RunProgress)
    error: str = ""

    def case(self, name: str) -> BatchCase:
        """Give the case called `name`."""
        return next(case for case in self.cases if case.name == name)

    def count(self, *states: str) -> int:
        """Give the number of cases in one of `states`."""
        return sum(case.state in states for case in self.cases)


class BatchClient:
    """Runs one batch at a time in a process of its own.

    Parameters
    ----------
    process
        Starts and ends the process.
    on_change
        Told whenever the table or the state changed.
    on_log
        Told every line of the process's standard error.
    command
        Command line of the process; this interpreter when None.
    """

    _STOP_SECONDS = 4.0

    def __init__(
        self,
        process: ProcessProtocol,
        on_change: Callable[[], None],
        on_log: Callable[[str], None] | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        self._process = process
        self._on_change = on_change
        self._on_log = on_log
        self._command = command or worker_command(sys.executable, "FlareSegmentLib.batch_worker")
        self.table = BatchTable()
        self.stopping = False
        self._stop_at = 0.0
        self._lines, self._log_lines = LineReader(), LineReader()
        self._last_log: deque[str] = deque(maxlen=12)
        self._complete = False

    @property
    def running(self) -> bool:
        """Whether a batch is going on."""
        return self._process.running

    def start(
        self, inputs: Sequence[Path], studies: list[str] | None, settings: BatchSettings
    ) -> None:
        """Begin a batch; parameters as in `request_for`.

        Raises
        ------
        OSError
            When the process cannot be started.
        """
        self.table = BatchTable()
        self.stopping, self._complete = False, False
        self._lines, self._log_lines = LineReader(), LineReader()
        self._last_log.clear()
        self._process.start(list(self._command), worker_environment(), self)
        self._process.write(encode(request_for(list(inputs), studies, settings)))
        self._on_change()

    def stop(self) -> None:
        """Ask the batch to stop; finished cases stay and are skipped by the next start."""
        if self.running and not self.stopping:
            self.stopping = True
            self._stop_at = time.monotonic()
            self._process.end_input()
            self._on_change()

    def tick(self) -> None:
        """End a process that does not stop; called a few times a second by the owner."""
        overdue = time.monotonic() - self._stop_at > self._STOP_SECONDS
        if self.running and self.stopping and overdue:
            self._process.kill()

    def wait(self, seconds: float = 3600) -> None:
        """Wait for the end of the batch; for scripts and tests."""
        deadline = time.monotonic() + seconds
        while self.running and time.monotonic() < deadline:
            self._process.pump(0.05)
            self.tick()

    def on_output(self, data: bytes) -> None:
        """Take events of the process."""
        for line in self._lines.feed(data):
            message = decode(line)
            if message is not None:
                self._handle(message)
        self._on_change()

    def on_error_output(self, data: bytes) -> None:
        """Take log lines of the process."""
        for line in self._log_lines.feed(data):
            text = line.decode("utf-8", errors="backslashreplace")
            self._last_log.append(text)
            if self._on_log is not None:
                self._on_log(text)

    def on_finished(self, exit_code: int) -> None:
        """Take the end of the process."""
        for case in self.table.cases:
            if case.state in ("waiting", "running"):
                case.state = "stopped"
        if not self._complete and not self.stopping and not self.table.error:
            last = "\n".join(self._last_log)
            self.table.error = (
                f"The batch ended unexpectedly (code {exit_code}). Finished cases are kept; "
                f"start it again to go on.\n\n{last}"
            ).strip()
        self._on_change()

    def _handle(self, message: Message) -> None:
        table, event = self.table, message.get("event")
        if event == "hello":
            found = (message.get("protocol"), message.get("version"))
            if found != (PROTOCOL_VERSION, __version__):
                table.error = (
                    "Two versions of the extension are installed. Remove one, then restart Slicer."
                )
                self._process.kill()
        elif event == "cases":
            table.cases = [BatchCase(name) for name in message["cases"]]
        elif event == "started":
            if message["number"] == 1:
                table.progress = RunProgress(message["count"])
            table.case(message["case"]).state = "running"
        elif event == "progress":
            table.progress.update(message["stage"], message["fraction"])
        elif event == "ended":
            self._end_case(message)
        elif event == "error":
            table.error = message["message"]
        elif event == "finished":
            self._complete = True

    def _end_case(self, message: Message) -> None:
        case = self.table.case(message["case"])
        if case.state == "running":
            self.table.progress.finish_volume()
        case.state, case.seconds = message["state"], message["seconds"]
        found = message["found"]
        case.message = message["message"] or (
            f"{len(found)} structures" if found else "no structure found"
        )
