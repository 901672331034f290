"""FlareTrain: from the scans at hand to a better model, without a terminal.

Slicer's side only: nodes, widgets, tables. What computes is in FlareTrainLib, and runs in processes
that outlive Slicer.
"""

import enum
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import qt
import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from FlareSegmentLib import labels, model_choice
from FlareSegmentLib.errors import FlareError, InputError
from FlareSegmentLib.run_progress import duration_text
from FlareSegmentLib.volume import Volume
from FlareTrainLib import run_folder, task_folder
from FlareTrainLib.add_case import (
    NewCase,
    case_exists,
    check_name,
    make_dataset,
    stage_case,
    target_ids_of,
)
from FlareTrainLib.case_choices import write_choice
from FlareTrainLib.case_table import can_be_listed_at_once, case_rows, read_report
from FlareTrainLib.dataset import IGNORE, label_files, read_dataset, read_labels_on
from FlareTrainLib.recipe import read_recipe, recipe_names
from FlareTrainLib.refinement_task import REFINEMENT, disagreement, worklist
from FlareTrainLib.room_check import check_room
from FlareTrainLib.run_folder import RunSettings
from FlareTrainLib.source_folder import add_source
from FlareTrainLib.task_folder import TaskState

CHECK, ADD = "check", "added"
"""Folders of tasks in a dataset."""

#
# FlareTrain
#


