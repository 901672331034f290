"""The line that says what the module does, with its dot and bar."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from FlareSegmentLib.panel_state import PanelState
from FlareSegmentLib.run_progress import RunProgress, duration_text
from FlareSegmentLib.worker_state import WorkerState

from ..shared.color_icon import colorIcon

_WORKING = (230, 160, 40)
_COLORS = {
    PanelState.NOTHING_CHOSEN: (160, 160, 160),
    PanelState.READY: (70, 150, 220),
    PanelState.DONE: (60, 160, 80),
    PanelState.FAILED: (205, 60, 50),
}


def showStatus(ui: Any, state: PanelState, text: str, fraction: float) -> None:
    """Show `text` with a dot in the color of `state`, and the bar at `fraction` (0 to 1)."""
    ui.statusLabel.text = text
    icon = colorIcon(_COLORS.get(state, _WORKING), isRound=True)
    ui.statusIconLabel.setPixmap(icon.pixmap(12, 12))
    ui.progressBar.value = round(fraction * 1000)


def statusText(state: PanelState, reason: str, message: str, running: str) -> str:
    """Give the sentence for `state`.

    Parameters
    ----------
    state
        What the module does.
    reason
        What is missing for a run.
    message
        What became of the last run.
    running
        What a run is doing.
    """
    texts = {
        PanelState.NOTHING_CHOSEN: reason,
        PanelState.READY: message or _("Ready."),
        PanelState.INSTALLING: _("Installing what is needed..."),
        PanelState.WARMING_UP: _("Ready. The model is being loaded meanwhile."),
        PanelState.RUNNING: running,
        PanelState.CANCELLING: _("Cancelling..."),
        PanelState.DONE: message,
        PanelState.FAILED: message,
    }
    return texts[state]


def runningText(worker: WorkerState, progress: RunProgress) -> str:
    """Say what a run is doing, of which frame, and how long it will take."""
    if worker in (WorkerState.STARTING, WorkerState.WARMING_UP):
        return _("Loading the model...")
    stages = {
        "read": _("Checking the scan"),
        "localise": _("Finding the abdomen"),
        "resample": _("Preparing the scan"),
        "network": _("Segmenting"),
        "upsample": _("Restoring full resolution"),
        "write": _("Finishing"),
    }
    text = stages[progress.stage]
    if progress.volumes > 1:
        text = _("Frame {n} of {all}: {text}").format(
            n=progress.volume, all=progress.volumes, text=text.lower()
        )
    left = progress.seconds_left
    if left is not None:
        text = _("{text}, {time} left").format(text=text, time=duration_text(left))
    return text
