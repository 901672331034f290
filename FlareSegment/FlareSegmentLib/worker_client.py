"""The Slicer side of the worker: starts it, feeds it, watches it, ends it.

Free of Qt: the process is injected, and somebody calls `WorkerClient.tick` every 50 ms or so (a
timer in Slicer, the loop of `WorkerClient.run` elsewhere). All callbacks come from the thread
that calls `tick` or in which the process reports.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from . import __version__
from .errors import FlareError, OutputError, WorkerError
from .progress import CancelQuery, ProgressCallback
from .volume import LabelMap
from .worker_command import worker_command
from .worker_errors import cancelled, end_sentence, gave_up, other_version
from .worker_host import WorkerHost
from .worker_process import ProcessProtocol
from .worker_protocol import PROTOCOL_VERSION, Message, encode
from .worker_request import (
    RequestListener,
    RequestOnItsWay,
    SegmentRequest,
    warm_up_message,
)
from .worker_state import WorkerSettings, WorkerState
from .worker_wait import result_of
from .worker_watch import WorkerWatch

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
        self._host = WorkerHost(
            process,
            list(command) if command else worker_command(sys.executable),
            exchange_parent,
            self._handle,
            self._tell_log,
            lambda exit_code: self._fail(end_sentence(exit_code)),
        )
        self._settings = settings
        self._watch = WorkerWatch(settings)
        self.on_state = on_state
        self.on_log = on_log
        self.state = WorkerState.STOPPED
        self.facts: Message = {}
        """What the worker said of itself: python, pid, model, device."""
        self._run: RequestOnItsWay | None = None
        self._warm_up: Message | None = None
        self._warm_up_sent = False
        self._number = 0

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
        self._warm_up = warm_up_message(self._number, model, device)
        self._warm_up_sent = False
        if self._host.running:
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
        if not self._host.running:
            self.warm_up(request.model, request.device)
        self._number += 1
        tell = RequestListener(on_progress, on_result, on_error)
        self._run = RequestOnItsWay(self._number, request, self._host.folder, tell)
        self._watch.progress = time.monotonic()

    def cancel(self) -> None:
        """Stop the request on its way; its `on_error` is told `Cancelled` within a second."""
        run = self._run
        if run is None or self.state is WorkerState.CANCELLING:
            return
        if not run.sent:
            self._finish_run()
            run.tell.on_error(cancelled())
            return
        self._host.process.write(encode({"op": "cancel", "id": run.number}))
        self._watch.cancelled = time.monotonic()
        self._set_state(WorkerState.CANCELLING)

    def stop(self) -> None:
        """End the worker and remove its files; returns when it is gone."""
        run = self._finish_run()
        self._host.leave(self._settings.leave)
        self._set_state(WorkerState.STOPPED)
        if run is not None:
            run.tell.on_error(cancelled())

    def tick(self) -> None:
        """Do the next piece of work and look whether the worker is well; takes few ms."""
        self._watch.tick()
        self._advance_run()
        if self._host.running:
            self._check_patience()

    def run(
        self,
        request: SegmentRequest,
        progress: ProgressCallback | None = None,
        cancel: CancelQuery | None = None,
    ) -> LabelMap:
        """Segment and wait for the result, see `worker_wait.result_of`."""
        return result_of(self, request, progress, cancel)

    def pump(self, seconds: float) -> None:
        """Wait up to `seconds` for something to happen and take it."""
        self._host.process.pump(seconds)

    @property
    def writing(self) -> bool:
        """Whether the scan of the request on its way is still being written."""
        return self._run is not None and not self._run.written

    # --- the process ------------------------------------------------------------------------

    def _start(self) -> None:
        self._watch.restart()
        self.facts = {}
        self._set_state(WorkerState.STARTING)
        try:
            self._host.start()
        except FlareError:
            self._set_state(WorkerState.FAILED)
            raise

    def _check_patience(self) -> None:
        complaint = self._watch.complaint(self._run is not None and self._run.sent)
        if complaint:
            self._fail(complaint)
        elif self._watch.ignores_cancel(self.state):
            run = self._finish_run()
            self._host.end()
            self._set_state(WorkerState.STOPPED)
            if run is not None:
                run.tell.on_error(cancelled())
        elif self._watch.is_idle(self.state):
            logger.info("worker idle, ended")
            self.stop()

    def _fail(self, sentence: str) -> None:
        was_cancelling = self.state is WorkerState.CANCELLING
        run = self._finish_run()
        self._host.end()
        error = gave_up(sentence, self._host.last_words)
        self._set_state(WorkerState.FAILED)
        if run is None:
            logger.error("%s", error)
        else:
            run.tell.on_error(cancelled() if was_cancelling else error)

    # --- what the worker says ---------------------------------------------------------------

    def _tell_log(self, line: str) -> None:
        if self.on_log is not None:
            self.on_log(line)

    def _handle(self, message: Message) -> None:
        self._watch.heard = time.monotonic()
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
        self._host.pid = self.facts["pid"]
        self._watch.hello = True
        found = (message.get("protocol"), message.get("version"))
        if found != (PROTOCOL_VERSION, __version__):
            self._fail(other_version(message))
        elif self._warm_up is not None:
            self._send_warm_up()
        else:
            self._become_ready()

    def _send_warm_up(self) -> None:
        if self._warm_up is None or self._warm_up_sent or not self._watch.hello:
            return
        self._host.process.write(encode(self._warm_up))
        self._warm_up_sent = True
        self._set_state(WorkerState.WARMING_UP)

    def _on_warm_up_failed(self, message: Message) -> None:
        """Go on: the request that needs the model gives the error where it can be acted on."""
        self._warm_up = None
        self._host.log(f"warm-up: {message.get('message', message.get('event'))}")
        self._become_ready()

    def _become_ready(self) -> None:
        self._watch.used = time.monotonic()
        self._set_state(WorkerState.READY)

    # --- the request on its way -------------------------------------------------------------

    def _advance_run(self) -> None:
        run = self._run
        if run is None:
            return
        try:
            if not run.write_for(_TICK_SECONDS):
                return
        except OutputError as error:
            self._finish_run()
            run.tell.on_error(error)
            return
        if not run.sent and self.state is WorkerState.READY:
            run.sent = True
            self._watch.progress = time.monotonic()
            self._set_state(WorkerState.RUNNING)
            self._host.process.write(encode(run.message()))

    def _on_run_event(self, run: RequestOnItsWay, message: Message) -> None:
        self._watch.progress = time.monotonic()
        event = message["event"]
        if event == "progress":
            if self.state is WorkerState.RUNNING:
                run.tell.on_progress(message["stage"], message["fraction"])
            return
        outcome = run.outcome(message, self.state is WorkerState.CANCELLING)
        # The state first: the callback may begin the next request.
        self._finish_run()
        self._become_ready()
        run.tell.outcome(outcome)

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