class FlareTrain(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("FLARE Abdomen Training")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["FlareSegment"]
        self.parent.contributors = ["SlicerFlare contributors"]
        self.parent.helpText = _(
            "Trains models for FLARE Abdomen Segmentation from CT scans with partial labels or "
            "none. A training runs in a process of its own: Slicer may be closed meanwhile. For "
            "research, not for clinical use. See the "
            '<a href="https://github.com/SlicerFlare/SlicerFlare#readme">documentation</a>.'
        )
        self.parent.acknowledgementText = _(
            "Built after five papers of the MICCAI FLARE 2023 challenge."
        )


#
# FlareTrainParameterNode
#


class TrainingDevice(enum.Enum):
    """Where the network is trained."""

    AUTO = "auto"
    GPU = "cuda"
    CPU = "cpu"

    def label(self) -> str:
        """Give the text in the selector."""
        return {"auto": _("Automatic"), "cuda": _("GPU"), "cpu": _("CPU")}[self.value]


@parameterNodeWrapper
class FlareTrainParameterNode:
    """What the user chose; saved with the scene.

    data - Folder of the dataset.
    caseVolume - Scan to add as a case.
    caseSegmentation - Segmentation to add with it.
    device - Where the network is trained.
    minutes - Time limit of a training, 0 for none.
    """

    data: Path = Path()
    caseVolume: vtkMRMLScalarVolumeNode
    caseSegmentation: vtkMRMLSegmentationNode
    device: TrainingDevice = TrainingDevice.AUTO
    minutes: Annotated[int, WithinRange(0, 100_000)] = 0


#
# FlareTrainWidget
#


class FlareTrainWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: shows folders and runs, leaves the work to the logic and its processes."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._data = None
        self._rows = []
        self._worklist = []
        self._states = {}
        self._adding = None
        self._shown = ("", 0)
        self._tick = qt.QTimer()
        self._tick.setInterval(1000)
        self._tick.timeout.connect(self.refreshTasks)

    # --- set-up ------------------------------------------------------------------------------

    def setup(self) -> None:
        """Build the panel; called when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/FlareTrain.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = FlareTrainLogic()

        ui = self.ui
        _titles(ui.caseTable, [_("Case"), _("For"), _("Annotated"), _("Findings"), _("Sources")])
        _titles(ui.worklistTable, [_("Case"), _("Agreement"), _("Doubt"), _("Used"), _("By")])
        _titles(
            ui.scoreTable,
            [_("Structure"), _("Cases"), _("DSC"), _("bundled"), _("NSD"), _("bundled")],
        )
        _titles(ui.worstTable, [_("Case"), _("Mean DSC")])
        for target in labels.targets():
            ui.annotatedList.addItem(_checkItem(target.name, target.key, False))
        self._fillRecipes()

        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        for name in (
            "newDataset", "check", "addCase", "addSource", "refine", "start", "stop", "resume",
            "plot", "install", "export",
        ):  # fmt: skip
            handler = getattr(self, f"on{name[0].upper()}{name[1:]}Button")
            getattr(ui, f"{name}Button").connect("clicked(bool)", handler)
        for button, choice in (
            (ui.acceptButton, "accepted"), (ui.rejectButton, "rejected"), (ui.ruleButton, None)
        ):  # fmt: skip
            button.connect("clicked(bool)", partial(self.onChoice, choice))
        ui.caseTable.connect("cellDoubleClicked(int,int)", self.onCaseDoubleClicked)
        ui.worklistTable.connect("cellDoubleClicked(int,int)", self.onWorklistDoubleClicked)
        ui.worklistTable.connect("itemSelectionChanged()", self.updateGUI)
        ui.worstTable.connect("cellDoubleClicked(int,int)", self.onWorstDoubleClicked)
        ui.sourceList.connect("itemChanged(QListWidgetItem*)", self.updateGUI)
        ui.recipeComboBox.connect("activated(int)", self.onRecipeActivated)
        ui.runComboBox.connect("currentIndexChanged(int)", self.refreshRun)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """Leave nothing behind but the trainings, which go on."""
        self._tick.stop()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        """Look what happened meanwhile."""
        self.initializeParameterNode()
        self.refreshAll()
        self._tick.start()

    def exit(self) -> None:
        """Stop looking while another module is shown."""
        self._tick.stop()
        self.setParameterNode(None)

    def onSceneStartClose(self, caller, event) -> None:
        """Let go of nodes that are about to vanish."""
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event) -> None:
        """Begin anew in the empty scene; trainings go on."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        """Follow the scene's parameter node."""
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode) -> None:
        """Follow `parameterNode`, or none."""
        if self._parameterNode:
            if self._parameterNodeGuiTag is not None:
                self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(
                self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterNodeModified
            )
        self._parameterNode = parameterNode
        self._parameterNodeGuiTag = None
        if self._parameterNode:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(
                self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterNodeModified
            )
            self.onParameterNodeModified()

    def onParameterNodeModified(self, caller=None, event=None) -> None:
        """Show the choices."""
        node = self._parameterNode
        if not node:
            return
        if self._data != self.data():
            self._data = self.data()
            self.refreshAll()
        self.updateGUI()

    def data(self) -> Path | None:
        """Give the folder of the dataset, None when there is none."""
        node = self._parameterNode
        path = node.data if node else Path()
        return path if str(path) not in ("", ".") and path.is_dir() else None

    def run(self) -> Path | None:
        """Give the folder of the chosen run, None when there is none."""
        text = self.ui.runComboBox.currentData
        return Path(text) if text else None

    def recipe(self) -> str:
        """Give the name or path of the chosen recipe."""
        return self.ui.recipeComboBox.currentData or ""

    # --- what is shown -----------------------------------------------------------------------

    def refreshAll(self) -> None:
        """Read the dataset and its runs again."""
        self.refreshCases()
        self._fillSources()
        self._fillRuns()
        self.refreshWorklist()
        self.refreshTasks()

    def refreshTasks(self) -> None:
        """Look at every process that works for this dataset."""
        data = self.data()
        if data is None:
            self.updateGUI()
            return
        ui = self.ui
        tasks = [(data / CHECK, ui.datasetNoteLabel), (data / REFINEMENT, ui.refinementNoteLabel)]
        if self._adding is not None:
            tasks.append((self._adding, ui.addNoteLabel))
        for folder, label in tasks:
            self._showTask(folder, label)
        self.refreshRun()

    def _showTask(self, folder: Path, label) -> None:
        """Say what became of a task; read its result when it has just ended."""
        status = task_folder.status(folder)
        before = self._states.get(folder)
        self._states[folder] = status.state
        if status.state.alive:
            label.text = {
                CHECK: _("Reading the dataset..."),
                REFINEMENT: _("Labeling and comparing... This goes on when Slicer is closed."),
            }.get(folder.name, _("Writing the case..."))
        elif before is not None and before.alive:
            if folder.name == REFINEMENT:
                self._fillSources()
                self.refreshWorklist()
            else:
                self.refreshCases()
            label.text = status.message
        elif status.state is TaskState.FAILED:
            label.text = status.message

    def refreshCases(self) -> None:
        """List the cases; a folder that has to be read for it is read by a process."""
        data, table, note = self.data(), self.ui.caseTable, self.ui.datasetNoteLabel
        self._rows, notes = [], []
        try:
            if data is None:
                note.text = _("Choose the folder of a dataset, or make a new one.")
            elif can_be_listed_at_once(data):
                if not any((data / "imagesTr").glob("*")):
                    note.text = _("This dataset has no case yet. Add one below.")
                else:
                    found = {row.name: row.findings for row in read_report(data / CHECK)[0]}
                    dataset = read_dataset(data)
                    self._rows, notes = case_rows(dataset, found), list(dataset.notes)
                    note.text = " ".join(notes)
            else:
                self._rows, notes = read_report(data / CHECK)
                note.text = " ".join(notes)
                if not self._rows and task_folder.status(data / CHECK).state is TaskState.NEW:
                    read = (data / "imagesTr").is_dir()
                    note.text = (
                        _("Click Check: the label maps must be read to know what is annotated.")
                        if read
                        else _("This folder is no dataset. Choose another, or click New.")
                    )
        except FlareError as error:
            note.text = str(error)
        _fill(
            table,
            [
                (
                    row.name,
                    {"training": _("training"), "validation": _("validation")}[row.part],
                    row.annotated,
                    str(len(row.findings) or ""),
                    ", ".join(row.sources),
                )
                for row in self._rows
            ],
            [" ".join(row.findings) for row in self._rows],
        )
        self.updateGUI()

    def refreshWorklist(self) -> None:
        """List what should be looked at first."""
        data = self.data()
        try:
            self._worklist = worklist(data / REFINEMENT) if data else []
        except FlareError as error:
            self._worklist, self.ui.refinementNoteLabel.text = [], str(error)
        by = {"accepted": _("you"), "rejected": _("you"), "": _("rule")}
        _fill(
            self.ui.worklistTable,
            [
                (
                    row.case,
                    _number(row.agreement),
                    _number(row.organ_uncertainty),
                    row.use,
                    by[row.choice],
                )
                for row in self._worklist
            ],
            [row.reason for row in self._worklist],
        )
        self.updateGUI()

    def refreshRun(self, _index: int = 0) -> None:
        """Show how far the chosen run is, its log and its scores."""
        ui, run = self.ui, self.run()
        if run is None:
            ui.runStatusLabel.text = ""
            ui.progressBar.value = 0
            _fill(ui.scoreTable, [])
            _fill(ui.worstTable, [])
            self.updateGUI()
            return
        try:
            status, progress = task_folder.status(run), run_folder.progress(run)
            ui.runStatusLabel.text = _runText(run, status, progress)
            ui.progressBar.value = round(progress.fraction * 1000)
            self._showLog(run)
            self._showScores(run)
            self.logic.updateCurves(run)
        except FlareError as error:
            ui.runStatusLabel.text = str(error)
        self.updateGUI()

    def _showLog(self, run: Path) -> None:
        text = task_folder.log_end(run)
        if self._shown != (str(run), len(text), text[-200:]):
            self._shown = (str(run), len(text), text[-200:])
            self.ui.logText.setPlainText(text)
            bar = self.ui.logText.verticalScrollBar()
            bar.setValue(bar.maximum)

    def _showScores(self, run: Path) -> None:
        names = {target.key: target.name for target in labels.targets()}
        rows = run_folder.score_rows(run)
        _fill(
            self.ui.scoreTable,
            [
                (
                    names[row["key"]],
                    str(row["cases"]),
                    *(_number(row[k]) for k in ("dsc", "bundled_dsc", "nsd", "bundled_nsd")),
                )
                for row in rows
            ],
        )
        worst = run_folder.worst_cases(run / "latest" / "evaluation.json") if rows else []
        _fill(self.ui.worstTable, [(name, _number(value)) for name, value in worst])
        hasModel = (run / "bundle" / model_choice.DESCRIPTION).is_file()
        if hasModel and not rows:
            text = _("The model was not scored: the dataset has no validation cases.")
        elif hasModel:
            text = _("Scores of the newest weights; the best ones so far are installed.")
        else:
            text = _("This run has no model yet.")
        self.ui.resultNoteLabel.text = text

    def _fillRecipes(self) -> None:
        combo = self.ui.recipeComboBox
        for name in recipe_names():
            if name != "base":  # the bundled model's, for the project's own data
                combo.addItem(name, name)
        combo.addItem(_("Other file..."), "")
        combo.setCurrentIndex(max(combo.findData("best"), 0))
        self.ui.recipeNoteLabel.text = read_recipe(self.recipe()).about

    def onRecipeActivated(self, index: int) -> None:
        """Take the user's choice of a recipe."""
        combo = self.ui.recipeComboBox
        if not combo.itemData(index):
            path = qt.QFileDialog.getOpenFileName(
                self.parent, _("Recipe"), "", _("Recipes (*.json)")
            )
            self.chooseRecipe(path or "best")
            return
        self.chooseRecipe(combo.itemData(index))

    def chooseRecipe(self, nameOrPath: str) -> None:
        """Choose a recipe by its name or file."""
        combo = self.ui.recipeComboBox
        try:
            recipe = read_recipe(nameOrPath)
        except FlareError as error:
            slicer.util.errorDisplay(str(error), windowTitle=_("Not a recipe"))
            nameOrPath = "best"
            recipe = read_recipe(nameOrPath)
        if combo.findData(nameOrPath) < 0:
            combo.insertItem(0, recipe.name, nameOrPath)
        combo.setCurrentIndex(combo.findData(nameOrPath))
        self.ui.recipeNoteLabel.text = recipe.about
        self.updateGUI()

    def _fillSources(self) -> None:
        """List models to label with, and the sources that are in the dataset."""
        items, data = self.ui.sourceList, self.data()
        checked = {item.data(qt.Qt.UserRole) for item in _checkedItems(items)}
        known = {item.data(qt.Qt.UserRole) for item in _items(items)}
        items.blockSignals(True)
        items.clear()
        sources = (
            sorted(path for path in (data / "pseudo").glob("*") if path.is_dir()) if data else []
        )
        for path in sources:
            key = f"source:{path.name}"
            on = key in checked or key not in known
            text = _("{name} (label maps in the dataset)").format(name=path.name)
            items.addItem(_checkItem(text, key, on))
        for choice in model_choice.available_models() if data else []:
            if choice.name not in [path.name for path in sources]:
                key = f"model:{choice.folder}"
                text = _("Label with {name}").format(name=choice.name)
                items.addItem(_checkItem(text, key, key in checked))
        items.blockSignals(False)

    def _fillRuns(self) -> None:
        combo, data = self.ui.runComboBox, self.data()
        chosen = combo.currentData
        combo.blockSignals(True)
        combo.clear()
        for run in run_folder.list_runs(data) if data else []:
            combo.addItem(run.name, str(run))
        combo.setCurrentIndex(max(combo.findData(chosen), 0) if chosen else 0)
        combo.blockSignals(False)

    def updateGUI(self, _item=None) -> None:
        """Bring the buttons in line with what can be done."""
        if self._parameterNode is None:
            return
        ui, node, data, run = self.ui, self._parameterNode, self.data(), self.run()
        some = bool(self._rows)
        ui.checkButton.enabled = data is not None and (data / "imagesTr").is_dir()
        busy = self._states.get(self._adding, TaskState.NEW).alive
        ui.addCaseButton.enabled = bool(
            data and node.caseVolume and node.caseSegmentation and not busy
        )
        ui.addSourceButton.enabled = some
        refining = data is not None and self._states.get(data / REFINEMENT, TaskState.NEW).alive
        ui.refineButton.text = _("Stop") if refining else _("Refine")
        ui.refineButton.enabled = refining or (some and bool(_checkedItems(ui.sourceList)))
        row = ui.worklistTable.currentRow()
        choosable = 0 <= row < len(self._worklist) and self._worklist[row].kind != "full"
        for button in (ui.acceptButton, ui.rejectButton, ui.ruleButton):
            button.enabled = choosable and bool(self._worklist[row].sources)
        ui.startButton.enabled = some and bool(self.recipe())
        state = task_folder.status(run).state if run else TaskState.NEW
        ui.stopButton.enabled = state is TaskState.RUNNING
        ui.resumeButton.enabled = state in (TaskState.STOPPED, TaskState.FAILED) or (
            run is not None and state in (TaskState.NEW, TaskState.FINISHED)
        )
        ui.plotButton.enabled = run is not None and state is not TaskState.NEW
        hasModel = run is not None and (run / "bundle" / model_choice.DESCRIPTION).is_file()
        ui.installButton.enabled = ui.exportButton.enabled = hasModel

    # --- dataset -----------------------------------------------------------------------------

    def onNewDatasetButton(self, _checked: bool = False) -> None:
        """Ask for a folder and make it a dataset."""
        folder = qt.QFileDialog.getExistingDirectory(self.parent, _("Folder of the new dataset"))
        if not folder:
            return
        with slicer.util.tryWithErrorDisplay(_("The dataset was not made.")):
            make_dataset(Path(folder))
        self._parameterNode.data = Path(folder)
        self.refreshAll()

    def onCheckButton(self, _checked: bool = False) -> None:
        """Let a process read everything."""
        with slicer.util.tryWithErrorDisplay(_("The check did not start.")):
            self.logic.startCheck(self.data())
        self.refreshTasks()

    def onAddCaseButton(self, _checked: bool = False) -> None:
        """Make the chosen volume and segmentation a case, after asking when it exists."""
        ui, node, data = self.ui, self._parameterNode, self.data()
        name = ui.caseNameLineEdit.text.strip()
        annotated = [item.data(qt.Qt.UserRole) for item in _checkedItems(ui.annotatedList)]
        replaceIt = False
        if name and case_exists(data, name):
            replaceIt = slicer.util.confirmOkCancelDisplay(
                _(
                    "There is a case {name} already. Replace it? Its files are kept in the folder "
                    "'replaced' of the dataset."
                ).format(name=name),
                windowTitle=_("Replace the case?"),
            )
            if not replaceIt:
                return
        with slicer.util.tryWithErrorDisplay(_("The case was not added."), waitCursor=True):
            case = NewCase(name, target_ids_of(annotated), replaceIt)
            self._adding = self.logic.startAddCase(
                data, case, node.caseVolume, node.caseSegmentation
            )
        self.refreshTasks()

    def onCaseDoubleClicked(self, row: int, _column: int) -> None:
        """Load a case with its labels."""
        with slicer.util.tryWithErrorDisplay(_("The case was not loaded."), waitCursor=True):
            self.logic.loadCase(self.data(), self._rows[row].name)

    # --- refinement --------------------------------------------------------------------------

    def onAddSourceButton(self, _checked: bool = False) -> None:
        """Ask for a folder of label maps and copy it into the dataset."""
        folder = qt.QFileDialog.getExistingDirectory(self.parent, _("Folder of label maps"))
        if folder:
            with slicer.util.tryWithErrorDisplay(_("The source was not added."), waitCursor=True):
                add_source(self.data(), Path(folder))
            self._fillSources()
            self.refreshCases()

    def onRefineButton(self, _checked: bool = False) -> None:
        """Let a process label and compare, or stop it."""
        data = self.data()
        with slicer.util.tryWithErrorDisplay(_("The refinement did not start.")):
            if task_folder.status(data / REFINEMENT).state.alive:
                task_folder.stop(data / REFINEMENT)
                return
            models, sources = self.chosenSources()
            if models:
                ensureInstalled()
            self.logic.startRefinement(
                data, models, sources, self.recipe(), self._parameterNode.device.value
            )
        self.refreshTasks()

    def chosenSources(self) -> tuple[dict[str, Path], list[str]]:
        """Give the checked models by name, and the checked sources that are in the dataset."""
        keys = [
            item.data(qt.Qt.UserRole).split(":", 1) for item in _checkedItems(self.ui.sourceList)
        ]
        folders = [Path(text) for kind, text in keys if kind == "model"]
        models = {model_choice.read_choice(folder).name: folder for folder in folders}
        return models, [text for kind, text in keys if kind == "source"]

    def onChoice(self, choice: str | None, _checked: bool = False) -> None:
        """Take a person's decision about the selected case."""
        row = self._worklist[self.ui.worklistTable.currentRow()]
        with slicer.util.tryWithErrorDisplay(_("The choice was not kept.")):
            write_choice(self.data(), row.case, choice)
            text = {
                "accepted": _("{case} will be used with its pseudo-labels."),
                "rejected": _("The pseudo-labels of {case} will not be used."),
                None: _("{case} is left to the rules."),
            }[choice]
            self.ui.refinementNoteLabel.text = (
                text.format(case=row.case)
                + " "
                + _("Click Refine to see the effect; trainings that start from now on heed it.")
            )

    def onWorklistDoubleClicked(self, row: int, _column: int) -> None:
        """Load a case, and where its sources differ."""
        with slicer.util.tryWithErrorDisplay(_("The case was not loaded."), waitCursor=True):
            self.logic.showDisagreement(self.data(), self._worklist[row].case)

    # --- training ----------------------------------------------------------------------------

    def onStartButton(self, _checked: bool = False) -> None:
        """Make a run and start it, after a warning when it cannot fit."""
        node, data = self._parameterNode, self.data()
        with slicer.util.tryWithErrorDisplay(_("The training did not start.")):
            models, sources = self.chosenSources()
            if models:
                raise InputError(
                    _(
                        "The scans have not been labeled with {name} yet. Click Refine first, or "
                        "uncheck it among the sources."
                    ).format(name=min(models))
                )
            settings = RunSettings(
                data,
                self.recipe(),
                node.device.value,
                node.minutes or None,
                sources=tuple(sources),
            )
            if not self._mayStart(settings):
                return
            ensureInstalled()
            run = self.logic.createRun(settings, self.ui.runNameLineEdit.text)
            self.logic.start(run)
            self.ui.runNameLineEdit.text = ""
            self._fillRuns()
            self.ui.runComboBox.setCurrentIndex(self.ui.runComboBox.findData(str(run)))
        self.refreshTasks()

    def _mayStart(self, settings: RunSettings) -> bool:
        warning = self.logic.roomWarning(settings)
        if not warning:
            return True
        return slicer.util.confirmOkCancelDisplay(
            _("This training will probably fail. {warning}\n\nStart it all the same?").format(
                warning=warning
            ),
            windowTitle=_("Not enough room"),
        )

    def onStopButton(self, _checked: bool = False) -> None:
        """Let the run save and end."""
        with slicer.util.tryWithErrorDisplay(_("The training was not stopped.")):
            self.logic.stop(self.run())
        self.refreshTasks()

    def onResumeButton(self, _checked: bool = False) -> None:
        """Go on with the run."""
        with slicer.util.tryWithErrorDisplay(_("The training did not go on.")):
            ensureInstalled()
            self.logic.start(self.run())
        self.refreshTasks()

    def onPlotButton(self, _checked: bool = False) -> None:
        """Show the curves in a plot view."""
        with slicer.util.tryWithErrorDisplay(_("The curves cannot be shown.")):
            self.logic.showCurves(self.run())

    # --- result ------------------------------------------------------------------------------

    def onWorstDoubleClicked(self, row: int, _column: int) -> None:
        """Load a validation case with its labels and what the model made of it."""
        name = self.ui.worstTable.item(row, 0).text()
        with slicer.util.tryWithErrorDisplay(_("The case was not loaded."), waitCursor=True):
            self.logic.loadCase(self.data(), name, self.run())

    def onInstallButton(self, _checked: bool = False) -> None:
        """Install the model, after asking when it replaces one, and go to FlareSegment."""
        run = self.run()
        with slicer.util.tryWithErrorDisplay(_("The model was not installed.")):
            target = self.logic.installedAt(run)
            if target.exists() and not slicer.util.confirmOkCancelDisplay(
                _("There is a model '{name}' already. Replace it?").format(name=target.name),
                windowTitle=_("Replace the model?"),
            ):
                return
            folder = self.logic.install(run, replace=True)
            useInFlareSegment(folder)
            slicer.util.selectModule("FlareSegment")

    def onExportButton(self, _checked: bool = False) -> None:
        """Ask for a folder and copy the model into it."""
        place = qt.QFileDialog.getExistingDirectory(self.parent, _("Folder for the model"))
        if place:
            with slicer.util.tryWithErrorDisplay(_("The model was not exported.")):
                target = self.logic.install(self.run(), Path(place))
                self.ui.resultNoteLabel.text = _("The model is in {folder}.").format(folder=target)


