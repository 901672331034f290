"""FlareSegment: abdominal organs and tumor in CT, at the push of a button.

Slicer's side only: nodes, widgets, processes. What computes is in FlareSegmentLib, and runs in a
child process.
"""

import enum
import importlib.util
import json
import logging
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import qt
import slicer
import vtk
import vtk.util.numpy_support
from slicer import (
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLTableNode,
)
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from FlareSegmentLib import labels, model_choice, statistics_table
from FlareSegmentLib.batch import BatchSettings
from FlareSegmentLib.batch_client import BatchClient
from FlareSegmentLib.errors import BundleError, Cancelled, FlareError, InputError, WorkerError
from FlareSegmentLib.panel_state import PanelFacts, PanelState, panel_state
from FlareSegmentLib.resources import resources_folder
from FlareSegmentLib.run_progress import RunProgress, duration_text
from FlareSegmentLib.slicer_segmentation import terminology_entry
from FlareSegmentLib.statistics import organ_statistics
from FlareSegmentLib.volume import LabelMap, Volume
from FlareSegmentLib.worker_client import (
    SegmentRequest,
    WorkerClient,
    WorkerState,
    worker_command,
)

#
# FlareSegment
#


class FlareSegment(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "FlareSegment"
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Segmentations", "Sequences", "Terminologies"]
        self.parent.contributors = ["SlicerFlare contributors"]
        self.parent.helpText = _(
            "Segments 13 abdominal organs and tumor in a CT volume with a bundled model: "
            "no download, no account, no server. For research, not for clinical use. See the "
            '<a href="https://github.com/SlicerFlare/SlicerFlare#readme">documentation</a>.'
        )
        self.parent.acknowledgementText = _(
            "Built after five papers of the MICCAI FLARE 2023 challenge."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)
        slicer.app.connect("startupCompleted()", loadTerminology)
        slicer.app.connect("aboutToQuit()", FlareSegmentLogic.stopWorker)


def registerSampleData() -> None:
    """Offer Slicer's own abdominal scans where users look for data to try the module with."""
    import SampleData

    icons = Path(__file__).parent / "Resources" / "Icons"
    logic = SampleData.SampleDataLogic
    if hasattr(logic, "registerCustomSampleDataCategory"):
        logic.registerCustomSampleDataCategory("FlareSegment", title=_("Abdominal CT (FLARE)"))
    url = "https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/"
    for name, file, digest in (
        (
            "CTLiver",
            "CTLiver.nrrd",
            "e16eae0ae6fefa858c5c11e58f0f1bb81834d81b7102e021571056324ef6f37e",
        ),
        (
            "CTAAbdomenPanoramix",
            "Panoramix-cropped.nrrd",
            "146af87511520c500a3706b7b2bfb545f40d5d04dd180be3a7a2c6940e447433",
        ),
    ):
        logic.registerCustomSampleDataSource(
            category="FlareSegment",
            sampleName=f"{name}FLARE",
            thumbnailFileName=str(icons / f"{name}.png"),
            uris=url + digest,
            fileNames=file,
            checksums=f"SHA256:{digest}",
            nodeNames=name,
        )


def loadTerminology() -> None:
    """Make the 14 terms known to Slicer's terminology selector."""
    folder = resources_folder() / "Terminology"
    logic = slicer.modules.terminologies.logic()
    for path in sorted(folder.glob("*.term.json")):
        logic.LoadTerminologyFromFile(str(path))


#
# FlareSegmentParameterNode
#


class Device(enum.Enum):
    """Where the network runs."""

    AUTO = "auto"
    GPU = "cuda"
    CPU = "cpu"

    def label(self) -> str:
        """Give the text in the selector."""
        return {"auto": _("Automatic"), "cuda": _("GPU"), "cpu": _("CPU")}[self.value]


class BatchSource(enum.Enum):
    """Where the scans of a batch come from."""

    FOLDER = "folder"
    DATABASE = "database"

    def label(self) -> str:
        """Give the text in the selector."""
        texts = {"folder": _("Folder"), "database": _("Patients in the DICOM database")}
        return texts[self.value]


@parameterNodeWrapper
class FlareSegmentParameterNode:
    """What the user chose; saved with the scene.

    inputVolume - The CT volume to segment.
    allFrames - Segment each frame of the sequence that the volume belongs to.
    outputSegmentation - Where the result goes; a new segmentation when none.
    skippedTargets - Keys of the structures not to look for.
    device - Where the network runs.
    modelFolder - Folder of the model bundle; the bundled model when empty.
    resultTable - Volumes and mean HU of the last result.
    batchSource - Whether a batch takes scans from a folder or from the DICOM database.
    batchInput - Folder of scans to segment.
    batchOutput - Folder for their segmentations.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    allFrames: bool = False
    outputSegmentation: vtkMRMLSegmentationNode
    skippedTargets: list[str]
    device: Device = Device.AUTO
    modelFolder: str = ""
    resultTable: vtkMRMLTableNode
    batchSource: BatchSource = BatchSource.FOLDER
    batchInput: Path = Path()
    batchOutput: Path = Path()


#
# FlareSegmentWidget
#


class FlareSegmentWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: shows the choices and the state, leaves the work to the logic."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._installing = False
        self._outcome = None
        self._message = ""
        self._progress = RunProgress()
        self._rows = []
        self._updating = False
        self._resultSegmentation = None
        self.batch = None
        self._tick = qt.QTimer()
        self._tick.setInterval(500)
        self._tick.timeout.connect(self._onTick)

    # --- set-up ------------------------------------------------------------------------------

    def setup(self) -> None:
        """Build the panel; called when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/FlareSegment.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)

        self.logic = FlareSegmentLogic()
        self.logic.onWorkerState = self._onWorkerState
        self.logic.onLog = self._appendLog

        self._fillTargets()
        self._fillModels()
        self._prepareTables()

        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)

        ui = self.ui
        ui.applyButton.connect("clicked(bool)", self.onApplyButton)
        ui.targetList.connect("itemChanged(QListWidgetItem*)", self.onTargetChanged)
        ui.allTargetsButton.connect("clicked(bool)", partial(self._checkTargets, "all"))
        ui.organsButton.connect("clicked(bool)", partial(self._checkTargets, "organs"))
        ui.noTargetsButton.connect("clicked(bool)", partial(self._checkTargets, "none"))
        ui.modelComboBox.connect("activated(int)", self.onModelActivated)
        ui.undoButton.connect("clicked(bool)", self.onUndoButton)
        ui.updateTableButton.connect("clicked(bool)", self.onUpdateTableButton)
        ui.saveTableButton.connect("clicked(bool)", self.onSaveTableButton)

        ui.batchButton.connect("clicked(bool)", self.onBatchButton)
        ui.batchPatientList.connect("itemChanged(QListWidgetItem*)", self._updateBatchButton)

        self.batch = BatchClient(
            QtProcess(),
            self._updateBatch,
            self._appendLog,
            self.logic.batchCommand
            or worker_command(workerPython(), "FlareSegmentLib.batch_worker"),
        )
        self._prepareBatchTable()
        self.initializeParameterNode()
        self._updateBatch()

    def cleanup(self) -> None:
        """Leave nothing behind; called when the panel is destroyed."""
        self._tick.stop()
        if self.batch is None:  # setup failed before it was made
            return
        self.setParameterNode(None)
        self.batch.stop()
        self.batch.wait(5)
        self.logic.cancel()
        self.logic.onWorkerState = None
        self.logic.onLog = None
        FlareSegmentLogic.stopWorker()
        self.removeObservers()

    def enter(self) -> None:
        """Warm the worker up while the user is still choosing."""
        self.initializeParameterNode()
        self._fillModels()
        self._warmUp()

    def exit(self) -> None:
        """Stop following the parameter node while another module is shown."""
        self.setParameterNode(None)

    def onSceneStartClose(self, caller, event) -> None:
        """Let go of nodes that are about to vanish."""
        self.logic.cancel()
        self.logic.forgetUndo()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event) -> None:
        """Begin anew in the empty scene."""
        self._outcome, self._message, self._resultSegmentation = None, "", None
        self._showRows([])
        if self.parent.isEntered:
            self.initializeParameterNode()
        self.updateGUI()

    def initializeParameterNode(self) -> None:
        """Follow the scene's parameter node; preselect the first volume."""
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            volume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if volume:
                self._parameterNode.inputVolume = volume

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

    def _prepareTables(self) -> None:
        table = self.ui.resultTable
        titles = [title for _key, title, _places in statistics_table.COLUMNS]
        table.setColumnCount(len(titles))
        table.setHorizontalHeaderLabels(titles)
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(20)
        header = table.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)

    # --- structures and model ----------------------------------------------------------------

    def _fillTargets(self) -> None:
        for target in labels.targets():
            item = qt.QListWidgetItem(target.name)
            item.setData(qt.Qt.UserRole, target.key)
            item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
            item.setCheckState(qt.Qt.Checked)
            item.setIcon(_colorIcon(target.color))
            self.ui.targetList.addItem(item)
        # Two columns of full names in a panel of the usual width, one in a narrow panel.
        rows = (len(labels.targets()) + 1) // 2
        size = qt.QSize(self.ui.targetList.sizeHintForColumn(0) + 12, 20)
        self.ui.targetList.setGridSize(size)
        self.ui.targetList.setFixedHeight(rows * size.height() + 8)

    def _targetItems(self) -> list:
        return [self.ui.targetList.item(row) for row in range(self.ui.targetList.count)]

    def chosenTargets(self) -> list[str]:
        """Give the keys of the checked structures."""
        skipped = set(self._parameterNode.skippedTargets) if self._parameterNode else set()
        return [target.key for target in labels.targets() if target.key not in skipped]

    def _checkTargets(self, which: str, _checked: bool = False) -> None:
        keys = [target.key for target in labels.targets()]
        skipped = {"all": [], "organs": ["tumor"], "none": keys}[which]
        self._parameterNode.skippedTargets = skipped

    def onTargetChanged(self, item) -> None:
        """Take a check mark of the user."""
        if self._updating or not self._parameterNode:
            return
        self._parameterNode.skippedTargets = [
            item.data(qt.Qt.UserRole)
            for item in self._targetItems()
            if item.checkState() != qt.Qt.Checked
        ]

    def _fillModels(self) -> None:
        """List the bundled models, the user's, and the one chosen by folder."""
        combo = self.ui.modelComboBox
        combo.blockSignals(True)
        combo.clear()
        choices = model_choice.available_models()
        chosen = self._parameterNode.modelFolder if self._parameterNode else ""
        known = {str(choice.folder) for choice in choices}
        if chosen and chosen not in known:
            try:
                choices.append(model_choice.read_choice(Path(chosen)))
            except BundleError as error:
                logging.warning("%s", error)
                choices.append(model_choice.ModelChoice(Path(chosen), chosen, False, {}))
        for choice in choices:
            text = _("{name} (bundled)").format(name=choice.name) if choice.bundled else choice.name
            combo.addItem(text, str(choice.folder))
            combo.setItemData(combo.count - 1, str(choice.folder), qt.Qt.ToolTipRole)
        combo.addItem(_("Other folder..."), "")
        index = combo.findData(chosen) if chosen else 0
        combo.setCurrentIndex(max(index, 0))
        combo.blockSignals(False)
        shown = [choice for choice in choices if str(choice.folder) == combo.currentData]
        self.ui.modelInfoLabel.text = shown[0].summary if shown else ""
        for label in (self.ui.modelInfoLabel, self.ui.modelInfoTitle):
            label.visible = bool(self.ui.modelInfoLabel.text)

    def onModelActivated(self, index: int) -> None:
        """Take the user's choice of a model."""
        folder = self.ui.modelComboBox.itemData(index)
        if not folder:
            folder = qt.QFileDialog.getExistingDirectory(
                self.parent, _("Folder of a model"), str(model_choice.user_models_folder())
            )
        try:
            if folder:
                chosen = model_choice.read_choice(Path(folder))
                isDefault = self.ui.modelComboBox.findData(str(chosen.folder)) == 0
                self._parameterNode.modelFolder = "" if isDefault else str(chosen.folder)
        except BundleError as error:
            slicer.util.errorDisplay(str(error), windowTitle=_("Not a model"))
        self._fillModels()
        self._warmUp()

    def _model(self) -> Path | None:
        folder = self._parameterNode.modelFolder if self._parameterNode else ""
        return Path(folder) if folder else None

    def _warmUp(self) -> None:
        if self._parameterNode and torchIsInstalled() and not self.logic.busy:
            try:
                self.logic.warmUp(self._model(), self._parameterNode.device.value)
            except FlareError as error:
                self._appendLog(str(error))

    # --- state -------------------------------------------------------------------------------

    def onParameterNodeModified(self, caller=None, event=None) -> None:
        """Show the choices; a new choice ends the display of the last outcome."""
        node = self._parameterNode
        if not node:
            return
        choices = (node.inputVolume, tuple(node.skippedTargets), node.modelFolder, node.device)
        if getattr(self, "_lastChoices", None) != choices:
            self._lastChoices = choices
            if not self.logic.busy:
                self._outcome = None
        self._resetForeignOutput()
        self._updating = True
        for item in self._targetItems():
            checked = item.data(qt.Qt.UserRole) not in node.skippedTargets
            item.setCheckState(qt.Qt.Checked if checked else qt.Qt.Unchecked)
        self._updating = False
        self.updateGUI()

    def _resetForeignOutput(self) -> None:
        """Go back to a new segmentation when the one made here belongs to another volume."""
        node = self._parameterNode
        output, volume = node.outputSegmentation, node.inputVolume
        if not output or not volume or output is not self._resultSegmentation:
            return
        role = output.GetReferenceImageGeometryReferenceRole()
        if output.GetNodeReferenceID(role) != volume.GetID():
            node.outputSegmentation = None

    def _reasonNotToRun(self) -> str:
        """Give what is missing, empty when nothing is."""
        node = self._parameterNode
        if not node or not node.inputVolume:
            return _("Choose a CT volume.")
        if not self.chosenTargets():
            return _("Check at least one structure.")
        return ""

    @property
    def state(self) -> PanelState:
        """What the panel shows."""
        reason = self._reasonNotToRun()
        return panel_state(
            PanelFacts(
                chosen=not reason,
                installing=self._installing,
                running=self.logic.busy,
                cancelling=self.logic.cancelling,
                outcome=self._outcome,
                worker=self.logic.workerState,
            )
        )

    def updateGUI(self) -> None:
        """Bring buttons, bar and status line in line with the state."""
        if self._parameterNode is None:
            return
        ui, state, reason = self.ui, self.state, self._reasonNotToRun()
        running = state in (PanelState.RUNNING, PanelState.CANCELLING)
        ui.applyButton.text = _("Cancel") if running else _("Segment")
        ui.applyButton.enabled = state is PanelState.RUNNING or (not state.busy and not reason)
        ui.applyButton.toolTip = (
            _("Stop; nothing will be changed") if running else reason or _("Segment the volume")
        )
        ui.progressBar.visible = running
        for widget in (
            ui.inputsCollapsibleButton,
            ui.outputsCollapsibleButton,
            ui.advancedCollapsibleButton,
        ):
            widget.enabled = not state.busy
        ui.allFramesCheckBox.visible = self._sequenceBrowser() is not None
        chosen = len(self.chosenTargets())
        ui.targetCountLabel.text = _("{chosen} of {all}").format(
            chosen=chosen, all=len(labels.targets())
        )
        self._showStatus(state, reason)
        self._showResultButtons(running)
        self._updateBatchButton()

    def _sequenceBrowser(self):
        volume = self._parameterNode.inputVolume if self._parameterNode else None
        return sequenceBrowserOf(volume) if volume else None

    def _showStatus(self, state: PanelState, reason: str) -> None:
        texts = {
            PanelState.NOTHING_CHOSEN: reason,
            PanelState.READY: self._message or _("Ready."),
            PanelState.INSTALLING: _("Installing what is needed..."),
            PanelState.WARMING_UP: _("Ready. The model is being loaded meanwhile."),
            PanelState.RUNNING: self._runningText(),
            PanelState.CANCELLING: _("Cancelling..."),
            PanelState.DONE: self._message,
            PanelState.FAILED: self._message,
        }
        self.ui.statusLabel.text = texts[state]
        colors = {
            PanelState.NOTHING_CHOSEN: (160, 160, 160),
            PanelState.READY: (70, 150, 220),
            PanelState.DONE: (60, 160, 80),
            PanelState.FAILED: (205, 60, 50),
        }
        icon = _colorIcon(colors.get(state, (230, 160, 40)), round_=True)
        self.ui.statusIconLabel.setPixmap(icon.pixmap(12, 12))
        self.ui.progressBar.value = round(self._progress.fraction * 1000)

    def _runningText(self) -> str:
        worker = self.logic.workerState
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
        text = stages[self._progress.stage]
        if self._progress.volumes > 1:
            text = _("Frame {n} of {all}: {text}").format(
                n=self._progress.volume, all=self._progress.volumes, text=text.lower()
            )
        left = self._progress.seconds_left
        if left is not None:
            text = _("{text}, {time} left").format(text=text, time=duration_text(left))
        return text

    def _onTick(self) -> None:
        """Keep the time left and the batch going."""
        if self.state is PanelState.RUNNING:
            self._showStatus(PanelState.RUNNING, "")
        self.batch.tick()
        if not self.logic.busy and not self.batch.running:
            self._tick.stop()

    def _showResultButtons(self, running: bool) -> None:
        segmentation = self._resultSegmentation
        self.ui.resultsCollapsibleButton.visible = segmentation is not None
        self.ui.show3DButton.enabled = segmentation is not None and not running
        self.ui.updateTableButton.enabled = segmentation is not None and not running
        self.ui.saveTableButton.enabled = bool(self._rows)
        self.ui.undoButton.enabled = (
            segmentation is not None and not running and self.logic.canUndo(segmentation)
        )

    def _onWorkerState(self, state: WorkerState) -> None:
        self._appendLog(_("Worker: {state}").format(state=state.value))
        self.updateGUI()

    def _appendLog(self, line: str) -> None:
        self.ui.logText.appendPlainText(line)

    # --- run ---------------------------------------------------------------------------------

    def onApplyButton(self, _checked: bool = False) -> None:
        """Start, or cancel what runs."""
        if self.logic.busy:
            self.logic.cancel()
            self.updateGUI()
            return
        try:
            if not self._ensureInstalled() or not self._mayReplace():
                return
            self._start()
        except (FlareError, RuntimeError) as error:
            self._onError(error)

    def _ensureInstalled(self) -> bool:
        if torchIsInstalled():
            return True
        self._installing, self._outcome = True, None
        self.updateGUI()
        try:
            self.logic.install(self.resourcePath("requirements.txt"))
        finally:
            self._installing = False
            self.updateGUI()
        return True

    def _mayReplace(self) -> bool:
        """Ask before segments of an earlier run are replaced."""
        segmentation = self._parameterNode.outputSegmentation
        if not segmentation:
            return True
        names = self.logic.segmentsToReplace(segmentation, self.chosenTargets())
        if not names:
            return True
        return slicer.util.confirmOkCancelDisplay(
            _(
                "{segmentation} already has: {names}.\n\nReplace them? All other segments are "
                "kept, and Undo brings the old ones back."
            ).format(segmentation=segmentation.GetName(), names=", ".join(names)),
            windowTitle=_("Replace segments?"),
        )

    def _start(self) -> None:
        node = self._parameterNode
        browser = self._sequenceBrowser() if node.allFrames else None
        source = browser if browser is not None else node.inputVolume
        self._outcome, self._message = None, ""
        self.ui.logText.appendPlainText(_("Segmenting {name}").format(name=source.GetName()))
        frames = self.logic.start(
            source,
            node.outputSegmentation,
            targets=self.chosenTargets(),
            device=node.device.value,
            model=self._model(),
            onProgress=self._onProgress,
            onFinished=self._onFinished,
            onError=self._onError,
        )
        self._progress = RunProgress(frames)
        self._tick.start()
        self.updateGUI()

    def _onProgress(self, stage: str, fraction: float, frame: int) -> None:
        while self._progress.volume <= frame:
            self._progress.finish_volume()
            if self._progress.volume == self._progress.volumes:
                break
        self._progress.update(stage, fraction)
        self._showStatus(self.state, "")

    def _onFinished(self, segmentation, rows: list[dict]) -> None:
        self._resultSegmentation = segmentation
        self._outcome, self._message = "done", self._doneText(segmentation, rows)
        node = self._parameterNode
        if node:
            node.outputSegmentation = segmentation
            node.resultTable = self.logic.tableOf(segmentation)
        self.ui.show3DButton.setSegmentationNode(segmentation)
        self._appendLog(self._message)
        self._showRows(rows)
        self.updateGUI()

    def _doneText(self, segmentation, rows: list[dict]) -> str:
        found = {row["key"] for row in rows if row["voxels"]}
        missing = [row["name"].lower() for row in rows if row["key"] not in found]
        missing = list(dict.fromkeys(missing))
        text = _("Done: {n} structures in {name}.").format(
            n=len(found), name=segmentation.GetName()
        )
        if not found:
            text = _("Done, but none of the chosen structures was found in this volume.")
        elif missing:
            text += " " + _("Not found: {names}.").format(names=", ".join(missing))
        notes = self.logic.reportOf(segmentation).get("notes", [])
        return " ".join([text, *notes])

    def _onError(self, error: Exception) -> None:
        if isinstance(error, Cancelled):
            self._outcome, self._message = None, _("Cancelled. Nothing was changed.")
            self.updateGUI()
            if self.logic.workerState is WorkerState.STOPPED:
                self._warmUp()
            return
        self._outcome, self._message = "failed", str(error).split("\n\n")[0]
        self._appendLog(str(error))
        self.updateGUI()
        slicer.util.errorDisplay(
            self._message, windowTitle=_("Segmentation failed"), detailedText=str(error)
        )

    # --- results -----------------------------------------------------------------------------

    def _showRows(self, rows: list[dict]) -> None:
        self._rows = rows
        table = self.ui.resultTable
        table.setRowCount(len(rows))
        colors = {target.key: target.color for target in labels.targets()}
        for r, row in enumerate(rows):
            for c, (key, _title, _places) in enumerate(statistics_table.COLUMNS):
                item = qt.QTableWidgetItem(statistics_table.cell_text(key, row.get(key)))
                if key == "name":
                    item.setIcon(_colorIcon(colors[row["key"]]))
                    if "frame" in row:
                        text = _("{name}, frame {n}")
                        item.setText(text.format(name=row["name"], n=row["frame"]))
                else:
                    item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
                table.setItem(r, c, item)
        rowHeight = table.verticalHeader().defaultSectionSize
        shown = min(max(len(rows), 4), len(labels.targets()))
        table.setMinimumHeight(shown * rowHeight + table.horizontalHeader().height + 6)

    def onUndoButton(self, _checked: bool = False) -> None:
        """Bring back what the last run replaced."""
        with slicer.util.tryWithErrorDisplay(_("Undo failed."), waitCursor=True):
            self.logic.undo(self._resultSegmentation)
            self._outcome, self._message = None, _("The replaced segments are back.")
            self._showRows([])
        self.updateGUI()

    def onUpdateTableButton(self, _checked: bool = False) -> None:
        """Measure again, after the user edited the segmentation."""
        with slicer.util.tryWithErrorDisplay(_("The table was not updated."), waitCursor=True):
            rows = self.logic.measure(self._resultSegmentation, self._parameterNode.inputVolume)
            self.logic.writeTable(self._resultSegmentation, rows)
            self._showRows(rows)
        self.updateGUI()

    def onSaveTableButton(self, _checked: bool = False) -> None:
        """Ask for a file and write the table to it."""
        name = f"{self._resultSegmentation.GetName()}.csv" if self._resultSegmentation else ""
        path = qt.QFileDialog.getSaveFileName(
            self.parent, _("Save the table"), name, _("CSV files (*.csv)")
        )
        if path:
            with slicer.util.tryWithErrorDisplay(_("The table was not saved.")):
                self.saveTable(Path(path))

    def saveTable(self, path: Path) -> None:
        """Write the table to `path`; with a byte order mark, so that Excel reads names rightly."""
        text = statistics_table.statistics_csv(self._rows)
        path.write_text(text, encoding="utf-8-sig", newline="")

    # --- batch -------------------------------------------------------------------------------

    def _prepareBatchTable(self) -> None:
        table = self.ui.batchTable
        titles = [_("Case"), _("State"), _("Result")]
        table.setColumnCount(len(titles))
        table.setHorizontalHeaderLabels(titles)
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(20)
        table.horizontalHeader().setStretchLastSection(True)

    def _fillPatients(self) -> None:
        """List the patients of the DICOM database."""
        patients = self.ui.batchPatientList
        patients.blockSignals(True)
        checked = {item.data(qt.Qt.UserRole) for item in self._checkedPatients()}
        patients.clear()
        for uid, name in databasePatients():
            item = qt.QListWidgetItem(name)
            item.setData(qt.Qt.UserRole, uid)
            item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
            item.setCheckState(qt.Qt.Checked if uid in checked else qt.Qt.Unchecked)
            patients.addItem(item)
        patients.blockSignals(False)

    def _checkedPatients(self) -> list:
        patients = self.ui.batchPatientList
        items = [patients.item(row) for row in range(patients.count)]
        return [item for item in items if item.checkState() == qt.Qt.Checked]

    def _reasonNotToBatch(self) -> str:
        node = self._parameterNode
        if not node:
            return _("Choose the scans and an output folder.")
        if node.batchSource is BatchSource.FOLDER and not _chosen(node.batchInput):
            return _("Choose the folder of the scans.")
        if node.batchSource is BatchSource.DATABASE and not self._checkedPatients():
            return _("Check at least one patient.")
        if not _chosen(node.batchOutput):
            return _("Choose the folder for the results.")
        if not self.chosenTargets():
            return _("Check at least one structure.")
        return ""

    def _updateBatchButton(self, _item=None) -> None:
        if self.batch is None or not self._parameterNode:
            return
        ui, running = self.ui, self.batch.running
        reason = self._reasonNotToBatch()
        ui.batchButton.text = _("Cancel") if running else _("Segment all")
        ui.batchButton.enabled = not self.batch.stopping if running else not reason
        ui.batchButton.toolTip = reason
        fromFolder = self._parameterNode.batchSource is BatchSource.FOLDER
        if not fromFolder and ui.batchPatientList.count == 0:
            self._fillPatients()
        for widget in (ui.batchInputLabel, ui.batchInputPathLineEdit):
            widget.visible = fromFolder
        for widget in (ui.batchPatientsLabel, ui.batchPatientList):
            widget.visible = not fromFolder

    def onBatchButton(self, _checked: bool = False) -> None:
        """Start the batch, or stop it after the case that runs."""
        if self.batch.running:
            self.batch.stop()
            return
        try:
            self._ensureInstalled()
            self._startBatch()
        except (FlareError, RuntimeError, OSError) as error:
            self.ui.batchStatusLabel.text = str(error)
            slicer.util.errorDisplay(str(error), windowTitle=_("Batch failed"))

    def _startBatch(self) -> None:
        node = self._parameterNode
        if node.batchSource is BatchSource.FOLDER:
            inputs, studies = [node.batchInput], None
        else:
            uids = [item.data(qt.Qt.UserRole) for item in self._checkedPatients()]
            inputs, studies = databaseFolders(uids)
        chosen = self.chosenTargets()
        settings = BatchSettings(
            output=node.batchOutput,
            targets=None if len(chosen) == len(labels.targets()) else tuple(chosen),
            format="seg.nrrd",
            device=node.device.value,
            model=self._model(),
            json=True,
        )
        # Two networks at once would halve the speed of both, or run out of memory.
        if not self.logic.busy:
            FlareSegmentLogic.stopWorker()
        self.batch.start(inputs, studies, settings)
        self._tick.start()

    def _updateBatch(self) -> None:
        """Show the batch's table, bar and status."""
        ui, batch = self.ui, self.batch
        if batch is None:
            return
        table = batch.table
        ui.batchProgressBar.visible = batch.running
        ui.batchProgressBar.value = round(table.progress.fraction * 100)
        ui.batchTable.visible = bool(table.cases)
        ui.batchTable.setRowCount(len(table.cases))
        states = {
            "waiting": _("waiting"),
            "running": _("running"),
            "done": _("done"),
            "skipped": _("done before"),
            "claimed": _("elsewhere"),
            "failed": _("failed"),
            "stopped": _("not done"),
        }
        for row, case in enumerate(table.cases):
            for column, text in enumerate((case.name, states[case.state], case.message)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                ui.batchTable.setItem(row, column, item)
        ui.batchStatusLabel.text = self._batchText()
        ui.batchStatusLabel.visible = bool(ui.batchStatusLabel.text)
        self._updateBatchButton()

    def _batchText(self) -> str:
        batch, table = self.batch, self.batch.table
        if table.error:
            return table.error.split("\n\n")[0]
        if batch.running and batch.stopping:
            return _("Stopping...")
        done, failed = table.count("done", "skipped"), table.count("failed")
        counts = _("{done} of {all} done").format(done=done, all=len(table.cases))
        if failed:
            counts += _(", {n} failed").format(n=failed)
        if batch.running:
            if not table.cases:
                return _("Looking for scans...")
            left = table.progress.seconds_left
            time = "" if left is None else _(", {time} left").format(time=duration_text(left))
            return counts + time
        if not table.cases:
            return ""
        where = _("Results and statistics.csv are in {folder}.").format(
            folder=self._parameterNode.batchOutput if self._parameterNode else ""
        )
        return f"{counts}. {where}"


def _chosen(path: Path) -> bool:
    """Tell whether a path was chosen: an empty one reads back as the current folder."""
    return str(path) not in ("", ".")


def databasePatients() -> list[tuple[str, str]]:
    """Give identifier and name of each patient in the DICOM database that has CT series."""
    database = getattr(slicer, "dicomDatabase", None)
    if database is None or not database.isOpen:
        return []
    patients = []
    for uid in database.patients():
        name = database.nameForPatient(uid).replace("^", " ").strip()
        patients.append((uid, name or _("No name ({uid})").format(uid=uid)))
    return patients


def databaseFolders(patients: list[str]) -> tuple[list[Path], list[str]]:
    """Give the folders that hold the files of `patients`, and their study instance UIDs."""
    database = slicer.dicomDatabase
    studies = [study for patient in patients for study in database.studiesForPatient(patient)]
    series = [one for study in studies for one in database.seriesForStudy(study)]
    files = [Path(file) for one in series for file in database.filesForSeries(one)]
    return sorted({file.parent for file in files}), list(studies)


def _colorIcon(color: tuple[int, int, int], round_: bool = False):
    """Give a swatch of `color`, a dot when round."""
    pixmap = qt.QPixmap(12, 12)
    pixmap.fill(qt.QColor(0, 0, 0, 0))
    painter = qt.QPainter(pixmap)
    painter.setRenderHint(qt.QPainter.Antialiasing)
    painter.setPen(qt.QColor(0, 0, 0, 90))
    painter.setBrush(qt.QBrush(qt.QColor(*color)))
    radius = 5 if round_ else 2
    painter.drawRoundedRect(1, 1, 10, 10, radius, radius)
    painter.end()
    return qt.QIcon(pixmap)


#
# FlareSegmentLogic
#


class QtProcess:
    """The worker's process on Qt's class: no thread, and its events come with the window's."""

    def __init__(self) -> None:
        self._process = None
        self._listener = None

    @property
    def running(self) -> bool:
        """Whether the process has been started and not yet been reported as finished."""
        return self._process is not None

    def start(self, command, environment, listener) -> None:
        """Start `command`; raise `OSError` when that is not possible."""
        process = qt.QProcess()
        variables = qt.QProcessEnvironment()
        for name, value in environment.items():
            variables.insert(name, value)
        process.setProcessEnvironment(variables)
        process.connect("readyReadStandardOutput()", self._onOutput)
        process.connect("readyReadStandardError()", self._onErrorOutput)
        process.connect("finished(int,QProcess::ExitStatus)", self._onFinished)
        self._process, self._listener = process, listener
        process.start(command[0], list(command[1:]))
        if not process.waitForStarted(10000):
            reason = process.errorString()
            self._process = None
            raise OSError(reason)

    def write(self, data: bytes) -> None:
        """Send bytes to the standard input."""
        if self._process is not None:
            self._process.write(qt.QByteArray(data))

    def end_input(self) -> None:
        """Close the standard input, which asks a worker to leave."""
        if self._process is not None:
            self._process.closeWriteChannel()

    def kill(self) -> None:
        """End the process now. Its child, when it is a launcher, may live on."""
        if self._process is not None:
            self._process.kill()

    def pump(self, seconds: float) -> None:
        """Wait up to `seconds` for output; works without an event loop."""
        if self._process is not None:
            self._process.waitForReadyRead(round(seconds * 1000))

    def _onOutput(self) -> None:
        if self._process is not None:
            self._listener.on_output(self._process.readAllStandardOutput().data())

    def _onErrorOutput(self) -> None:
        if self._process is not None:
            self._listener.on_error_output(self._process.readAllStandardError().data())

    def _onFinished(self, exitCode: int, exitStatus: int) -> None:
        process, listener = self._process, self._listener
        if process is None:
            return
        self._onOutput()
        self._onErrorOutput()
        self._process = None
        process.deleteLater()
        crashed = exitStatus == qt.QProcess.CrashExit
        # Qt gives the signal's number as the code of a crash.
        listener.on_finished(-exitCode if crashed else exitCode)


def workerPython() -> str:
    """Give the interpreter to run the worker with.

    Slicer's own interpreter first, as for Slicer's command-line modules: this process already has
    the environment that the launcher ``PythonSlicer`` would make, and without the launcher there
    is one process less to end.
    """
    for name in ("python-real", "PythonSlicer"):
        path = shutil.which(name)
        if path:
            return path
    return sys.executable


def torchIsInstalled() -> bool:
    """Tell whether the worker will find torch; it is never imported into Slicer itself."""
    return importlib.util.find_spec("torch") is not None


def sequenceBrowserOf(volume):
    """Give the sequence browser that shows `volume` as one of its frames, or None."""
    logic = getattr(slicer.modules, "sequences", None)
    if logic is None:
        return None
    return logic.logic().GetFirstBrowserNodeForProxyNode(volume)


@dataclass
class _Job:
    """A run of the logic: its volumes and what has come back for them."""

    volume: vtkMRMLScalarVolumeNode
    frames: list
    segmentation: vtkMRMLSegmentationNode | None
    targets: list[str] | None
    device: str
    model: Path | None
    browser: vtk.vtkObject | None = None  # its class comes with a module, later than this file
    results: list[LabelMap] = field(default_factory=list)
    geometry: list = field(default_factory=list)


class FlareSegmentLogic(ScriptedLoadableModuleLogic):
    """Segments volumes; works without any window.

    Example::

        volume = slicer.util.loadVolume("scan.nii.gz")
        logic = FlareSegmentLogic()
        segmentation = logic.process(volume, targets=["liver", "spleen"])
        table = logic.statistics(segmentation, volume)
    """

    TARGET_TAG = "FlareSegment.Target"
    REPORT_ATTRIBUTE = "FlareSegment.Report"
    TABLE_ROLE = "FlareSegment.Statistics"

    _client = None
    """The worker, shared by all instances of the logic so that it stays warm."""

    _timer = None
    """Drives the worker's client."""

    batchCommand = None
    """Command line of a batch; Slicer's own Python when None."""

    workerCommand = None
    """Command line of the worker; Slicer's own Python when None."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.onWorkerState = None
        self.onLog = None
        self._job = None
        self._history = None

    def getParameterNode(self):
        """Give the typed parameter node of the module."""
        return FlareSegmentParameterNode(super().getParameterNode())

    # --- the worker --------------------------------------------------------------------------

    def client(self) -> WorkerClient:
        """Give the worker's client; makes it, does not start the process."""
        cls = FlareSegmentLogic
        if cls._client is None:
            cls._client = WorkerClient(
                QtProcess(),
                cls.workerCommand or worker_command(workerPython()),
                exchange_parent=Path(slicer.app.temporaryPath),
            )
            cls._timer = qt.QTimer()
            cls._timer.timeout.connect(cls._onTimer)
        cls._client.on_state = self._onClientState
        cls._client.on_log = self._onClientLog
        return cls._client

    @classmethod
    def stopWorker(cls) -> None:
        """End the worker; the next run starts it again."""
        client, FlareSegmentLogic._client = FlareSegmentLogic._client, None
        if client is not None:
            FlareSegmentLogic._timer.stop()
            client.on_state = client.on_log = None
            client.stop()

    @property
    def workerState(self) -> WorkerState:
        """What the worker is doing."""
        client = FlareSegmentLogic._client
        return client.state if client is not None else WorkerState.STOPPED

    @property
    def busy(self) -> bool:
        """Whether a run that `start` began is going on."""
        return self._job is not None

    @property
    def cancelling(self) -> bool:
        """Whether a run is being cancelled."""
        return self.busy and self.workerState is WorkerState.CANCELLING

    def warmUp(self, model=None, device: str = "auto") -> None:
        """Start the worker and load the model; returns at once."""
        self.client().warm_up(model, device)
        self._timer.start(250)

    @staticmethod
    def _onTimer() -> None:
        client = FlareSegmentLogic._client
        if client is None or client.state in (WorkerState.STOPPED, WorkerState.FAILED):
            FlareSegmentLogic._timer.stop()
        if client is not None:
            client.tick()
            # Quick only while a scan is handed over: each tick writes a piece of it.
            if not client.busy:
                FlareSegmentLogic._timer.setInterval(250)

    def _onClientState(self, state: WorkerState) -> None:
        if self.onWorkerState is not None:
            self.onWorkerState(state)

    def _onClientLog(self, line: str) -> None:
        logging.info("FlareSegment worker: %s", line)
        if self.onLog is not None:
            self.onLog(line)

    def install(self, requirements: str) -> None:
        """Install what is missing, after asking; never numpy or SimpleITK.

        Raises
        ------
        RuntimeError
            When the user declined or the installation failed; the text says what to do by hand.
        """
        try:
            import PyTorchUtils
        except ImportError as error:
            raise RuntimeError(
                _(
                    "PyTorch is needed and is installed by the PyTorch extension, which is not "
                    "there. Install the extension PyTorch in the Extensions Manager, restart "
                    "Slicer, and click Segment again."
                )
            ) from error
        byHand = _(
            "Click Segment to try again. Behind a proxy set HTTPS_PROXY before Slicer starts. By "
            "hand: open the module PyTorch Util and click Install PyTorch."
        )
        with self._constraints() as constraints:
            try:
                torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(
                    askConfirmation=True, torchVersionRequirement=">=2.4"
                )
                slicer.packaging.pip_ensure(
                    slicer.packaging.load_requirements(requirements),
                    constraints=constraints,
                    requester="FlareSegment",
                )
            except Exception as error:  # pip and its helpers raise whatever they like
                raise RuntimeError(
                    _("The installation failed: {error}\n\n{byHand}").format(
                        error=error, byHand=byHand
                    )
                ) from error
        importlib.invalidate_caches()
        if torch is None or not torchIsInstalled():
            raise RuntimeError(_("PyTorch was not installed. {byHand}").format(byHand=byHand))

    @staticmethod
    def _constraints():
        """Give a context with the path of a pip constraints file: Slicer's packages stay."""
        from contextlib import contextmanager
        from importlib.metadata import PackageNotFoundError, version

        @contextmanager
        def file():
            lines = []
            for name in ("numpy", "scipy", "SimpleITK"):
                try:
                    lines.append(f"{name}=={version(name)}\n")
                except PackageNotFoundError:
                    continue
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "constraints.txt"
                path.write_text("".join(lines), encoding="utf-8")
                yield str(path)

        return file()

    # --- runs --------------------------------------------------------------------------------

    def process(
        self,
        inputVolume,
        outputSegmentation=None,
        targets=None,
        device="auto",
        model=None,
        progressCallback=None,
    ):
        """Segment and wait for the result.

        Parameters
        ----------
        inputVolume
            A CT volume, or a sequence browser whose frames are CT volumes.
        outputSegmentation
            Segmentation to add the result to; a new one when None. Its other segments are kept;
            segments of an earlier run are replaced, which `undo` takes back.
        targets
            Keys of the structures, e.g. ``["liver", "spleen"]``; all when None.
        device
            ``"auto"``, ``"cuda"`` or ``"cpu"``.
        model
            Folder of a model bundle; the bundled model when None.
        progressCallback
            Called with a stage and the fraction 0..1 done within it.

        Returns
        -------
        vtkMRMLSegmentationNode
            Under the transform of the volume, in its study.

        Raises
        ------
        FlareError
            With a sentence for the user. Nothing was changed then.
        """
        if self.busy:
            raise WorkerError(_("A segmentation is running. Wait for its end or cancel it first."))
        job = self._prepare(inputVolume, outputSegmentation, targets, device, model)
        for frame in job.frames:
            job.results.append(self.client().run(self._request(job, frame), progressCallback))
        return self._finish(job)

    def start(
        self,
        inputVolume,
        outputSegmentation=None,
        targets=None,
        device="auto",
        model=None,
        onProgress=None,
        onFinished=None,
        onError=None,
    ) -> int:
        """Begin to segment and return at once; parameters as in `process`.

        Parameters
        ----------
        onProgress
            Called with stage, fraction within it, and the number of the frame from 0.
        onFinished
            Called with the segmentation node and the rows of the statistics.
        onError
            Called with a `FlareError`; `Cancelled` after `cancel`.

        Returns
        -------
        int
            Number of volumes to segment: 1, or the frames of the sequence.
        """
        if self.busy:
            raise WorkerError(_("A segmentation is running. Wait for its end or cancel it first."))
        job = self._prepare(inputVolume, outputSegmentation, targets, device, model)

        def fail(error: Exception) -> None:
            self._job = None
            if onError is not None:
                onError(error)
            else:
                logging.error("%s", error)

        def progress(stage: str, fraction: float) -> None:
            if onProgress is not None:
                onProgress(stage, fraction, len(job.results))

        def take(result: LabelMap) -> None:
            job.results.append(result)
            try:
                if len(job.results) < len(job.frames):
                    send()
                    return
                segmentation = self._finish(job)
                rows = self.rowsOf(job)
            except Exception as error:  # shown to the user, whatever it is
                logging.exception("FlareSegment")
                fail(error)
                return
            self._job = None
            if onFinished is not None:
                onFinished(segmentation, rows)

        def send() -> None:
            request = self._request(job, job.frames[len(job.results)])
            self.client().segment(request, progress, take, fail)

        self._job = job
        try:
            send()
        except BaseException:
            self._job = None
            raise
        self._timer.start(20)
        return len(job.frames)

    def cancel(self) -> None:
        """Stop the run that `start` began; its `onError` is told within a second."""
        if self.busy:
            self.client().cancel()

    def _prepare(self, source, segmentation, targets, device, model) -> _Job:
        """Check everything that can be checked before time is spent."""
        browser = None
        if source is None:
            raise InputError(_("No volume was given. Choose a CT volume."))
        if source.IsA("vtkMRMLSequenceBrowserNode"):
            browser = source
            volume, frames = self._framesOf(browser)
        else:
            volume, frames = source, [source]
        for frame in frames:
            _checkVolume(frame, volume.GetName())
        _checkTransform(volume)
        if targets is not None:
            targets = list(labels.parse_targets(list(targets)))
        if segmentation is not None:
            _checkSameTransform(segmentation, volume)
        job = _Job(
            volume=volume,
            frames=frames,
            segmentation=segmentation,
            targets=targets,
            device=device,
            model=Path(model) if model else None,
            browser=browser,
        )
        job.geometry = [_geometry(frame) for frame in frames]
        return job

    @staticmethod
    def _framesOf(browser) -> tuple:
        """Give the volume a sequence browser shows and its frames, not in the scene."""
        nodes = vtk.vtkCollection()
        browser.GetAllProxyNodes(nodes)
        proxies = [nodes.GetItemAsObject(i) for i in range(nodes.GetNumberOfItems())]
        volumes = [node for node in proxies if node.IsA("vtkMRMLScalarVolumeNode")]
        if not volumes:
            raise InputError(
                _("The sequence browser {name} shows no volume.").format(name=browser.GetName())
            )
        sequence = browser.GetSequenceNode(volumes[0])
        frames = [sequence.GetNthDataNode(i) for i in range(sequence.GetNumberOfDataNodes())]
        return volumes[0], frames

    @staticmethod
    def _request(job: _Job, frame) -> SegmentRequest:
        volume = Volume(
            slicer.util.arrayFromVolume(frame), ijkToRas(frame), job.volume.GetName() or ""
        )
        return SegmentRequest(volume, job.targets, job.model, job.device)

    # --- output ------------------------------------------------------------------------------

    def _finish(self, job: _Job):
        """Bring the results into the scene."""
        volume = job.volume
        present = slicer.mrmlScene.IsNodePresent(volume)
        if not present or [_geometry(frame) for frame in job.frames] != job.geometry:
            raise InputError(
                _("The volume was removed or changed while it was segmented. Run again.")
            )
        if job.browser is not None:
            return self._finishSequence(job)
        segmentation = job.segmentation
        if segmentation is None or not slicer.mrmlScene.IsNodePresent(segmentation):
            segmentation = self._newSegmentation(volume)
        else:
            self._saveStateForUndo(segmentation)
        self._writeSegments(segmentation, volume, job.results[0])
        self.writeTable(segmentation, self.rowsOf(job))
        return segmentation

    @staticmethod
    def _newSegmentation(volume):
        name = slicer.mrmlScene.GenerateUniqueName(f"{volume.GetName()} FLARE")
        segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        segmentation.CreateDefaultDisplayNodes()
        _moveToStudyOf(segmentation, volume)
        return segmentation

    def _writeSegments(self, segmentation, volume, result: LabelMap) -> None:
        """Replace the segments of an earlier run by those of `result`, keep all others."""
        container = segmentation.GetSegmentation()
        if container.GetNumberOfSegments() == 0:
            segmentation.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
            segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        for segmentId in self._segmentIds(segmentation, result.targets).values():
            container.RemoveSegment(segmentId)
        found = {row["key"] for row in result.report["statistics"] if row["voxels"]}
        image = _labelImage(result, volume) if found else None
        for key in result.targets:
            if key in found:
                segment = _segment(labels.target_by_key(key), image)
                container.AddSegment(segment, container.GenerateUniqueSegmentID(key))
        report = {k: v for k, v in result.report.items() if k not in ("extent", "statistics")}
        segmentation.SetAttribute(self.REPORT_ATTRIBUTE, json.dumps(report))

    def _finishSequence(self, job: _Job):
        """Make a sequence of segmentations that plays along with the volume's."""
        source = job.browser.GetSequenceNode(job.volume)
        name = slicer.mrmlScene.GenerateUniqueName(f"{job.volume.GetName()} FLARE")
        sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
        sequence.SetIndexName(source.GetIndexName())
        sequence.SetIndexUnit(source.GetIndexUnit())
        sequence.SetIndexType(source.GetIndexType())
        for number, (frame, result) in enumerate(zip(job.frames, job.results, strict=True)):
            segmentation = vtkMRMLSegmentationNode()
            segmentation.SetName(name)
            self._writeSegments(segmentation, frame, result)
            segmentation.SetAndObserveTransformNodeID(None)
            sequence.SetDataNodeAtValue(segmentation, source.GetNthIndexValue(number))
        job.browser.AddSynchronizedSequenceNode(sequence)
        proxy = job.browser.GetProxyNode(sequence)
        proxy.SetName(name)
        proxy.CreateDefaultDisplayNodes()
        proxy.SetAndObserveTransformNodeID(job.volume.GetTransformNodeID())
        proxy.SetNodeReferenceID(proxy.GetReferenceImageGeometryReferenceRole(), job.volume.GetID())
        _moveToStudyOf(proxy, job.volume)
        self.writeTable(proxy, self.rowsOf(job))
        return proxy

    def _segmentIds(self, segmentation, keys) -> dict[str, str]:
        """Give the segments of earlier runs by target; segments made by hand are not touched."""
        container = segmentation.GetSegmentation()
        found = {}
        for number in range(container.GetNumberOfSegments()):
            segmentId = container.GetNthSegmentID(number)
            value = vtk.mutable("")
            tagged = container.GetSegment(segmentId).GetTag(self.TARGET_TAG, value)
            if tagged and (keys is None or str(value) in keys):
                found[str(value)] = segmentId
        return found

    def segmentsToReplace(self, segmentation, targets) -> list[str]:
        """Give the names of the segments that a run with `targets` would replace."""
        container = segmentation.GetSegmentation()
        ids = self._segmentIds(segmentation, targets)
        return [container.GetSegment(segmentId).GetName() for segmentId in ids.values()]

    # --- undo --------------------------------------------------------------------------------

    def _saveStateForUndo(self, segmentation) -> None:
        container = segmentation.GetSegmentation()
        if self._history is None:
            self._history = slicer.vtkSegmentationHistory()
        if self._history.GetSegmentation() is not container:
            self._history.SetSegmentation(container)
        self._history.SaveState()
        # Segment Editor keeps its own history: its Undo button shall work too.
        editorModule = getattr(slicer.modules, "SegmentEditorWidget", None)
        editor = getattr(editorModule, "editor", None)
        if editor is not None and editor.segmentationNode() is segmentation:
            editor.saveStateForUndo()

    def canUndo(self, segmentation) -> bool:
        """Tell whether a run replaced segments of `segmentation`."""
        history = self._history
        return (
            history is not None
            and segmentation is not None
            and history.GetSegmentation() is segmentation.GetSegmentation()
            and bool(history.IsRestorePreviousStateAvailable())
        )

    def forgetUndo(self) -> None:
        """Give back the memory of what could be undone."""
        self._history = None

    def undo(self, segmentation) -> None:
        """Bring back the segments that the last run replaced."""
        if not self.canUndo(segmentation):
            raise InputError(_("There is nothing to undo."))
        self._history.RestorePreviousState()

    # --- statistics --------------------------------------------------------------------------

    @staticmethod
    def rowsOf(job: _Job) -> list[dict]:
        """Give the statistics that came with the results, frame by frame."""
        rows = []
        for number, result in enumerate(job.results):
            frame = {"frame": number + 1} if job.browser is not None else {}
            rows += [{**frame, **row} for row in result.report["statistics"]]
        return rows

    def statistics(self, segmentation, volume):
        """Measure the structures of `segmentation` on `volume` as they are now.

        Returns
        -------
        vtkMRMLTableNode
            Volume in ml, mean and standard deviation in HU; the segmentation's own table.
        """
        return self.writeTable(segmentation, self.measure(segmentation, volume))

    def measure(self, segmentation, volume) -> list[dict]:
        """Give volume and HU of each of our structures in `segmentation`."""
        if segmentation is None or volume is None:
            raise InputError(_("A segmentation and a volume are needed."))
        ct = slicer.util.arrayFromVolume(volume)
        affine = ijkToRas(volume)
        rows = []
        for key, segmentId in self._segmentIds(segmentation, None).items():
            mask, box = _segmentMask(segmentation, segmentId, volume)
            label = labels.target_by_key(key).id
            rows += organ_statistics(mask.astype(np.uint8) * label, ct[box], affine, [key])
        order = [target.key for target in labels.targets()]
        return sorted(rows, key=lambda row: order.index(row["key"]))

    def rowsOfTable(self, segmentation) -> list[dict]:
        """Give the rows of the table of `segmentation` by the titles of its columns."""
        table = self.tableOf(segmentation)
        keys = {title: key for key, title, _places in statistics_table.COLUMNS}
        columns = [table.GetTable().GetColumn(c) for c in range(table.GetNumberOfColumns())]
        return [
            {keys.get(c.GetName(), "frame"): c.GetValue(row) for c in columns}
            for row in range(table.GetNumberOfRows())
        ]

    def tableOf(self, segmentation):
        """Give the table node of `segmentation`, or None."""
        return segmentation.GetNodeReference(self.TABLE_ROLE)

    def reportOf(self, segmentation) -> dict:
        """Give the facts of the run that made `segmentation`."""
        text = segmentation.GetAttribute(self.REPORT_ATTRIBUTE)
        return json.loads(text) if text else {}

    def writeTable(self, segmentation, rows: list[dict]):
        """Put `rows` into the table node of `segmentation`, made when there is none."""
        table = self.tableOf(segmentation)
        if table is None:
            name = f"{segmentation.GetName()} statistics"
            table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", name)
            segmentation.SetNodeReferenceID(self.TABLE_ROLE, table.GetID())
            _moveToStudyOf(table, segmentation)
        table.RemoveAllColumns()
        columns = [(key, title) for key, title, _places in statistics_table.COLUMNS]
        if any("frame" in row for row in rows):
            columns.insert(0, ("frame", "Frame"))
        for key, title in columns:
            column = vtk.vtkStringArray() if key == "name" else vtk.vtkDoubleArray()
            column.SetName(title)
            for row in rows:
                value = row[key]
                column.InsertNextValue(float("nan") if value is None else value)
            table.AddColumn(column)
        table.SetUseColumnTitleAsColumnHeader(True)
        return table


def ijkToRas(volume) -> np.ndarray:
    """Give the ``(4, 4)`` matrix from voxel indices to the volume's own RAS mm.

    Without parent transforms: they are set by the user, for example to register two scans, and
    say nothing about how the patient lay in the scanner.
    """
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def _geometry(volume) -> tuple:
    """Give what must not change while a volume is segmented."""
    image = volume.GetImageData()
    dimensions = image.GetDimensions() if image else None
    return dimensions, tuple(ijkToRas(volume).ravel()), image.GetMTime() if image else None


def _checkVolume(volume, name: str) -> None:
    if volume.IsA("vtkMRMLLabelMapVolumeNode"):
        raise InputError(_("{name} is a label map. Choose a CT volume.").format(name=name))
    image = volume.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        raise InputError(_("{name} is empty. Choose a CT volume.").format(name=name))
    if image.GetNumberOfScalarComponents() != 1:
        raise InputError(
            _("{name} is a color image with {n} values per voxel. Choose a CT volume.").format(
                name=name, n=image.GetNumberOfScalarComponents()
            )
        )


def _checkTransform(volume) -> None:
    transform = volume.GetParentTransformNode()
    if transform is not None and not transform.IsTransformToWorldLinear():
        raise InputError(
            _(
                "{volume} is under the non-linear transform {transform}. Harden the transform "
                "(Data module, right-click on the transform of the volume), then run again."
            ).format(volume=volume.GetName(), transform=transform.GetName())
        )


def _checkSameTransform(segmentation, volume) -> None:
    filled = segmentation.GetSegmentation().GetNumberOfSegments() > 0
    if filled and segmentation.GetTransformNodeID() != volume.GetTransformNodeID():
        raise InputError(
            _(
                "{segmentation} is under another transform than {volume}. Choose a new "
                "segmentation, or put both under the same transform."
            ).format(segmentation=segmentation.GetName(), volume=volume.GetName())
        )


def _labelImage(result: LabelMap, volume):
    """Give the label map as one image that all segments share, cut to what is not background.

    Sharing it takes a tenth of the time and memory of one image per segment, and Slicer treats
    it as its own "layer": an edited segment is given its own image then.
    """
    (k0, k1), (j0, j1), (i0, i1) = result.report["extent"]
    image = slicer.vtkOrientedImageData()
    image.SetExtent(i0, i1 - 1, j0, j1 - 1, k0, k1 - 1)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    scalars = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    scalars.reshape(k1 - k0, j1 - j0, i1 - i0)[:] = result.array[k0:k1, j0:j1, i0:i1]
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    image.SetImageToWorldMatrix(matrix)
    return image


def _segment(target: labels.Target, image):
    """Give a segment for `target` with its name, color and terminology."""
    segment = slicer.vtkSegment()
    segment.SetName(target.name)
    segment.SetNameAutoGenerated(False)
    segment.SetColor(*(value / 255 for value in target.color))
    segment.SetColorAutoGenerated(False)
    segment.AddRepresentation(
        slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName(), image
    )
    segment.SetLabelValue(target.id)
    segment.SetTag(segment.GetTerminologyEntryTagName(), terminology_entry(target))
    segment.SetTag(FlareSegmentLogic.TARGET_TAG, target.key)
    return segment


def _segmentMask(segmentation, segmentId: str, volume) -> tuple:
    """Give a segment as a mask within a box of the volume's grid: ``(mask, slices)``."""
    segment = segmentation.GetSegmentation().GetSegment(segmentId)
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    image = segment.GetRepresentation(name)
    matrix = vtk.vtkMatrix4x4()
    if image is not None:
        image.GetImageToWorldMatrix(matrix)
    onGrid = image is not None and np.allclose(
        slicer.util.arrayFromVTKMatrix(matrix), ijkToRas(volume), atol=1e-6
    )
    size = volume.GetImageData().GetDimensions()
    extent = image.GetExtent() if image is not None else ()
    if onGrid and all(extent[2 * a] >= 0 and extent[2 * a + 1] < size[a] for a in range(3)):
        i0, i1, j0, j1, k0, k1 = extent
        shape = (k1 - k0 + 1, j1 - j0 + 1, i1 - i0 + 1)
        box = (slice(k0, k1 + 1), slice(j0, j1 + 1), slice(i0, i1 + 1))
        if 0 in shape or image.GetPointData().GetScalars() is None:
            return np.zeros((0, 0, 0), bool), (slice(0, 0),) * 3
        scalars = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
        return scalars.reshape(shape) == segment.GetLabelValue(), box
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segmentId, volume)
    return mask > 0, (slice(None),) * 3


