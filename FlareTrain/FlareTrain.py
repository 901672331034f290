"""FlareTrain: from the scans at hand to a better model, without a terminal.

Slicer's side only: nodes, widgets, tables. What computes is in FlareTrainLib, and runs in processes
that outlive Slicer.
"""

import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import qt
import slicer
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

from FlareSegmentSlicer.shared.chosen_path import isChosen
from FlareSegmentSlicer.shared.device import Device
from FlareSegmentSlicer.shared.parameter_binding import ParameterBinding
from FlareSegmentSlicer.shared.reloading import forgetPackages
from FlareSegmentSlicer.shared.worker_python import workerPython
from FlareTrainLib import run_folder, task_folder
from FlareTrainLib.add_case import NewCase, add_staged_case, make_dataset
from FlareTrainLib.case_view import prepare_view
from FlareTrainLib.model_install import install, installed_at
from FlareTrainLib.refinement_task import REFINEMENT
from FlareTrainLib.run_check import foresee
from FlareTrainLib.run_folder import RunSettings
from FlareTrainLib.task_folder import TaskState
from FlareTrainSlicer.case_loader import CaseLoader, viewKey
from FlareTrainSlicer.case_nodes import nodeSteps
from FlareTrainSlicer.case_staging import stagingSteps
from FlareTrainSlicer.dataset_section import ADDED, CHECK, DatasetSection
from FlareTrainSlicer.jobs import atOnce, inTemporaryFolder
from FlareTrainSlicer.last_dataset import lastDataset, rememberDataset
from FlareTrainSlicer.refinement_section import RefinementSection
from FlareTrainSlicer.result_section import ResultSection
from FlareTrainSlicer.training_section import TrainingSection

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
    device: Device = Device.AUTO
    minutes: Annotated[int, WithinRange(0, 100_000)] = 0


#
# FlareTrainWidget
#