def _runText(run: Path, status, progress) -> str:
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
    left = [progress.seconds_left, run_folder.budget_seconds_left(run)]
    left = [seconds for seconds in left if seconds is not None]
    if progress.steps and left:
        where += _(", {time} left").format(time=duration_text(min(left)))
    return where or _("Preparing the data...")


def _titles(table, titles: list[str]) -> None:
    table.setColumnCount(len(titles))
    table.setHorizontalHeaderLabels(titles)
    table.verticalHeader().setVisible(False)
    table.verticalHeader().setDefaultSectionSize(20)
    table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    table.horizontalHeader().setStretchLastSection(True)
    table.horizontalHeader().setHighlightSections(False)


def _fill(table, rows: list, tips: list[str] | None = None) -> None:
    """Show rows of texts; the selection stays where it is."""
    current = table.currentRow()
    table.setRowCount(len(rows))
    for r, row in enumerate(rows):
        for c, text in enumerate(row):
            item = qt.QTableWidgetItem(text)
            item.setToolTip((tips[r] if tips else "") or text)
            table.setItem(r, c, item)
    if 0 <= current < len(rows):
        table.setCurrentCell(current, 0)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _checkItem(text: str, key: str, checked: bool):
    item = qt.QListWidgetItem(text)
    item.setData(qt.Qt.UserRole, key)
    item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
    item.setCheckState(qt.Qt.Checked if checked else qt.Qt.Unchecked)
    return item