def _moveToStudyOf(node, volume) -> None:
    """Put `node` next to `volume` in the subject hierarchy."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    if hierarchy is None:
        return
    parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(volume))
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), parent)


#
# FlareSegmentTest
#


class FlareSegmentTest(ScriptedLoadableModuleTest):
    """Runs the product on a synthetic scan; needs neither network nor GPU."""

    def setUp(self) -> None:
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run all tests."""
        self.setUp()
        if not torchIsInstalled():
            self.delayDisplay("Skipped: PyTorch is not installed.")
            return
        self.test_segments_a_phantom()

    def test_segments_a_phantom(self) -> None:
        """A synthetic abdomen comes back with a liver where it was put."""
        from FlareSegmentLib.phantom.generate import PhantomSettings, make_phantom

        self.delayDisplay("Making a synthetic scan")
        settings = PhantomSettings(seed=1, spacing=(5.0, 3.0, 3.0), bottom_mm=-60, top_mm=130)
        scan, truth = make_phantom(settings)
        volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Phantom")
        slicer.util.updateVolumeFromArray(volume, scan.array)
        volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(scan.affine))
        logic = FlareSegmentLogic()
        segmentation = logic.process(volume, targets=["liver"])
        liver = labels.target_by_key("liver")
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, liver.key, volume) > 0
        expected = truth == liver.id
        overlap = 2 * (mask & expected).sum() / (mask.sum() + expected.sum())
        self.assertGreater(overlap, 0.8)  # noqa: PT009  (Slicer's test classes are unittest's)
        table = logic.statistics(segmentation, volume)
        self.assertEqual(table.GetNumberOfRows(), 1)  # noqa: PT009
        logic.stopWorker()
        self.delayDisplay("Test passed")
