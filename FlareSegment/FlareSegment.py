"""FlareSegment: abdominal organs and tumor in CT, at the push of a button.

What Slicer asks for by name; what it consists of is in FlareSegmentSlicer. What computes is in
FlareSegmentLib, and runs in a child process.
"""

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

from FlareSegmentLib import labels
from FlareSegmentLib.errors import WorkerError
from FlareSegmentLib.worker_client import WorkerState, worker_command
from FlareSegmentSlicer import measurement, result_table, segmentation_output
from FlareSegmentSlicer.job import JobOptions, prepareJob
from FlareSegmentSlicer.job_run import JobRun, RunCallbacks
from FlareSegmentSlicer.panel.batch_section import BatchListeners, BatchSection
from FlareSegmentSlicer.panel.choices import choicesOf
from FlareSegmentSlicer.panel.model_selector import ModelSelector
from FlareSegmentSlicer.panel.result_section import ResultSection
from FlareSegmentSlicer.panel.run_section import RunListeners, RunSection
from FlareSegmentSlicer.panel.target_list import TargetList
from FlareSegmentSlicer.parameter_node import FlareSegmentParameterNode
from FlareSegmentSlicer.roi import fitRoi
from FlareSegmentSlicer.sample_data import registerSampleData
from FlareSegmentSlicer.shared import installation
from FlareSegmentSlicer.shared.installation import torchIsInstalled
from FlareSegmentSlicer.shared.parameter_binding import ParameterBinding
from FlareSegmentSlicer.shared.reloading import forgetPackages
from FlareSegmentSlicer.shared.worker_python import workerPython
from FlareSegmentSlicer.terminology import loadTerminology
from FlareSegmentSlicer.undo import UndoHistory
from FlareSegmentSlicer.worker_owner import WorkerOwner

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


#
# FlareSegmentWidget
#


class FlareSegmentWidget(ScriptedLoadableModuleWidget, ParameterBinding):
    """The panel: joins its sections to the parameter node, leaves the work to the logic."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        ParameterBinding.__init__(self)
        self.logic = None
        self.batch = None
        self._lastChoices = None

    def setup(self) -> None:
        """Build the panel; called when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/FlareSegment.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)

        self.logic = FlareSegmentLogic()
        self.logic.onWorkerState = self._onWorkerState
        self.logic.onLog = self._log
        self._makeSections()
        self.observeScene()
        self.initializeParameterNode()
        self.batch.show()

    def _makeSections(self) -> None:
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

    def cleanup(self) -> None:
        """Leave nothing behind; called when the panel is destroyed."""
        if self.batch is None:  # setup failed before it was made
            return
        self.setParameterNode(None)
        self.batch.stop()
        self.run.stop()
        self.logic.onWorkerState = None
        self.logic.onLog = None
        FlareSegmentLogic.stopWorker()
        self.removeObservers()

    def enter(self) -> None:
        """Warm the worker up while the user is still choosing."""
        self.initializeParameterNode()
        self.models.show(self._parameterNode.modelFolder)
        self._warmUp()

    def onReload(self) -> None:
        """Read all of our files again, for developers; Slicer itself reads only this one."""
        forgetPackages("FlareSegmentSlicer", "FlareSegmentLib")
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller, event) -> None:
        """Let go of nodes that are about to vanish."""
        self.logic.cancel()
        self.logic.forgetUndo()
        ParameterBinding.onSceneStartClose(self, caller, event)

    def onSceneEndClose(self, caller, event) -> None:
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

    def choices(self):
        """Give what is chosen, as `Choices`."""
        return choicesOf(self._parameterNode)

    @property
    def state(self):
        """What the panel shows, as `PanelState`."""
        return self.run.state

    def onParameterNodeModified(self, caller=None, event=None) -> None:
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
        self._resetForeignOutput()
        self.targets.show(node.skippedTargets)
        self.updateGUI()

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
        if self._parameterNode is None:
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

    def _onRoiAdded(self, roi) -> None:
        volume = self.choices().volume
        if volume and volume.GetImageData():
            fitRoi(roi, volume)
            roi.CreateDefaultDisplayNodes()

    def _onModelChosen(self, folder: str | None) -> None:
        if folder is not None:
            self._parameterNode.modelFolder = folder
        self.models.show(self._parameterNode.modelFolder)
        self._warmUp()

    def _onResult(self, segmentation, rows: list[dict]) -> None:
        node = self._parameterNode
        self.results.take(segmentation, rows)
        if node:
            node.outputSegmentation = segmentation
            node.resultTable = self.logic.tableOf(segmentation)

    def _prepareBatch(self) -> None:
        self.run.ensureInstalled()
        # Two networks at once would halve the speed of both, or run out of memory.
        if not self.logic.busy:
            FlareSegmentLogic.stopWorker()

    def _onWorkerState(self, state: WorkerState) -> None:
        self._log(_("Worker: {state}").format(state=state.value))
        self.updateGUI()

    def _log(self, line: str) -> None:
        self.ui.logText.appendPlainText(line)

    def _warmUp(self) -> None:
        if self._parameterNode:
            self.run.warmUp()


