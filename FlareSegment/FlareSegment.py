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
    ScriptedLoadableModuleWidget,
)

from FlareSegmentLib.errors import WorkerError
from FlareSegmentLib.worker_state import WorkerState
from FlareSegmentSlicer import measurement, result_table, segmentation_output, self_test
from FlareSegmentSlicer.job import JobOptions, prepareJob
from FlareSegmentSlicer.job_run import JobRun, RunCallbacks
from FlareSegmentSlicer.panel.panel import Panel
from FlareSegmentSlicer.parameter_node import FlareSegmentParameterNode
from FlareSegmentSlicer.sample_data import registerSampleData
from FlareSegmentSlicer.shared import installation
from FlareSegmentSlicer.shared.reloading import forgetPackages
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
        self.parent.title = _("FLARE Abdomen Segmentation")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Markups", "Segmentations", "Sequences", "Terminologies"]
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


class FlareSegmentWidget(ScriptedLoadableModuleWidget, Panel):
    """The panel as Slicer makes, enters and ends it; what is in it is in `Panel`.

    Slicer's base class calls `Panel.__init__`, and without a parent `setup` after it: to call the
    former once more would forget what the latter made.
    """

    def setup(self) -> None:
        """Build the panel; called when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/FlareSegment.ui"))
        self.layout.addWidget(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.fill(slicer.util.childWidgetVariables(uiWidget), FlareSegmentLogic())

    def cleanup(self) -> None:
        """Leave nothing behind; called when the panel is destroyed."""
        self.end()

    def enter(self) -> None:
        """Warm the worker up while the user is still choosing."""
        self.begin()

    def exit(self) -> None:
        """Stop following the scene while another module is shown."""
        Panel.exit(self)

    def onReload(self) -> None:
        """Read all of our files again, for developers; Slicer itself reads only this one."""
        forgetPackages("FlareSegmentSlicer", "FlareSegmentLib")
        ScriptedLoadableModuleWidget.onReload(self)


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
        ScriptedLoadableModuleLogic.__init__(self)  # calls WorkerOwner's, too
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
        reason = installation.reasonNotToRun()
        if reason:
            raise WorkerError(reason)
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


class FlareSegmentTest(self_test.SelfTest):
    """The module's own test; what it does is in `SelfTest`."""

    logicClass = FlareSegmentLogic
