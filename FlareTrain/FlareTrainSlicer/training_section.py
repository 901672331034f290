"""The panel's section Training: a new run from choices, and the runs there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from FlareSegmentLib.errors import FlareError
from FlareSegmentSlicer.shared.installation import ensureInstalled
from FlareTrainLib import run_folder, task_folder
from FlareTrainLib.run_folder import RunSettings
from FlareTrainLib.task_folder import TaskState

from .curve_view import CurveView
from .jobs import Job
from .run_text import runShare, runText, stateText
from .section import Section
from .training_choices import TrainingChoices

_LOG_LINES = 200
"""Shown of a log's end; setting that many takes a few milliseconds."""


class TrainingSection(Section):
    """Starts, stops and watches trainings, which are processes that outlive Slicer."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self.choices = TrainingChoices(panel)
        self.curves = CurveView(self.work)
        self._shownLog = ("", "")
        self._settings: RunSettings | None = None
        self._alive: set[Path] = set()
        ui = panel.ui
        for name in ("start", "stop", "resume", "curves"):
            handler = getattr(self, f"on{name[0].upper()}{name[1:]}")
            getattr(ui, f"{name}Button").connect("clicked(bool)", handler)
        ui.runComboBox.connect("currentIndexChanged(int)", self.onRunChosen)
        ui.logGroupBox.connect("toggled(bool)", self.onLogOpened)

    def run(self) -> Path | None:
        """Give the folder of the chosen run, None when there is none."""
        text = self.panel.ui.runComboBox.currentData
        return Path(text) if text else None

    # --- what is shown -----------------------------------------------------------------------

    def fillRuns(self) -> None:
        """List the runs of the dataset, the newest first."""
        combo, data = self.panel.ui.runComboBox, self.panel.data()
        chosen = combo.currentData
        runs = run_folder.list_runs(data) if data else []
        combo.blockSignals(True)
        combo.clear()
        for run in runs:
            combo.addItem(run.name, str(run))
        combo.setCurrentIndex(max(combo.findData(chosen), 0) if chosen else 0)
        combo.blockSignals(False)
        self._alive = set(runs)
        self._showStates()

    def _showStates(self) -> None:
        """Say in the list what the chosen run does, and those that were at work before."""
        combo, chosen = self.panel.ui.runComboBox, self.run()
        for index in range(combo.count):
            run = Path(combo.itemData(index))
            if run != chosen and run not in self._alive:
                continue
            try:
                state = task_folder.status(run).state
            except FlareError:
                continue
            text = _("{name} ({state})").format(name=run.name, state=stateText(state))
            if combo.itemText(index) != text:
                combo.setItemText(index, text)
            (self._alive.add if state.alive else self._alive.discard)(run)

    def refresh(self) -> None:
        """Show how far the chosen run is, its log and its curves."""
        ui, run = self.panel.ui, self.run()
        self._showStates()
        if run is None:
            if not self.busy:
                ui.runStatusLabel.text = ""
            ui.progressBar.value = 0
            return
        try:
            status, progress = task_folder.status(run), run_folder.progress(run)
            ui.runStatusLabel.text = runText(run, status, progress)
            ui.progressBar.value = round(runShare(run, status, progress) * 1000)
            self._showLog(run)
        except (FlareError, OSError) as error:
            ui.runStatusLabel.text = str(error)
        self.curves.update(run)
        if self.curves.problem:
            ui.runStatusLabel.text = self.curves.problem

    def _showLog(self, run: Path) -> None:
        """Show the end of the log where it is open: a long text takes the window's time."""
        ui = self.panel.ui
        if ui.logGroupBox.collapsed:
            return
        text = "\n".join(task_folder.log_end(run).splitlines()[-_LOG_LINES:])
        shown = (str(run), text)
        if self._shownLog == shown:
            return
        bar = ui.logText.verticalScrollBar()
        # Whoever reads further up is left there.
        place = None if self._shownLog[0] != str(run) or bar.value == bar.maximum else bar.value
        self._shownLog = shown
        ui.logText.setPlainText(text)
        bar.setValue(bar.maximum if place is None else place)

    def onLogOpened(self, _opened: bool = False) -> None:
        """Show the log at once, not with the next look."""
        run = self.run()
        if run is not None:
            self._showLog(run)

    def updateButtons(self) -> None:
        """Bring the buttons in line with what can be done."""
        ui, run = self.panel.ui, self.run()
        some = bool(self.panel.dataset.listing.rows) and self.panel.data() is not None
        looking = self.work.running("foresee")
        ui.startButton.enabled = some and bool(self.choices.recipe()) and not looking
        state = task_folder.status(run).state if run and run.is_dir() else None
        ui.stopButton.enabled = state is TaskState.RUNNING
        ui.resumeButton.enabled = state in (
            TaskState.NEW, TaskState.STOPPED, TaskState.FAILED, TaskState.FINISHED
        )  # fmt: skip
        ui.curvesButton.enabled = state not in (None, TaskState.NEW)
        ui.curvesButton.checked = self.curves.shown

    # --- what the user does ------------------------------------------------------------------

    def onRunChosen(self, _index: int = 0) -> None:
        """Show another run."""
        self.panel.refreshRun()

    def onStart(self, _checked: bool = False) -> None:
        """Let a process look whether the run can work, then make and start it."""
        with slicer.util.tryWithErrorDisplay(_("The training did not start.")):
            self._settings = self.choices.settings()
            arguments = run_folder.run_arguments(self._settings)
            place = str((self._settings.data / run_folder.RUNS).resolve())
            wanted = {**arguments, "place": place}
            self.work.put("foresee", Job("foresee", wanted, self._onForeseen, self._onRefused))
        self.panel.ui.runStatusLabel.text = _("Looking whether this training fits...")
        self.updateButtons()

    def _onForeseen(self, _folder: Path, warning: str) -> None:
        doubts = self._doubts(warning)
        if doubts and not slicer.util.confirmOkCancelDisplay(
            _("{doubts}\n\nStart it all the same?").format(doubts="\n\n".join(doubts)),
            windowTitle=_("Start this training?"),
        ):
            self.panel.refreshTasks()
            return
        ui, logic = self.panel.ui, self.panel.logic
        with slicer.util.tryWithErrorDisplay(_("The training did not start.")):
            ensureInstalled()
            run = logic.createRun(self._settings, ui.runNameLineEdit.text)
            logic.start(run)
            ui.runNameLineEdit.text = ""
            self.fillRuns()
            ui.runComboBox.setCurrentIndex(ui.runComboBox.findData(str(run)))
        self.panel.refreshTasks()

    def _doubts(self, warning: str) -> list[str]:
        """Say what should be known before hours are spent."""
        doubts = []
        if warning:
            doubts.append(_("This training will probably fail. {why}").format(why=warning))
        if self.choices.nobodyJudges:
            doubts.append(
                _(
                    "No case is for validation, so the model will not be scored, and nobody will "
                    "know whether it is better than the bundled one. Move some annotated cases to "
                    "validation, or choose a fold."
                )
            )
        self._showStates()
        if self._alive:
            text = _(
                "Already being trained: {names}. Two trainings at once need memory for both, and "
                "each takes longer."
            )
            doubts.append(text.format(names=", ".join(sorted(run.name for run in self._alive))))
        return doubts

    def _onRefused(self, error: FlareError) -> None:
        self.panel.refreshTasks()
        self.panel.ui.runStatusLabel.text = str(error)
        self.panel.showError(_("The training did not start."), error)

    def onStop(self, _checked: bool = False) -> None:
        """Let the run save and end."""
        with slicer.util.tryWithErrorDisplay(_("The training was not stopped.")):
            self.panel.logic.stop(self.run())
        self.panel.refreshTasks()

    def onResume(self, _checked: bool = False) -> None:
        """Go on with the run."""
        with slicer.util.tryWithErrorDisplay(_("The training did not go on.")):
            ensureInstalled()
            self.panel.logic.start(self.run())
        self.panel.refreshTasks()

    def onCurves(self, checked: bool = False) -> None:
        """Show the curves of the run in the views, or give the views back."""
        run = self.run()
        if not checked or run is None:
            self.curves.hide()
        else:
            with slicer.util.tryWithErrorDisplay(_("The curves cannot be shown.")):
                self.curves.show(run)
        self.updateButtons()