def _items(widget) -> list:
    return [widget.item(row) for row in range(widget.count)]


def _checkedItems(widget) -> list:
    return [item for item in _items(widget) if item.checkState() == qt.Qt.Checked]


def ensureInstalled() -> None:
    """Install PyTorch as FlareSegment does, after asking, when it is not there."""
    import FlareSegment

    if not FlareSegment.torchIsInstalled():
        requirements = Path(FlareSegment.__file__).parent / "Resources" / "requirements.txt"
        FlareSegment.FlareSegmentLogic().install(str(requirements))


def useInFlareSegment(folder: Path) -> None:
    """Choose a model in FlareSegment."""
    import FlareSegment

    FlareSegment.FlareSegmentLogic().getParameterNode().modelFolder = str(folder)


#
# FlareTrainLogic
#


class FlareTrainLogic(ScriptedLoadableModuleLogic):
    """Trains models in processes of their own; works without any window.

    Example::

        logic = FlareTrainLogic()
        run = logic.createRun(RunSettings(Path("dataset"), recipe="best", minutes=600))
        logic.start(run)
        print(logic.status(run))
        logic.install(run)
    """

    LOSS, DSC = "FlareTrain.Loss", "FlareTrain.Dsc"
    """Attributes of the charts."""

    def getParameterNode(self):
        """Give the typed parameter node of the module."""
        return FlareTrainParameterNode(super().getParameterNode())

    # --- runs --------------------------------------------------------------------------------

    @staticmethod
    def createRun(settings: RunSettings, name: str = "") -> Path:
        """Make a run's folder in the dataset; it is not started."""
        return run_folder.create_run(settings, name)

    @staticmethod
    def start(run: Path) -> None:
        """Start a run, or go on with it, as a process that outlives Slicer."""
        import FlareSegment

        task_folder.start(run, FlareSegment.workerPython())

    @staticmethod
    def stop(run: Path) -> None:
        """Ask a run to save and end; returns at once."""
        task_folder.stop(run)

    @staticmethod
    def status(run: Path):
        """Give the state of a run and how far it is: `TaskStatus`, `RunProgress`."""
        return task_folder.status(run), run_folder.progress(run)

    @staticmethod
    def installedAt(run: Path) -> Path:
        """Give the folder that `install` copies the run's model to."""
        return model_choice.user_models_folder() / run_folder.model_name(run)

    @staticmethod
    def install(run: Path, place: Path | None = None, replace: bool = False) -> Path:
        """Copy the run's model to where FlareSegment finds it, or to `place`; its folder."""
        return run_folder.install(run, place, replace=replace)

    @staticmethod
    def roomWarning(settings: RunSettings) -> str:
        """Say what will not fit into this computer, "" when all will."""
        cases = read_dataset(settings.data).cases
        return check_room(read_recipe(settings.recipe), cases, settings.data).warning

    # --- other processes ---------------------------------------------------------------------

    def startCheck(self, data: Path) -> Path:
        """Let a process check a dataset; the folder of the task."""
        task_folder.write_request(data / CHECK, "check", {"data": str(data.resolve())})
        self.start(data / CHECK)
        return data / CHECK

    def startRefinement(
        self,
        data: Path,
        models: dict[str, Path],
        sources: list[str],
        recipe: str = "best",
        device: str = "auto",
    ) -> Path:
        """Let a process label with models and compare all sources; the folder of the task."""
        arguments = {
            "data": str(data.resolve()),
            "models": {name: str(folder) for name, folder in models.items()},
            "sources": sources,
            "recipe": run_folder.recipe_file(recipe),
            "device": device,
        }
        task_folder.write_request(data / REFINEMENT, "refine", arguments)
        self.start(data / REFINEMENT)
        return data / REFINEMENT

    def startAddCase(self, data: Path, case: NewCase, volume, segmentation) -> Path:
        """Let a process write a volume and its segmentation as a case; the folder of the task.

        Raises
        ------
        InputError
            When the name or the nodes cannot be used.
        """
        check_name(data, case)
        if not case.annotated:
            raise InputError(
                _(
                    "Check at least one structure that was annotated: what a person drew or "
                    "corrected."
                )
            )
        scan, array = self.caseArrays(volume, segmentation)
        folder = data / ADD / case.name
        arguments = stage_case(folder, data.resolve(), case, scan, array)
        task_folder.write_request(folder, "add", arguments)
        self.start(folder)
        return folder

    @staticmethod
    def caseArrays(volume, segmentation) -> tuple[Volume, np.ndarray]:
        """Give the scan, and its segments as target ids (k, j, i) on the scan's grid."""
        if segmentation.GetTransformNodeID() != volume.GetTransformNodeID():
            raise InputError(
                _("Volume and segmentation are under different transforms. Put both under one.")
            )
        found = segmentTargets(segmentation)
        if not found:
            raise InputError(
                _(
                    "None of the segments has the name of a structure. Name them like FLARE "
                    "Abdomen Segmentation does: Liver, Right kidney, ..."
                )
            )
        matrix = vtk.vtkMatrix4x4()
        volume.GetIJKToRASMatrix(matrix)
        scan = Volume(slicer.util.arrayFromVolume(volume), slicer.util.arrayFromVTKMatrix(matrix))
        array = np.zeros(scan.array.shape, np.uint8)
        # Tumor last: it lies in organs.
        for target in labels.targets():
            if target.key in found:
                mask = slicer.util.arrayFromSegmentBinaryLabelmap(
                    segmentation, found[target.key], volume
                )
                array[mask > 0] = target.id
        return scan, array

    # --- cases into the scene ----------------------------------------------------------------

    @staticmethod
    def loadCase(data: Path, name: str, run: Path | None = None):
        """Load a case; the volume, and its segmentations: what is drawn, what `run` predicted."""
        dataset = read_dataset(data)
        case = next(c for c in (*dataset.cases, *dataset.validation) if c.name == name)
        scan, volume = addVolume(case.scan, name)
        segmentations = []
        if case.labels is not None:
            array = read_labels_on(scan, case.labels, dataset.values)
            segmentations.append(addSegmentation(scan, array, volume, f"{name} annotated"))
        predicted = run / "latest" / "predictions" / f"{name}_seg.nii.gz" if run else None
        if predicted is not None and predicted.is_file():
            identity = {target.id: target.id for target in labels.targets()}
            array = read_labels_on(scan, predicted, identity)
            segmentations.append(addSegmentation(scan, array, volume, f"{name} {run.name}"))
        slicer.util.setSliceViewerLayers(background=volume, fit=True)
        return volume, segmentations

    @staticmethod
    def showDisagreement(data: Path, name: str):
        """Load a case, its first source as a segmentation, and where the sources differ."""
        dataset = read_dataset(data)
        case = next(c for c in dataset.cases if c.name == name)
        scan, volume = addVolume(case.scan, name)
        source = next((s for s in dataset.sources if name in label_files(dataset.sources[s])), None)
        if source is not None:
            identity = {target.id: target.id for target in labels.targets()}
            array = read_labels_on(scan, label_files(dataset.sources[source])[name], identity)
            addSegmentation(scan, array, volume, f"{name} {source}")
        canonical, differs = disagreement(case, dict(dataset.sources))
        overlay = slicer.mrmlScene.AddNewNodeByClass(
            "vtkMRMLLabelMapVolumeNode", f"{name} disagreement"
        )
        slicer.util.updateVolumeFromArray(overlay, np.ascontiguousarray(differs))
        overlay.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(canonical.affine))
        overlay.CreateDefaultDisplayNodes()
        slicer.util.setSliceViewerLayers(
            background=volume, label=overlay, labelOpacity=0.6, fit=True
        )
        return volume, overlay

    # --- curves ------------------------------------------------------------------------------

    def updateCurves(self, run: Path) -> None:
        """Bring the charts up to date, if they are there and of this run."""
        for attribute in (self.LOSS, self.DSC):
            chart = _nodeWith(attribute, str(run))
            if chart is not None:
                self._fillChart(chart, attribute, run)

    def showCurves(self, run: Path) -> list:
        """Make the charts of a run and show the loss in a plot view; the charts."""
        charts = []
        for attribute, title, axis in (
            (self.LOSS, _("Loss"), _("loss")),
            (self.DSC, _("Validation DSC"), _("DSC")),
        ):
            chart = _nodeWith(attribute, str(run))
            if chart is None:
                chart = slicer.mrmlScene.AddNewNodeByClass(
                    "vtkMRMLPlotChartNode", f"{title} {run.name}"
                )
                chart.SetAttribute(attribute, str(run))
                chart.SetTitle(f"{title}: {run.name}")
                chart.SetXAxisTitle(_("step"))
                chart.SetYAxisTitle(axis)
            self._fillChart(chart, attribute, run)
            charts.append(chart)
        if slicer.app.layoutManager() is not None:
            slicer.modules.plots.logic().ShowChartInLayout(charts[0])
        return charts

    def _fillChart(self, chart, attribute: str, run: Path) -> None:
        isLoss = attribute == self.LOSS
        curves = run_folder.loss_curves(run) if isLoss else run_folder.dsc_curves(run)
        colors = {target.key: target.color for target in labels.targets()}
        for number, (name, points) in enumerate(curves.items()):
            series = _seriesOf(chart, name)
            if series is None:
                series = _newSeries(chart, name, colors.get(name, _LINES[number % len(_LINES)]))
            table = series.GetTableNode()
            if table.GetNumberOfRows() != len(points):
                slicer.util.updateTableFromArray(table, np.array(points, float), ["step", "value"])


