"""The panel's section Training: a new run from choices, and the runs there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from FlareSegmentLib import model_choice
from FlareSegmentLib.errors import FlareError, InputError
from FlareSegmentSlicer.shared.installation import ensureInstalled
from FlareTrainLib import run_folder, task_folder
from FlareTrainLib.case_split import FOLDS
from FlareTrainLib.recipe import read_recipe, recipe_names
from FlareTrainLib.run_curves import RunCurves
from FlareTrainLib.run_folder import RunProgress, RunSettings
from FlareTrainLib.task_folder import TaskState, TaskStatus

from . import curve_charts
from .jobs import Job, Steps
from .run_text import runText
from .section import Section


class TrainingSection(Section):
    """Starts, stops and watches trainings, which are processes that outlive Slicer."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self._shownLog = ("", 0, "")
        self._curves: RunCurves | None = None
        self._settings: RunSettings | None = None
        ui = panel.ui
        for name in ("start", "stop", "resume", "lossPlot", "dscPlot"):
            handler = getattr(self, f"on{name[0].upper()}{name[1:]}")
            getattr(ui, f"{name}Button").connect("clicked(bool)", handler)
        ui.recipeComboBox.connect("activated(int)", self.onRecipeActivated)
        ui.runComboBox.connect("currentIndexChanged(int)", self.onRunChosen)
        self._fillRecipes()
        self._fillFolds()

    # --- choices -----------------------------------------------------------------------------

    def run(self) -> Path | None:
        """Give the folder of the chosen run, None when there is none."""
        text = self.panel.ui.runComboBox.currentData
        return Path(text) if text else None

    def recipe(self) -> str:
        """Give the name or path of the chosen recipe."""
        return self.panel.ui.recipeComboBox.currentData or ""

    def _fillRecipes(self) -> None:
        combo = self.panel.ui.recipeComboBox
        for name in recipe_names():
            if name != "base":  # the bundled model's, for the project's own data
                combo.addItem(name, name)
        combo.addItem(_("Other file..."), "")
        combo.setCurrentIndex(max(combo.findData("best"), 0))
        self.panel.ui.recipeNoteLabel.text = read_recipe(self.recipe()).about

    def _fillFolds(self) -> None:
        combo = self.panel.ui.foldComboBox
        combo.addItem(_("the cases marked so in the table"), 0)
        for fold in range(1, FOLDS + 1):
            text = _("fold {n} of {folds} of the annotated training cases")
            combo.addItem(text.format(n=fold, folds=FOLDS), fold)

    def fillModels(self) -> None:
        """List the models that a training can start from."""
        combo = self.panel.ui.initialComboBox
        chosen = combo.currentData
        combo.clear()
        combo.addItem(_("what the recipe says"), "")
        for choice in model_choice.available_models():
            text = _("{name} (bundled)") if choice.bundled else "{name}"
            combo.addItem(text.format(name=choice.name), str(choice.folder))
        combo.setCurrentIndex(max(combo.findData(chosen or ""), 0))

    def onRecipeActivated(self, index: int) -> None:
        """Take the user's choice of a recipe."""
        recipe = self.panel.ui.recipeComboBox.itemData(index)
        if not recipe:
            recipe = qt.QFileDialog.getOpenFileName(
                self.panel.parent, _("Recipe"), "", _("Recipes (*.json)")
            )
        self.chooseRecipe(recipe or "best")

    def chooseRecipe(self, nameOrPath: str) -> None:
        """Choose a recipe by its name or file."""
        combo = self.panel.ui.recipeComboBox
        try:
            recipe = read_recipe(nameOrPath)
        except FlareError as error:
            self.panel.showError(_("This is no recipe."), error)
            nameOrPath = "best"
            recipe = read_recipe(nameOrPath)
        if combo.findData(nameOrPath) < 0:
            combo.insertItem(0, recipe.name, nameOrPath)
        combo.setCurrentIndex(combo.findData(nameOrPath))
        self.panel.ui.recipeNoteLabel.text = recipe.about
        self.panel.updateGUI()

    def fillRuns(self) -> None:
        """List the runs of the dataset, the newest first."""
        combo, data = self.panel.ui.runComboBox, self.panel.data()
        chosen = combo.currentData
        combo.blockSignals(True)
        combo.clear()
        for run in run_folder.list_runs(data) if data else []:
            combo.addItem(run.name, str(run))
        combo.setCurrentIndex(max(combo.findData(chosen), 0) if chosen else 0)
        combo.blockSignals(False)

    def settings(self) -> RunSettings:
        """Give what a new run is to be made from.

        Raises
        ------
        InputError
            When a model is among the sources that has not labeled the scans yet.
        """
        panel, ui, node = self.panel, self.panel.ui, self.panel.parameterNode
        models, sources = panel.refinement.chosenSources()
        if models:
            raise InputError(
                _(
                    "The scans have not been labeled with {name} yet. Click Refine first, or "
                    "uncheck it among the sources."
                ).format(name=min(models))
            )
        return RunSettings(
            panel.data(),
            self.recipe(),
            node.device.value,
            node.minutes or None,
            sources=tuple(sources),
            fold=ui.foldComboBox.currentData or None,
            initial=ui.initialComboBox.currentData or "",
        )

    # --- what is shown -----------------------------------------------------------------------

    def refresh(self) -> None:
        """Show how far the chosen run is, its log and its curves."""
        ui, run = self.panel.ui, self.run()
        if run is None:
            if not self.busy:
                ui.runStatusLabel.text = ""
            ui.progressBar.value = 0
            return
        try:
            status, progress = task_folder.status(run), run_folder.progress(run)
            ui.runStatusLabel.text = runText(run, status, progress)
            ui.progressBar.value = round(_share(run, status, progress) * 1000)
            self._showLog(run)
        except FlareError as error:
            ui.runStatusLabel.text = str(error)
        self._updateCurves(run)

    def _showLog(self, run: Path) -> None:
        text = task_folder.log_end(run)
        shown = (str(run), len(text), text[-200:])
        if self._shownLog != shown:
            self._shownLog = shown
            self.panel.ui.logText.setPlainText(text)
            bar = self.panel.ui.logText.verticalScrollBar()
            bar.setValue(bar.maximum)

    def _updateCurves(self, run: Path) -> None:
        """Bring the run's charts up to date, if there are any."""
        if self.work.running("curves"):
            return
        if all(curve_charts.chartOf(kind, run) is None for kind in curve_charts.KINDS):
            return
        if self._curves is None or self._curves.run != run:
            self._curves = RunCurves(run)
        steps = curve_charts.updateSteps(self._curves)
        self.work.put("curves", Steps(steps, self._onCurves, self._onCurvesError))

    def _onCurves(self, _nothing: object) -> None:
        pass

    def _onCurvesError(self, error: FlareError) -> None:
        self.panel.ui.runStatusLabel.text = str(error)

    def updateButtons(self) -> None:
        """Bring the buttons in line with what can be done."""
        ui, run = self.panel.ui, self.run()
        some = bool(self.panel.dataset.listing.rows)
        ui.startButton.enabled = some and bool(self.recipe()) and not self.work.running("foresee")
        state = task_folder.status(run).state if run else None
        ui.stopButton.enabled = state is TaskState.RUNNING
        ui.resumeButton.enabled = state in (
            TaskState.NEW, TaskState.STOPPED, TaskState.FAILED, TaskState.FINISHED
        )  # fmt: skip
        for button in (ui.lossPlotButton, ui.dscPlotButton):
            button.enabled = state not in (None, TaskState.NEW)

    # --- what the user does ------------------------------------------------------------------

    def onRunChosen(self, _index: int = 0) -> None:
        """Show another run."""
        self.panel.refreshRun()

    def onStart(self, _checked: bool = False) -> None:
        """Let a process look whether the run can work, then make and start it."""
        with slicer.util.tryWithErrorDisplay(_("The training did not start.")):
            self._settings = self.settings()
            arguments = run_folder.run_arguments(self._settings)
            place = str((self._settings.data / run_folder.RUNS).resolve())
            wanted = {**arguments, "place": place}
            self.work.put("foresee", Job("foresee", wanted, self._onForeseen, self._onRefused))
        self.panel.ui.runStatusLabel.text = _("Looking whether this training fits...")
        self.updateButtons()

    def _onForeseen(self, _folder: Path, warning: str) -> None:
        if warning and not slicer.util.confirmOkCancelDisplay(
            _("This training will probably fail. {warning}\n\nStart it all the same?").format(
                warning=warning
            ),
            windowTitle=_("Not enough room"),
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

    def onLossPlot(self, _checked: bool = False) -> None:
        """Show the losses of the run's networks in a plot view."""
        self._plot(curve_charts.LOSS)

    def onDscPlot(self, _checked: bool = False) -> None:
        """Show the DSC of each structure in a plot view."""
        self._plot(curve_charts.DSC)

    def _plot(self, kind: str) -> None:
        run = self.run()
        if run is None:
            return
        with slicer.util.tryWithErrorDisplay(_("The curves cannot be shown.")):
            curve_charts.show(curve_charts.makeChart(kind, run))
        self._updateCurves(run)


def _share(run: Path, status: TaskStatus, progress: RunProgress) -> float:
    """Give how far a run is, 0 to 1: a time limit may end it long before its last step."""
    if status.state is TaskState.FINISHED:
        return 1.0
    if status.state.alive:
        return max(progress.fraction, run_folder.budget_share(run))
    return progress.fraction
