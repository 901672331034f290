"""FlareTrain: from the scans at hand to a better model, without a terminal.

What Slicer asks of a module file. The panel and what it does are in FlareTrainSlicer; what computes
is in FlareTrainLib, and runs in processes that outlive Slicer.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
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

from FlareSegmentSlicer.shared.device import Device
from FlareSegmentSlicer.shared.reloading import forgetPackages
from FlareTrainLib.add_case import NewCase, add_staged_case, make_dataset
from FlareTrainLib.run_folder import RunSettings
from FlareTrainSlicer.case_staging import stagingSteps
from FlareTrainSlicer.panel import TrainingPanel
from FlareTrainSlicer.steps import atOnce
from FlareTrainSlicer.training_logic import TrainingLogic

__all__ = ["FlareTrain", "FlareTrainLogic", "FlareTrainTest", "FlareTrainWidget", "RunSettings"]

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


class FlareTrainWidget(ScriptedLoadableModuleWidget, TrainingPanel):
    """The panel as Slicer makes, enters and ends it; what is in it is in `TrainingPanel`."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        TrainingPanel.__init__(self)

    def setup(self) -> None:
        """Build the panel; called when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/FlareTrain.ui"))
        self.layout.addWidget(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.fill(slicer.util.childWidgetVariables(uiWidget), FlareTrainLogic())

    def cleanup(self) -> None:
        """Leave nothing behind but the trainings, which go on."""
        self.end()

    def enter(self) -> None:
        """Look what happened meanwhile."""
        self.begin()

    def exit(self) -> None:
        """Stop looking while another module is shown."""
        TrainingPanel.exit(self)

    def onReload(self) -> None:
        """Read all of our files again, for developers; Slicer itself reads only this one."""
        forgetPackages("FlareTrainSlicer", "FlareTrainLib")
        ScriptedLoadableModuleWidget.onReload(self)


#
# FlareTrainLogic
#


class FlareTrainLogic(ScriptedLoadableModuleLogic, TrainingLogic):
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
        scan, truth = make_phantom(PhantomSettings(seed=1, spacing=(5.0, 3.0, 3.0)))
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
