"""The worker's process with its exchange folder: started, watched for its end, ended, removed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from .errors import OutputError, WorkerError
from .exchange import ExchangeFolder
from .worker_command import worker_environment
from .worker_process import ProcessProtocol, end_process_by_id
from .worker_protocol import LineReader, Message, decode


class WorkerHost:
    """One worker process at a time, with the folder through which its arrays pass.

    Parameters
    ----------
    process
        Starts and ends the process.
    command
        Command line of the worker.
    exchange_parent
        Where the exchange folder is made; the system's temporary folder when None.
    on_message
        Told every event of the worker.
    on_log
        Told every line the worker writes to its standard error.
    on_end
        Told the exit code when the process ends and nobody asked for that.
    """

    def __init__(
        self,
        process: ProcessProtocol,
        command: Sequence[str],
        exchange_parent: Path | None,
        on_message: Callable[[Message], None],
        on_log: Callable[[str], None],
        on_end: Callable[[int], None],
    ) -> None:
        self.process = process
        self.pid: int | None = None
        """Of the worker itself, as it said; behind a launcher the process is another one."""
        self._command = list(command)
        self._exchange_parent = exchange_parent
        self._exchange: ExchangeFolder | None = None
        self._on_message, self._on_log, self._on_end = on_message, on_log, on_end
        self._lines, self._log_lines = LineReader(), LineReader()
        self._last_log: deque[str] = deque(maxlen=40)
        self._end_expected = False

    @property
    def running(self) -> bool:
        """Whether the process has been started and not yet been reported as finished."""
        return self.process.running

    @property
    def folder(self) -> Path:
        """The exchange folder of the process that was started."""
        assert self._exchange is not None
        return self._exchange.path

    @property
    def last_words(self) -> str:
        """The last lines of the log, for an error."""
        return "\n".join(list(self._last_log)[-12:])

    def start(self) -> None:
        """Start the process.

        Raises
        ------
        OutputError
            When the temporary folder cannot be used.
        WorkerError
            When the process cannot be started.
        """
        self._lines, self._log_lines = LineReader(), LineReader()
        self._last_log.clear()
        self._end_expected = False
        self.pid = None
        if self._exchange is None:
            try:
                self._exchange = ExchangeFolder(self._exchange_parent)
            except OSError as error:
                raise OutputError(
                    f"The temporary folder cannot be used ({error}). Choose another one in "
                    "Slicer's application settings."
                ) from error
        command = [*self._command, "--exchange", str(self._exchange.path)]
        try:
            self.process.start(command, worker_environment(), self)
        except OSError as error:
            self.end()
            raise WorkerError(
                f"The worker process could not be started with {command[0]!r}: {error}"
            ) from error

    def leave(self, seconds: float) -> None:
        """Ask the process to leave, wait for that at most `seconds`, then end it."""
        self._end_expected = True
        # The folder first: the worker looks after it when it finds its owner gone.
        self._close_exchange()
        if self.process.running:
            self.process.end_input()
            self._pump_until_end(seconds)
        self.end()

    def end(self) -> None:
        """Make sure that nothing of the worker is left, and remove its files."""
        self._end_expected = True
        if self.process.running:
            self.process.kill()
            # Behind a launcher the kill above reached only the launcher.
            if self.pid is not None:
                end_process_by_id(self.pid)
            self._pump_until_end(5)
        self._close_exchange()

    def log(self, line: str) -> None:
        """Keep a line for an error, and tell it."""
        self._last_log.append(line)
        self._on_log(line)

    def _pump_until_end(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.process.running and time.monotonic() < deadline:
            self.process.pump(0.02)

    def _close_exchange(self) -> None:
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = None

    # --- ProcessListener --------------------------------------------------------------------

    def on_output(self, data: bytes) -> None:
        """Take events of the worker."""
        for line in self._lines.feed(data):
            message = decode(line)
            if message is None:
                self.log(f"unexpected output: {line[:200]!r}")
            else:
                self._on_message(message)

    def on_error_output(self, data: bytes) -> None:
        """Take log lines of the worker."""
        for line in self._log_lines.feed(data):
            self.log(line.decode("utf-8", errors="backslashreplace"))

    def on_finished(self, exit_code: int) -> None:
        """Take the end of the process; one that nobody asked for is a failure."""
        if self._end_expected:
            return
        if self.pid is not None:
            # Behind a launcher the launcher's end is what was seen.
            end_process_by_id(self.pid)
        self._on_end(exit_code)
