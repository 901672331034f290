"""What a run does, in words."""

from __future__ import annotations

from pathlib import Path

from slicer.i18n import tr as _

from FlareSegmentLib.run_progress import duration_text
from FlareTrainLib import run_folder
from FlareTrainLib.run_folder import RunProgress
from FlareTrainLib.task_folder import TaskState, TaskStatus


def runText(run: Path, status: TaskStatus, progress: RunProgress) -> str:
    """Say what a run does, and how long it will take."""
    if status.state is TaskState.NEW:
        return _("Not started yet.")
    where = ""
    if progress.steps:
        where = _("{stage}: step {step} of {steps}").format(
            stage=progress.stage, step=progress.step, steps=progress.steps
        )
    if not status.state.alive:
        states = {
            TaskState.STOPPED: _("Stopped."),
            TaskState.FINISHED: _("Finished."),
            TaskState.FAILED: _("Failed."),
            TaskState.ELSEWHERE: "",
        }
        message = "" if status.state is TaskState.STOPPED else status.message
        return " ".join(part for part in (states[status.state], message, where) if part)
    if status.state is TaskState.STOPPING:
        return " ".join(part for part in (_("Saving and stopping..."), where) if part)
    limits = (progress.seconds_left, run_folder.budget_seconds_left(run))
    left = [seconds for seconds in limits if seconds is not None]
    if progress.steps and left:
        where += _(", {time} left").format(time=duration_text(min(left)))
    return where or _("Preparing the data...")
