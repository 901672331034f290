"""The panel: its sections joined to the parameter node."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from FlareSegmentLib.panel_state import PanelState
from FlareSegmentLib.worker_command import worker_command
from FlareSegmentLib.worker_state import WorkerState

from ..roi import fitRoi
from ..shared.parameter_binding import ParameterBinding
from ..shared.worker_python import workerPython
from .batch_section import BatchListeners, BatchSection
from .choices import Choices, choicesOf
from .model_selector import ModelSelector
from .result_section import ResultSection
from .run_section import RunListeners, RunSection
from .target_list import TargetList


class Panel(ParameterBinding):
    """Mixin of the module's widget: what is in the panel; the work is left to the logic."""

    def __init__(self) -> None:
        ParameterBinding.__init__(self)
        self.batch: BatchSection | None = None
        self._lastChoices: tuple[Any, ...] | None = None

    def fill(self, ui: Any, logic: Any) -> None:
        """Join the widgets `ui` with the logic; for the widget's `setup`."""
        self.ui, self.logic = ui, logic
        logic.onWorkerState = self._onWorkerState
        logic.onLog = self._log
        self.targets = TargetList(self.ui, self._onSkippedTargets)
        self.models = ModelSelector(self.ui, self.parent, self._onModelChosen)
        self.run = RunSection(
            self.ui,
            self.logic,
            RunListeners(self.choices, self.updateGUI, self._onResult, self._warmUp, self._log),
        )
        self.results = ResultSection(
            self.ui,
            self.logic,
            lambda: self.choices().volume,
            self.run.say,
            self.updateGUI,
        )
        self.ui.roiSelector.connect("nodeAddedByUser(vtkMRMLNode*)", self._onRoiAdded)
        self.batch = BatchSection(
            self.ui,
            self.logic.batchCommand
            or worker_command(workerPython(), "FlareSegmentLib.batch_worker"),
            BatchListeners(
                lambda: self._parameterNode, self.choices, self._prepareBatch, self._log
            ),
        )
        self.models.show("")
        self.observeScene()
        self.initializeParameterNode()
        self.batch.show()

    def begin(self) -> None:
        """Follow the scene and warm the worker up; for the widget's `enter`."""
        self.initializeParameterNode()
        self.models.show(self._parameterNode.modelFolder)
        self._warmUp()

    def end(self) -> None:
        """Leave nothing behind; for the widget's `cleanup`."""
        if self.batch is None:  # setup failed before it was made
            return
        self.setParameterNode(None)
        self.batch.stop()
        self.run.stop()
        self.logic.onWorkerState = None
        self.logic.onLog = None
        self.logic.stopWorker()
        self.removeObservers()

    # --- the scene ---------------------------------------------------------------------------

    def onSceneStartClose(self, caller: Any, event: Any) -> None:
        """Let go of nodes that are about to vanish."""
        self.logic.cancel()
        self.logic.forgetUndo()
        ParameterBinding.onSceneStartClose(self, caller, event)

    def onSceneEndClose(self, caller: Any, event: Any) -> None:
        """Begin anew in the empty scene."""
        self.run.say("")
        self.results.take(None, [])
        ParameterBinding.onSceneEndClose(self, caller, event)
        self.updateGUI()

    def initializeParameterNode(self) -> None:
        """Follow the scene's parameter node; preselect the first volume."""
        ParameterBinding.initializeParameterNode(self)
        if not self._parameterNode.inputVolume:
            volume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if volume:
                self._parameterNode.inputVolume = volume

    # --- choices and state -------------------------------------------------------------------

    def choices(self) -> Choices:
        """Give what is chosen."""
        return choicesOf(self._parameterNode)

    @property
    def state(self) -> PanelState:
        """What the panel shows."""
        return self.run.state

    def onParameterNodeModified(self, caller: Any = None, event: Any = None) -> None:
        """Show the choices; a new choice ends the display of the last outcome."""
        node = self._parameterNode
        if not node:
            return
        choices = (
            node.inputVolume,
            node.roi,
            tuple(node.skippedTargets),
            node.modelFolder,
            node.device,
        )
        if self._lastChoices != choices:
            self._lastChoices = choices
            if not self.logic.busy:
                self.run.forgetOutcome()
        self._forgetRemovedResult()
        self._resetForeignOutput()
        self.targets.show(node.skippedTargets)
        self.updateGUI()

    def _forgetRemovedResult(self) -> None:
        """Show no result whose segmentation the user has removed from the scene."""
        segmentation = self.results.segmentation
        if segmentation is not None and not slicer.mrmlScene.IsNodePresent(segmentation):
            self.results.take(None, [])

    def _resetForeignOutput(self) -> None:
        """Go back to a new segmentation when the one made here belongs to another volume."""
        node = self._parameterNode
        output, volume = node.outputSegmentation, node.inputVolume
        if not output or not volume or output is not self.results.segmentation:
            return
        role = output.GetReferenceImageGeometryReferenceRole()
        if output.GetNodeReferenceID(role) != volume.GetID():
            node.outputSegmentation = None

    def updateGUI(self) -> None:
        """Bring all sections in line with the state."""
        if self._parameterNode is None or self.batch is None:
            return
        ui, busy = self.ui, self.state.busy
        for widget in (
            ui.inputsCollapsibleButton,
            ui.outputsCollapsibleButton,
            ui.advancedCollapsibleButton,
        ):
            widget.enabled = not busy
        ui.allFramesCheckBox.visible = self.choices().browser is not None
        self.run.show()
        self.results.showButtons(running=self.logic.busy)
        self.batch.showButton()

    # --- what the sections tell --------------------------------------------------------------

    def _onSkippedTargets(self, skipped: list[str]) -> None:
        if self._parameterNode:
            self._parameterNode.skippedTargets = skipped

    def _onRoiAdded(self, roi: Any) -> None:
        volume = self.choices().volume
        if volume and volume.GetImageData():
            fitRoi(roi, volume)
            roi.CreateDefaultDisplayNodes()

    def _onModelChosen(self, folder: str | None) -> None:
        if folder is not None:
            self._parameterNode.modelFolder = folder
        self.models.show(self._parameterNode.modelFolder)
        self._warmUp()

    def _onResult(self, segmentation: Any, rows: list[dict[str, Any]]) -> None:
        node = self._parameterNode
        self.results.take(segmentation, rows)
        if node:
            node.outputSegmentation = segmentation
            node.resultTable = self.logic.tableOf(segmentation)

    def _prepareBatch(self) -> None:
        self.run.ensureInstalled()
        # Two networks at once would halve the speed of both, or run out of memory.
        if not self.logic.busy:
            self.logic.stopWorker()

    def _onWorkerState(self, state: WorkerState) -> None:
        self._log(_("Worker: {state}").format(state=state.value))
        self.updateGUI()

    def _log(self, line: str) -> None:
        self.ui.logText.appendPlainText(line)

    def _warmUp(self) -> None:
        if self._parameterNode:
            self.run.warmUp()