_LINES = ((31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189), (140, 86, 75))


def _nodeWith(attribute: str, value: str):
    """Give the node whose attribute has this value, or None."""
    for node in slicer.util.getNodesByClass("vtkMRMLPlotChartNode"):
        if node.GetAttribute(attribute) == value:
            return node
    return None


def _seriesOf(chart, name: str):
    nodes = [chart.GetNthPlotSeriesNode(n) for n in range(chart.GetNumberOfPlotSeriesNodes())]
    return next((node for node in nodes if node is not None and node.GetName() == name), None)


def _newSeries(chart, name: str, color: tuple[int, int, int]):
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", f"{chart.GetName()} {name}")
    series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
    series.SetName(name)
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName("step")
    series.SetYColumnName("value")
    series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
    series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
    series.SetColor(*(value / 255 for value in color))
    chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return series


def segmentTargets(segmentation) -> dict[str, str]:
    """Give the segment of each target: by FlareSegment's mark, identifier or name."""
    container, found = segmentation.GetSegmentation(), {}
    known = {target.name.lower(): target.key for target in labels.targets()}
    known |= {target.key: target.key for target in labels.targets()}
    for number in range(container.GetNumberOfSegments()):
        segmentId = container.GetNthSegmentID(number)
        segment = container.GetSegment(segmentId)
        mark = vtk.mutable("")
        marked = segment.GetTag("FlareSegment.Target", mark)
        words = (str(mark) if marked else "", segmentId.lower(), segment.GetName().lower())
        key = next((known[word] for word in words if word in known), None)
        if key is not None:
            found.setdefault(key, segmentId)
    return found