class FlareTrainWidget(ScriptedLoadableModuleWidget, ParameterBinding):
    """The panel: four sections, and what they share. The work is done by processes."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        ParameterBinding.__init__(self)
        self.logic = None
        self.sections = ()
        self.loader = None
        self._data = None
        self._states = {}
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
        self.dataset = DatasetSection(self)
        self.refinement = RefinementSection(self)
        self.training = TrainingSection(self)
        self.result = ResultSection(self)
        self.sections = (self.dataset, self.refinement, self.training, self.result)
        self.observeScene()
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """Leave nothing behind but the trainings, which go on."""
        self._tick.stop()
        for part in (*self.sections, *filter(None, [self.loader])):
            part.cancel()
        self.setParameterNode(None)
        self.removeObservers()

    def onReload(self) -> None:
        """Reload the parts too, not only this file."""
        forgetPackages("FlareTrainSlicer", "FlareTrainLib")
        ScriptedLoadableModuleWidget.onReload(self)

    def enter(self) -> None:
        """Look what happened meanwhile, in the dataset of the last time if none is chosen."""
        self.initializeParameterNode()
        last = lastDataset()
        if last is not None and not isChosen(self.parameterNode.data):
            self.parameterNode.data = last
        self.refreshAll()
        self._tick.start()

    def exit(self) -> None:
        """Stop looking while another module is shown."""
        self._tick.stop()
        ParameterBinding.exit(self)

    def onSceneStartClose(self, caller, event) -> None:
        """Let go of nodes that are about to vanish."""
        if self.loader is not None:
            self.loader.cancel()
        ParameterBinding.onSceneStartClose(self, caller, event)

    def onParameterNodeModified(self, caller=None, event=None) -> None:
        """Show the choices."""
        if not self.parameterNode:
            return
        if self._data != self.data():
            self._data = self.data()
            if self._data is not None:
                rememberDataset(self._data)
            self.refreshAll()
        self.updateGUI()

    # --- what the sections share -------------------------------------------------------------

    @property
    def parameterNode(self):
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
        return loading or any(section.busy for section in self.sections)

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
        self, name: str, label, run: Path | None = None, disagreement: bool = False
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
        """Read the dataset and its runs again."""
        self.dataset.refresh()
        self.refinement.fillSources()
        self.refinement.refresh()
        self.training.fillModels()
        self.training.fillRuns()
        self.refreshTasks()

    def refreshTasks(self) -> None:
        """Look at every process that works for this dataset."""
        data, ui = self.data(), self.ui
        if data is not None:
            self._showTask(data / CHECK, ui.datasetNoteLabel)
            self._showTask(data / REFINEMENT, ui.refinementNoteLabel)
            if self.dataset.adding is not None:
                self._showTask(self.dataset.adding, ui.addNoteLabel)
        self.refreshRun()

    def refreshRun(self) -> None:
        """Look at the chosen run."""
        self.training.refresh()
        self.result.refresh()
        self.updateGUI()

    def _showTask(self, folder: Path, label) -> None:
        """Say what became of a task; look at its result when it has just ended."""
        status = task_folder.status(folder)
        before = self.stateOf(folder)
        self._states[folder] = status.state
        if status.state.alive:
            label.text = {
                CHECK: _("Reading the dataset..."),
                REFINEMENT: _("Labeling and comparing... This goes on when Slicer is closed."),
            }.get(folder.name, _("Writing the case..."))
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
        task_folder.start(run, workerPython())

    @staticmethod
    def stop(run: Path) -> None:
        """Ask a run to save and end; returns at once."""
        task_folder.stop(run)

    @staticmethod
    def status(run: Path):
        """Give the state of a run and how far it is: `TaskStatus`, `RunProgress`."""
        return task_folder.status(run), run_folder.progress(run)

    @staticmethod
    def installedAt(run: Path, place: Path | None = None, name: str = "") -> Path:
        """Give the folder that `install` copies the run's model to."""
        return installed_at(run, place, name)

    @staticmethod
    def install(
        run: Path,
        place: Path | None = None,
        replace: bool = False,
        name: str = "",
        description: str = "",
    ) -> Path:
        """Copy the run's model to where FlareSegment finds it, or to `place`; its folder."""
        return install(run, place, name, description, replace)

    @staticmethod
    def warningOf(settings: RunSettings) -> str:
        """Say why a run will probably fail, "" when nothing is known against it."""
        place = str(settings.data / run_folder.RUNS)
        return foresee({**run_folder.run_arguments(settings), "place": place})

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
        return atOnce(self.addCaseSteps(data, case, volume, segmentation))

    def addCaseSteps(
        self, data: Path, case: NewCase, volume, segmentation
    ) -> Generator[None, None, Path]:
        """Do the same in steps, between which a window lives."""
        folder = data / ADDED / (case.name or "case")
        arguments = yield from stagingSteps(folder, data, case, volume, segmentation)
        task_folder.write_request(folder, "add", arguments)
        self.start(folder)
        return folder

    # --- cases into the scene ----------------------------------------------------------------

    @staticmethod
    def viewRequest(
        data: Path, name: str, run: Path | None = None, disagreement: bool = False
    ) -> dict[str, Any]:
        """Give the arguments of the task that reads a case."""
        return {
            "data": str(data.resolve()),
            "case": name,
            "run": str(run.resolve()) if run else None,
            "disagreement": disagreement,
        }

    @classmethod
    def loadCase(
        cls, data: Path, name: str, run: Path | None = None, disagreement: bool = False
    ) -> tuple:
        """Load a case; the volume, and its segmentations.

        These are what is annotated and what `run` predicted; or, with `disagreement`, the first
        source of pseudo-labels and where the sources differ.
        """
        wanted = cls.viewRequest(data, name, run, disagreement)

        def read(folder: Path) -> tuple:
            prepare_view(folder, wanted)
            return atOnce(nodeSteps(folder, viewKey(wanted)))

        return inTemporaryFolder(read)


#
# FlareTrainTest
#


class FlareTrainTest(ScriptedLoadableModuleTest):
    """Makes a dataset of a synthetic scan and adds a case to it; needs no GPU."""

    def setUp(self) -> None:
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run all tests."""
        self.setUp()
        self.test_a_drawn_liver_becomes_a_case()

    def test_a_drawn_liver_becomes_a_case(self) -> None:
        """A synthetic scan and its liver are loaded, added as a case, and read back the same."""
        from FlareSegmentLib.phantom import PhantomSettings, make_phantom
        from FlareSegmentLib.reading import read_label_map
        from FlareTrainLib.add_case import add_case

        self.delayDisplay("Making a synthetic scan")
        scan, truth = make_phantom(PhantomSettings(seed=1))
        with tempfile.TemporaryDirectory() as text:
            data = Path(text) / "dataset"
            make_dataset(data)
            add_case(data, NewCase("phantom", (1,)), scan, truth)
            volume, (segmentation,) = FlareTrainLogic.loadCase(data, "phantom")
            folder, case = Path(text) / "staged", NewCase("again", (1,))
            steps = stagingSteps(folder, data, case, volume, segmentation)
            add_staged_case(folder, atOnce(steps))
            written, _affine = read_label_map(data / "labelsTr" / "again.nii.gz")
        self.assertTrue(np.array_equal(written == 1, truth == 1))  # noqa: PT009
        self.delayDisplay("Test passed")
