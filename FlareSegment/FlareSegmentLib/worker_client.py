"""The Slicer side of the worker: starts it, feeds it, watches it, ends it.

Free of Qt: the process is injected, and somebody calls `WorkerClient.tick` every 50 ms or so (a
timer in Slicer, the loop of `WorkerClient.run` elsewhere). All callbacks come from the thread
that calls `tick` or in which the process reports.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from . import __version__
from .errors import FlareError, OutputError, WorkerError
from .exchange import ExchangeFolder
from .progress import CancelQuery, ProgressCallback
from .volume import LabelMap
from .worker_command import worker_command, worker_environment
from .worker_errors import cancelled, end_sentence, reported_error
from .worker_process import ProcessProtocol, end_process_by_id
from .worker_protocol import PROTOCOL_VERSION, LineReader, Message, decode, encode
from .worker_request import RequestListener, RequestOnItsWay, SegmentRequest
from .worker_state import WorkerSettings, WorkerState

logger = logging.getLogger(__name__)


_TICK_SECONDS = 0.03
"""How long one tick may take: a drawn frame of the application or two."""


class WorkerClient:
    """Drives one worker process; a crashed one is started again by the next request.

    Parameters
    ----------
    process
        Starts and ends the process.
    command
        Command line of the worker; this interpreter when None.
    settings
        Patience.
    exchange_parent
        Where the exchange folder is made; the system's temporary folder when None.
    on_state
        Told every change of state.
    on_log
        Told every line the worker writes to its standard error.
    """

    def __init__(
        self,
        process: ProcessProtocol,
        command: Sequence[str] | None = None,
        settings: WorkerSettings = WorkerSettings(),
        exchange_parent: Path | None = None,
        on_state: Callable[[WorkerState], None] | None = None,
        on_log: Callable[[str], None] | None = None,
    ) -> None:
        self._process = process
        self._command = list(command) if command else worker_command(sys.executable)
        self._settings = settings
        self._exchange_parent = exchange_parent
        self.on_state = on_state
        self.on_log = on_log
        self.state = WorkerState.STOPPED
        self.facts: Message = {}
        """What the worker said of itself: python, pid, model, device."""
        self._exchange: ExchangeFolder | None = None
        self._run: RequestOnItsWay | None = None
        self._warm_up: Message | None = None
        self._warm_up_sent = False
        self._number = 0
        self._last_tick = 0.0
        self._reset_streams()

    # --- what the owner calls ---------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a request is on its way."""
        return self._run is not None

    def warm_up(self, model: Path | None = None, device: str = "auto") -> None:
        """Start the worker if needed and load `model` on `device`; returns at once."""
        if self.busy:
            return
        self._number += 1
        self._warm_up = {
            "op": "warm_up",
            "id": self._number,
            "model": str(model) if model else None,
            "device": device,
        }
        self._warm_up_sent = False
        if self._process.running:
            self._send_warm_up()
        else:
            self._start()

    def segment(
        self,
        request: SegmentRequest,
        on_progress: ProgressCallback,
        on_result: Callable[[LabelMap], None],
        on_error: Callable[[FlareError], None],
    ) -> None:
        """Begin `request`; exactly one of `on_result` and `on_error` is called later.

        Raises
        ------
        WorkerError
            When another request is on its way, or the worker cannot be started.
        OutputError
            When the temporary folder has no room for the scan.
        """
        if self.busy:
            raise WorkerError("A segmentation is running. Wait for its end or cancel it first.")
        if not self._process.running:
            self.warm_up(request.model, request.device)
        assert self._exchange is not None
        self._number += 1
        tell = RequestListener(on_progress, on_result, on_error)
        self._run = RequestOnItsWay(self._number, request, self._exchange.path, tell)
        self._last_progress = time.monotonic()

    def cancel(self) -> None:
        """Stop the request on its way; its `on_error` is told `Cancelled` within a second."""
        run = self._run
        if run is None or self.state is WorkerState.CANCELLING:
            return
        if not run.sent:
            self._finish_run()
            run.tell.on_error(cancelled())
            return
        self._process.write(encode({"op": "cancel", "id": run.number}))
        self._cancelled_at = time.monotonic()
        self._set_state(WorkerState.CANCELLING)

    def stop(self) -> None:
        """End the worker and remove its files; returns when it is gone."""
        run = self._finish_run()
        self._end_expected = True
        # The folder first: the worker looks after it when it finds its owner gone.
        self._close_exchange()
        if self._process.running:
            self._process.end_input()
            self._pump_until_end(self._settings.leave)
        self._end_process()
        self._set_state(WorkerState.STOPPED)
        if run is not None:
            run.tell.on_error(cancelled())

    def tick(self) -> None:
        """Do the next piece of work and look whether the worker is well; takes few ms."""
        now = time.monotonic()
        if now - self._last_tick > 5:
            # The owner was busy or the computer asleep: silence since then proves nothing.
            self._last_heard = self._last_progress = now
        self._last_tick = now
        self._advance_run()
        if self._process.running:
            self._check_patience(now)

    def run(
        self,
        request: SegmentRequest,
        progress: ProgressCallback | None = None,
        cancel: CancelQuery | None = None,
    ) -> LabelMap:
        """Segment and wait for the result; raise what went wrong.

        The way of scripts and of the Python console.
        """
        results: list[LabelMap] = []
        failures: list[FlareError] = []
        self.segment(
            request,
            progress if progress is not None else lambda stage, fraction: None,
            results.append,
            failures.append,
        )
        try:
            while not results and not failures:
                self.tick()
                writing = self._run is not None and not self._run.written
                self._process.pump(0.0 if writing else 0.02)
                if cancel is not None and cancel():
                    self.cancel()
        except BaseException:  # Ctrl-C or a failing callback: leave no run behind
            self.cancel()
            while self.busy:
                self._process.pump(0.02)
                self.tick()
            raise
        if failures:
            raise failures[0]
        return results[0]

    # --- the process ------------------------------------------------------------------------

    def _reset_streams(self) -> None:
        self._lines = LineReader()
        self._log_lines = LineReader()
        self._last_log: deque[str] = deque(maxlen=40)
        now = time.monotonic()
        self._last_tick = self._last_heard = self._last_progress = self._last_used = now
        self._cancelled_at = now
        self._heard_hello = False
        self._end_expected = False

    def _start(self) -> None:
        self._reset_streams()
        self.facts = {}
        if self._exchange is None:
            try:
                self._exchange = ExchangeFolder(self._exchange_parent)
            except OSError as error:
                raise OutputError(
                    f"The temporary folder cannot be used ({error}). Choose another one in "
                    "Slicer's application settings."
                ) from error
        command = [*self._command, "--exchange", str(self._exchange.path)]
        self._set_state(WorkerState.STARTING)
        try:
            self._process.start(command, worker_environment(), self)
        except OSError as error:
            self._end_process()
            self._set_state(WorkerState.FAILED)
            raise WorkerError(
                f"The worker process could not be started with {command[0]!r}: {error}"
            ) from error

    def _end_process(self) -> None:
        """Make sure that nothing of the worker is left, and remove its files."""
        self._end_expected = True
        if self._process.running:
            self._process.kill()
            # Behind a launcher the kill above reached only the launcher.
            if self.facts.get("pid"):
                end_process_by_id(self.facts["pid"])
            self._pump_until_end(5)
        self._close_exchange()

    def _pump_until_end(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self._process.running and time.monotonic() < deadline:
            self._process.pump(0.02)

    def _close_exchange(self) -> None:
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = None

    def _check_patience(self, now: float) -> None:
        patience = self._settings
        silent = now - self._last_heard
        if not self._heard_hello and silent > patience.hello:
            self._fail(f"The worker did not start within {patience.hello:.0f} s.")
        elif self._heard_hello and silent > patience.heartbeat:
            self._fail(f"The worker gave no sign of life for {patience.heartbeat:.0f} s.")
        elif self._run and self._run.sent and now - self._last_progress > patience.progress:
            self._fail(f"The worker made no progress for {patience.progress:.0f} s.")
        elif self.state is WorkerState.CANCELLING and now - self._cancelled_at > patience.cancel:
            run = self._finish_run()
            self._end_process()
            self._set_state(WorkerState.STOPPED)
            if run is not None:
                run.tell.on_error(cancelled())
        elif self.state is WorkerState.READY and now - self._last_used > patience.idle:
            logger.info("worker idle, ended")
            self.stop()

    def _fail(self, sentence: str) -> None:
        was_cancelling = self.state is WorkerState.CANCELLING
        run = self._finish_run()
        self._end_process()
        tail = "\n".join(list(self._last_log)[-12:])
        text = f"{sentence} It was ended; the next run starts it again."
        error = WorkerError(f"{text}\n\nIts last words:\n{tail}" if tail else text)
        self._set_state(WorkerState.FAILED)
        if run is None:
            logger.error("%s", error)
        else:
            run.tell.on_error(cancelled() if was_cancelling else error)

    # --- ProcessListener --------------------------------------------------------------------

    def on_output(self, data: bytes) -> None:
        """Take events of the worker."""
        self._last_heard = time.monotonic()
        for line in self._lines.feed(data):
            message = decode(line)
            if message is None:
                self._log(f"unexpected output: {line[:200]!r}")
            else:
                self._handle(message)

    def on_error_output(self, data: bytes) -> None:
        """Take log lines of the worker."""
        for line in self._log_lines.feed(data):
            self._log(line.decode("utf-8", errors="backslashreplace"))

    def on_finished(self, exit_code: int) -> None:
        """Take the end of the process; one that nobody asked for is a failure."""
        if self._end_expected:
            return
        if self.facts.get("pid"):
            # Behind a launcher the launcher's end is what was seen.
            end_process_by_id(self.facts["pid"])
        self._fail(end_sentence(exit_code))

    def _log(self, line: str) -> None:
        self._last_log.append(line)
        if self.on_log is not None:
            self.on_log(line)

    def _handle(self, message: Message) -> None:
        event = message.get("event")
        if event == "hello":
            self._on_hello(message)
        elif event == "ready":
            self.facts.update({k: message[k] for k in ("model", "device") if k in message})
            self._warm_up = None
            if self.state is WorkerState.WARMING_UP:
                self._become_ready()
        elif self._warm_up is not None and message.get("id") == self._warm_up["id"]:
            self._on_warm_up_failed(message)
        elif self._run is not None and message.get("id") == self._run.number:
            self._on_run_event(self._run, message)

    def _on_hello(self, message: Message) -> None:
        self.facts = {k: message.get(k) for k in ("pid", "python", "version")}
        self._heard_hello = True
        found = (message.get("protocol"), message.get("version"))
        if found != (PROTOCOL_VERSION, __version__):
            self._fail(
                f"The worker is version {found[1]} (protocol {found[0]}), this module is version "
                f"{__version__} (protocol {PROTOCOL_VERSION}): two versions of the extension are "
                "installed. Remove one, then restart Slicer."
            )
        elif self._warm_up is not None:
            self._send_warm_up()
        else:
            self._become_ready()

    def _send_warm_up(self) -> None:
        if self._warm_up is None or self._warm_up_sent or not self._heard_hello:
            return
        self._process.write(encode(self._warm_up))
        self._warm_up_sent = True
        self._set_state(WorkerState.WARMING_UP)

    def _on_warm_up_failed(self, message: Message) -> None:
        """Go on: the request that needs the model gives the error where it can be acted on."""
        self._warm_up = None
        self._log(f"warm-up: {message.get('message', message.get('event'))}")
        self._become_ready()

    def _become_ready(self) -> None:
        self._last_used = time.monotonic()
        self._set_state(WorkerState.READY)

    # --- the request on its way -------------------------------------------------------------

    def _advance_run(self) -> None:
        run = self._run
        if run is None:
            return
        deadline = time.monotonic() + _TICK_SECONDS
        while not run.written:
            try:
                run.write_piece()
            except OutputError as error:
                self._finish_run()
                run.tell.on_error(error)
                return
            if time.monotonic() > deadline:
                return
        if not run.sent and self.state is WorkerState.READY:
            self._send_run(run)

    def _send_run(self, run: RequestOnItsWay) -> None:
        run.sent = True
        self._last_progress = time.monotonic()
        self._set_state(WorkerState.RUNNING)
        self._process.write(encode(run.message()))

    def _on_run_event(self, run: RequestOnItsWay, message: Message) -> None:
        self._last_progress = time.monotonic()
        event = message["event"]
        if event == "progress":
            if self.state is WorkerState.RUNNING:
                run.tell.on_progress(message["stage"], message["fraction"])
            return
        was_cancelling = self.state is WorkerState.CANCELLING
        outcome: LabelMap | FlareError
        if event == "cancelled" or was_cancelling:
            outcome = cancelled()
        elif event == "result":
            outcome = run.label_map(message)
        else:
            outcome = reported_error(message)
        # The state first: the callback may begin the next request.
        self._finish_run()
        self._become_ready()
        if isinstance(outcome, LabelMap):
            run.tell.on_result(outcome)
        else:
            run.tell.on_error(outcome)

    def _finish_run(self) -> RequestOnItsWay | None:
        """Forget the request and remove its files."""
        run, self._run = self._run, None
        if run is not None:
            run.remove_files()
        return run

    def _set_state(self, state: WorkerState) -> None:
        if state is not self.state:
            self.state = state
            if self.on_state is not None:
                self.on_state(state)