def addVolume(path: Path, name: str) -> tuple:
    """Read a scan into the scene; the engine's volume and the node."""
    from FlareSegmentLib.reading import read_volume

    scan = replace(read_volume(path), name=name)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(scan.array))
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(scan.affine))
    node.CreateDefaultDisplayNodes()
    return scan, node


def addSegmentation(scan: Volume, array: np.ndarray, volume, name: str):
    """Put target ids (k, j, i) into the scene as a segmentation with names and colors."""
    from FlareSegmentLib.writing import write_label_map

    known = np.where(array == IGNORE, 0, array).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.seg.nrrd"
        write_label_map(path, known, scan.affine, labels.targets())
        node = slicer.util.loadSegmentation(str(path), {"name": name})
    node.SetName(name)
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    return node


#
# FlareTrainTest
#


class FlareTrainTest(ScriptedLoadableModuleTest):
    """Makes a dataset of synthetic scans and adds a case to it; needs no GPU."""

    def setUp(self) -> None:
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run all tests."""
        self.setUp()
        self.test_a_drawn_liver_becomes_a_case()

    def test_a_drawn_liver_becomes_a_case(self) -> None:
        """A synthetic scan and its liver are written, and read back the same."""
        from FlareSegmentLib.phantom import PhantomSettings, make_phantom
        from FlareTrainLib.add_case import add_case

        self.delayDisplay("Making a synthetic scan")
        scan, truth = make_phantom(PhantomSettings(seed=1))
        with tempfile.TemporaryDirectory() as text:
            data = Path(text) / "dataset"
            make_dataset(data)
            add_case(data, NewCase("phantom", (1,)), scan, truth)
            volume, (segmentation,) = FlareTrainLogic.loadCase(data, "phantom")
            _scan, array = FlareTrainLogic.caseArrays(volume, segmentation)
        self.assertTrue(np.array_equal(array == 1, truth == 1))  # noqa: PT009
        self.delayDisplay("Test passed")
