"""The button that segments or cancels, and what becomes of the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from FlareSegmentLib.errors import Cancelled, FlareError
from FlareSegmentLib.panel_state import PanelFacts, PanelState, panel_state
from FlareSegmentLib.run_progress import RunProgress
from FlareSegmentLib.worker_state import WorkerState

from ..shared import installation
from .choices import Choices
from .status_line import runningText, showStatus, statusText


@dataclass(frozen=True)
class RunListeners:
    """Whom the section asks and tells.

    Attributes
    ----------
    choices
        Gives what is chosen.
    onChanged
        Told that the state may have changed.
    onResult
        Told the segmentation and the rows of its statistics.
    warmUp
        Asked to warm the worker up again, after one that did not react had to be ended.
    log
        Told lines for the log.
    """

    choices: Callable[[], Choices]
    onChanged: Callable[[], None]
    onResult: Callable[[Any, list[dict[str, Any]]], None]
    warmUp: Callable[[], None]
    log: Callable[[str], None]


class RunSection:
    """Starts runs and follows them.

    Parameters
    ----------
    ui
        The panel's widgets.
    logic
        The module's logic.
    listeners
        Whom to ask and tell.
    """

    def __init__(self, ui: Any, logic: Any, listeners: RunListeners) -> None:
        self._ui = ui
        self._logic = logic
        self._listeners = listeners
        self._progress = RunProgress()
        self._outcome: str | None = None
        self._message = ""
        self.installing = False
        """Whether an installation is going on."""
        self._tick = qt.QTimer()
        self._tick.setInterval(500)
        self._tick.timeout.connect(self._onTick)
        ui.applyButton.connect("clicked(bool)", self.onApplyButton)

    # --- state -------------------------------------------------------------------------------

    @property
    def state(self) -> PanelState:
        """What the panel shows."""
        return panel_state(
            PanelFacts(
                chosen=not self._listeners.choices().reasonNotToRun,
                installing=self.installing,
                running=self._logic.busy,
                cancelling=self._logic.cancelling,
                outcome=self._outcome,
                worker=self._logic.workerState,
            )
        )

    def forgetOutcome(self) -> None:
        """End the display of the last outcome."""
        self._outcome = None

    def say(self, message: str) -> None:
        """Let `message` take the place of the last outcome."""
        self._outcome, self._message = None, message

    def show(self) -> None:
        """Bring button, bar and status line in line with the state."""
        ui, state, reason = self._ui, self.state, self._listeners.choices().reasonNotToRun
        running = state in (PanelState.RUNNING, PanelState.CANCELLING)
        ui.applyButton.text = _("Cancel") if running else _("Segment")
        ui.applyButton.enabled = state is PanelState.RUNNING or (not state.busy and not reason)
        ui.applyButton.toolTip = (
            _("Stop; nothing will be changed") if running else reason or _("Segment the volume")
        )
        ui.progressBar.visible = running
        self._showStatus()

    def _showStatus(self) -> None:
        state, reason = self.state, self._listeners.choices().reasonNotToRun
        running = runningText(self._logic.workerState, self._progress)
        text = statusText(state, reason, self._message, running)
        showStatus(self._ui, state, text, self._progress.fraction)

    def _onTick(self) -> None:
        """Keep the time left going."""
        if self.state is PanelState.RUNNING:
            self._showStatus()
        if not self._logic.busy:
            self._tick.stop()

    def stop(self) -> None:
        """Cancel what runs; for the end of the panel."""
        self._tick.stop()
        self._logic.cancel()

    # --- run ---------------------------------------------------------------------------------

    def warmUp(self) -> None:
        """Let the worker load the chosen model meanwhile, if it can."""
        if not installation.torchIsInstalled() or self._logic.busy:
            return
        choices = self._listeners.choices()
        try:
            self._logic.warmUp(choices.model, choices.device)
        except FlareError as error:
            self._listeners.log(str(error))

    def onApplyButton(self, _checked: bool = False) -> None:
        """Start, or cancel what runs."""
        if self._logic.busy:
            self._logic.cancel()
            self._listeners.onChanged()
            return
        try:
            self.ensureInstalled()
            if self._mayReplace():
                self._start()
        except (FlareError, RuntimeError) as error:
            self._onError(error)

    def ensureInstalled(self) -> None:
        """Install what is missing, after asking, and show that meanwhile."""
        if installation.torchIsInstalled():
            return
        self.installing, self._outcome = True, None
        self._listeners.onChanged()
        try:
            self._logic.install()
        finally:
            self.installing = False
            self._listeners.onChanged()

    def _mayReplace(self) -> bool:
        """Ask before segments of an earlier run are replaced."""
        choices = self._listeners.choices()
        if not choices.segmentation:
            return True
        names = self._logic.segmentsToReplace(choices.segmentation, choices.targets)
        if not names:
            return True
        question = _(
            "{segmentation} already has: {names}.\n\nReplace them? All other segments are "
            "kept, and Undo brings the old ones back."
        ).format(segmentation=choices.segmentation.GetName(), names=", ".join(names))
        if choices.roi:
            question += "\n\n" + _("The new ones will be empty outside of the box {name}.").format(
                name=choices.roi.GetName()
            )
        return slicer.util.confirmOkCancelDisplay(
            question,
            windowTitle=_("Replace segments?"),
        )

    def _start(self) -> None:
        choices = self._listeners.choices()
        self._outcome, self._message = None, ""
        self._listeners.log(_("Segmenting {name}").format(name=choices.source.GetName()))
        frames = self._logic.start(
            choices.source,
            choices.segmentation,
            targets=list(choices.targets),
            device=choices.device,
            model=choices.model,
            roi=choices.roi,
            onProgress=self._onProgress,
            onFinished=self._onFinished,
            onError=self._onError,
        )
        self._progress = RunProgress(frames)
        self._tick.start()
        self._listeners.onChanged()

    def _onProgress(self, stage: str, fraction: float, frame: int) -> None:
        while self._progress.volume <= frame:
            self._progress.finish_volume()
            if self._progress.volume == self._progress.volumes:
                break
        self._progress.update(stage, fraction)
        self._showStatus()

    def _onFinished(self, segmentation: Any, rows: list[dict[str, Any]]) -> None:
        notes = self._logic.reportOf(segmentation).get("notes", [])
        self._outcome = "done"
        self._message = " ".join([_doneText(segmentation.GetName(), rows), *notes])
        self._listeners.log(self._message)
        self._listeners.onResult(segmentation, rows)
        self._listeners.onChanged()

    def _onError(self, error: Exception) -> None:
        if isinstance(error, Cancelled):
            self.say(_("Cancelled. Nothing was changed."))
            self._listeners.onChanged()
            # A worker that was deaf to the cancel is replaced, one that was stopped is not: Slicer
            # may be quitting.
            if self._logic.hasWorker and self._logic.workerState is WorkerState.STOPPED:
                self._listeners.warmUp()
            return
        self._outcome, self._message = "failed", str(error).split("\n\n")[0]
        self._listeners.log(str(error))
        self._listeners.onChanged()
        slicer.util.errorDisplay(
            self._message, windowTitle=_("Segmentation failed"), detailedText=str(error)
        )


def _doneText(name: str, rows: list[dict[str, Any]]) -> str:
    """Say what was found and what was not."""
    found = {row["key"] for row in rows if row["voxels"]}
    missing = [row["name"].lower() for row in rows if row["key"] not in found]
    missing = list(dict.fromkeys(missing))
    if not found:
        return _("Done, but none of the chosen structures was found in this volume.")
    text = _("Done: {n} structures in {name}.").format(n=len(found), name=name)
    if missing:
        text += " " + _("Not found: {names}.").format(names=", ".join(missing))
    return text