#
# FlareSegmentLogic
#


class FlareSegmentLogic(ScriptedLoadableModuleLogic, WorkerOwner):
    """Segments volumes; works without any window.

    Example::

        volume = slicer.util.loadVolume("scan.nii.gz")
        logic = FlareSegmentLogic()
        segmentation = logic.process(volume, targets=["liver", "spleen"])
        table = logic.statistics(segmentation, volume)
    """

    batchCommand = None
    """Command line of a batch; Slicer's own Python when None."""

    install = staticmethod(installation.install)
    segmentsToReplace = staticmethod(segmentation_output.segmentsToReplace)
    reportOf = staticmethod(segmentation_output.reportOf)
    measure = staticmethod(measurement.measure)
    tableOf = staticmethod(result_table.tableOf)
    rowsOfTable = staticmethod(result_table.rowsOfTable)
    writeTable = staticmethod(result_table.writeTable)

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        WorkerOwner.__init__(self)
        self._run = None
        self._undo = UndoHistory()

    def getParameterNode(self):
        """Give the typed parameter node of the module."""
        return FlareSegmentParameterNode(super().getParameterNode())

    @property
    def busy(self) -> bool:
        """Whether a run that `start` began is going on."""
        return self._run is not None

    @property
    def cancelling(self) -> bool:
        """Whether a run is being cancelled."""
        return self.busy and self.workerState is WorkerState.CANCELLING

    # --- runs --------------------------------------------------------------------------------

    def process(
        self,
        inputVolume,
        outputSegmentation=None,
        targets=None,
        device="auto",
        model=None,
        progressCallback=None,
        roi=None,
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
        roi
            Markups ROI outside of which nothing is segmented; the result still is on the grid of
            the volume. One that is turned against the scan is widened along the scan's axes.

        Returns
        -------
        vtkMRMLSegmentationNode
            Under the transform of the volume, in its study.

        Raises
        ------
        FlareError
            With a sentence for the user. Nothing was changed then.
        """
        options = JobOptions(targets, device, model, roi)
        job = self._prepare(inputVolume, outputSegmentation, options)
        while not job.done:
            job.take(self.client().run(job.nextRequest(), progressCallback))
        return segmentation_output.writeJob(job, self._undo)

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
        roi=None,
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
        options = JobOptions(targets, device, model, roi)
        job = self._prepare(inputVolume, outputSegmentation, options)
        run = JobRun(
            job,
            self.client,
            lambda job: segmentation_output.writeJob(job, self._undo),
            self._onRunEnded,
            RunCallbacks(onProgress, onFinished, onError),
        )
        self._run = run
        try:
            run.send()
        except BaseException:
            self._run = None
            raise
        self.sharedWorker().watch(quickly=True)
        return len(job.frames)

    def cancel(self) -> None:
        """Stop the run that `start` began; its `onError` is told within a second."""
        if self.busy:
            self.client().cancel()

    def _prepare(self, source, segmentation, options: JobOptions):
        if self.busy:
            raise WorkerError(_("A segmentation is running. Wait for its end or cancel it first."))
        return prepareJob(source, segmentation, options)

    def _onRunEnded(self) -> None:
        self._run = None

    # --- results -----------------------------------------------------------------------------

    def canUndo(self, segmentation) -> bool:
        """Tell whether a run replaced segments of `segmentation`."""
        return self._undo.canRestore(segmentation)

    def undo(self, segmentation) -> None:
        """Bring back the segments that the last run replaced."""
        self._undo.restore(segmentation)

    def forgetUndo(self) -> None:
        """Give back the memory of what could be undone."""
        self._undo.forget()

    def statistics(self, segmentation, volume):
        """Measure the structures of `segmentation` on `volume` as they are now.

        Returns
        -------
        vtkMRMLTableNode
            Volume in ml, mean and standard deviation in HU; the segmentation's own table.
        """
        return self.writeTable(segmentation, self.measure(segmentation, volume))


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
