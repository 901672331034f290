"""The panel: four sections, and what they share."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from FlareSegmentLib.errors import FlareError
from FlareSegmentSlicer.shared.chosen_path import isChosen
from FlareSegmentSlicer.shared.parameter_binding import ParameterBinding
from FlareTrainLib import task_folder
from FlareTrainLib.activity import read_activity
from FlareTrainLib.refinement_task import REFINEMENT
from FlareTrainLib.task_folder import TaskState

from .add_case_section import AddCaseSection
from .case_loader import CaseLoader
from .dataset_section import CHECK, DatasetSection
from .folder_line import FolderLine
from .last_dataset import lastDataset, rememberDataset
from .refinement_section import RefinementSection
from .result_section import ResultSection
from .run_text import doingText
from .section import WorkUnderWay
from .steps import Steps
from .training_section import TrainingSection

_LOOK_MS = 1000
"""Time between two looks at the processes."""


class TrainingPanel(ParameterBinding):
    """Mixin of the module's widget, which Slicer makes, enters and ends; work is for processes."""

    def __init__(self) -> None:
        ParameterBinding.__init__(self)
        self.sections: tuple[Any, ...] = ()
        self.loader: CaseLoader | None = None
        self.work = WorkUnderWay()
        self._data: Path | None = None
        self._states: dict[Path, TaskState] = {}
        self._tick = qt.QTimer()
        self._tick.setInterval(_LOOK_MS)
        self._tick.timeout.connect(self.refreshTasks)

    def fill(self, ui: Any, logic: Any) -> None:
        """Take the widgets, and show the choices."""
        self.ui = ui
        self.logic = logic
        self.dataset = DatasetSection(self)
        self.addCase = AddCaseSection(self)
        self.refinement = RefinementSection(self)
        self.training = TrainingSection(self)
        self.result = ResultSection(self)
        self.folderLine = FolderLine(ui.dataPathLineEdit, self._onFolder)
        parts = (self.dataset, self.addCase, self.refinement, self.training, self.result)
        self.sections = parts
        self.observeScene()
        self.initializeParameterNode()

    def begin(self) -> None:
        """Look what happened meanwhile, in the dataset of the last time if none is chosen."""
        self.initializeParameterNode()
        self._chooseLastDataset()
        self.refreshAll()
        self._tick.start()

    def exit(self) -> None:
        """Stop looking while another module is shown."""
        self._tick.stop()
        ParameterBinding.exit(self)

    def end(self) -> None:
        """Leave nothing behind but the trainings, which go on."""
        self._tick.stop()
        for part in (self.work, *self.sections, *filter(None, [self.loader])):
            part.cancel()
        self.setParameterNode(None)
        self.removeObservers()

    def onSceneStartClose(self, caller: Any, event: Any) -> None:
        """Let go of nodes that are about to vanish."""
        if self.loader is not None:
            self.loader.cancel()
        self.training.curves.hide()
        ParameterBinding.onSceneStartClose(self, caller, event)

    def onSceneEndClose(self, caller: Any, event: Any) -> None:
        """Go on with the dataset: a scene is closed after each patient, a dataset lasts."""
        ParameterBinding.onSceneEndClose(self, caller, event)
        if self.parameterNode is not None:
            self._chooseLastDataset()

    def _chooseLastDataset(self) -> None:
        last = lastDataset()
        if last is not None and not isChosen(self.parameterNode.data):
            self.parameterNode.data = last

    def onParameterNodeModified(self, caller: Any = None, event: Any = None) -> None:
        """Show the choices."""
        if not self.parameterNode:
            return
        self.folderLine.show(self.parameterNode.data)
        if self._data != self.data():
            self._data = self.data()
            if self._data is not None:
                rememberDataset(self._data)
            self.refreshAll()
        self.addCase.refresh()
        self.updateGUI()

    def _onFolder(self, folder: Path) -> None:
        """Take the folder that was typed or chosen."""
        if self.parameterNode:
            self.parameterNode.data = folder

    # --- what the sections share -------------------------------------------------------------

    @property
    def parameterNode(self) -> Any:
        """Give the typed parameter node, None while the module is not shown."""
        return self._parameterNode

    def data(self) -> Path | None:
        """Give the folder of the dataset, None when there is none."""
        path = self.parameterNode.data if self.parameterNode else Path()
        return path if isChosen(path) and path.is_dir() else None

    def run(self) -> Path | None:
        """Give the folder of the chosen run, None when there is none."""
        return self.training.run()

    @property
    def busy(self) -> bool:
        """Whether something short is on its way: a table, a case, a copy."""
        loading = self.loader is not None and self.loader.busy
        return loading or self.work.running() or any(part.busy for part in self.sections)

    def stateOf(self, folder: Path) -> TaskState:
        """Give the state in which a task was seen last."""
        return self._states.get(folder, TaskState.NEW)

    def isAlive(self, name: str) -> bool:
        """Whether the dataset's task of this name was at work when it was seen last."""
        data = self.data()
        return data is not None and self.stateOf(data / name).alive

    def showError(self, title: str, error: Exception) -> None:
        """Tell the user what went wrong."""
        slicer.util.errorDisplay(f"{title}\n\n{error}")

    def loadCase(
        self, name: str, label: Any, run: Path | None = None, disagreement: bool = False
    ) -> None:
        """Load a case without holding up the window; `label` says how far it is."""
        if self.loader is not None:
            self.loader.cancel()
        self.loader = CaseLoader(
            lambda text: setattr(label, "text", text),
            lambda error: self.showError(_("The case was not loaded."), error),
        )
        with slicer.util.tryWithErrorDisplay(_("The case was not loaded.")):
            self.loader.load(self.logic.viewRequest(self.data(), name, run, disagreement))

    # --- what is shown -----------------------------------------------------------------------

    def refreshAll(self) -> None:
        """Read the dataset and its runs again, a part in each turn; asked twice, once."""
        steps = Steps(self._refreshSteps(), self._onRefreshed, self._onNotRefreshed, seconds=0)
        self.work.put("all", steps)

    def _refreshSteps(self) -> Generator[None, None, None]:
        for part in (
            self.dataset.refresh,
            self.refinement.fillSources,
            self.refinement.refresh,
            self.training.choices.fillModels,
            self.training.fillRuns,
            self.refreshTasks,
        ):
            part()
            yield

    def _onRefreshed(self, _nothing: object) -> None:
        self.updateGUI()

    def _onNotRefreshed(self, error: FlareError) -> None:
        self.ui.datasetNoteLabel.text = str(error)

    def refreshTasks(self) -> None:
        """Look at every process that works for this dataset."""
        data, ui = self.data(), self.ui
        if data != self._data and self.parameterNode:
            # Moved, deleted, on a drive that is not connected any more; or there again.
            self._data = data
            self.refreshAll()
            return
        if data is not None:
            self._showTask(data / CHECK, ui.datasetNoteLabel)
            self._showTask(data / REFINEMENT, ui.refinementNoteLabel)
            if self.addCase.adding is not None:
                self._showTask(self.addCase.adding, ui.addNoteLabel)
        self.addCase.refresh()
        self.refreshRun()

    def refreshRun(self) -> None:
        """Look at the chosen run."""
        self.training.refresh()
        self.result.refresh()
        self.updateGUI()

    def _showTask(self, folder: Path, label: Any) -> None:
        """Say what became of a task; look at its result when it has just ended."""
        status = task_folder.status(folder)
        before = self.stateOf(folder)
        self._states[folder] = status.state
        if status.state.alive:
            label.text = {
                CHECK: _("Reading the dataset..."),
                REFINEMENT: _("Labeling and comparing... This goes on when Slicer is closed."),
            }.get(folder.name, _("Writing the case..."))
            activity = read_activity(folder)
            if activity is not None and activity.of:
                label.text = doingText(activity)
        elif before.alive:
            label.text = status.message
            if folder.name == REFINEMENT:
                self.refinement.onTaskEnded()
            else:
                self.dataset.onTaskEnded(folder, status.state)
        elif status.state is TaskState.FAILED:
            label.text = status.message

    def updateGUI(self) -> None:
        """Bring the buttons in line with what can be done."""
        if self.parameterNode is not None:
            for section in self.sections:
                section.updateButtons()
