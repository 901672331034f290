"""What a run does, in words."""

from __future__ import annotations

from pathlib import Path

from slicer.i18n import tr as _

from FlareSegmentLib.run_progress import duration_text
from FlareTrainLib.activity import Activity, read_activity
from FlareTrainLib.run_budget import limited_share
from FlareTrainLib.run_folder import RunProgress
from FlareTrainLib.task_folder import TaskState, TaskStatus


def stateText(state: TaskState) -> str:
    """Give the state of a run in a word or two."""
    return {
        TaskState.NEW: _("not started"),
        TaskState.RUNNING: _("running"),
        TaskState.STOPPING: _("stopping"),
        TaskState.STOPPED: _("stopped"),
        TaskState.FINISHED: _("finished"),
        TaskState.FAILED: _("failed"),
        TaskState.ELSEWHERE: _("on another computer"),
    }[state]


def runText(run: Path, status: TaskStatus, progress: RunProgress) -> str:
    """Say what a run does, and how long it will take."""
    if not run.is_dir():
        return _("The folder of this run is not there any more.")
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
    activity = read_activity(run)
    if activity is not None and activity.kind != "training":
        text = doingText(activity)
        if activity.kind == "packing":
            text += " " + _("A time limit counts from the first step.")
        return text
    limits = (progress.seconds_left, activity.seconds_left if activity else None)
    left = [seconds for seconds in limits if seconds is not None]
    if progress.steps and left:
        where += _(", {time} left").format(time=duration_text(min(left)))
    return where or (_("First steps of the training...") if activity else _("Starting..."))


def doingText(activity: Activity) -> str:
    """Say what is done besides training."""
    text = {
        "reading": _("Reading the dataset: case {n} of {all}"),
        "comparing": _("Comparing the labels..."),
        "labeling": _("Labeling the scans: {n} of {all}"),
        "packing": _("Preparing the scans: {n} of {all}."),
        "scoring": _("Scoring the model: case {n} of {all}"),
    }[activity.kind]
    return text.format(n=activity.done, all=activity.of)


def runShare(run: Path, status: TaskStatus, progress: RunProgress) -> float:
    """Give how far a run is, 0 to 1: a time limit may end it long before its last step."""
    if status.state is TaskState.FINISHED:
        return 1.0
    if not status.state.alive:
        return progress.fraction
    return max(progress.fraction, limited_share(run, read_activity(run)))
