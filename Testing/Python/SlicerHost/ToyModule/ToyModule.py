"""A small scripted module in the shape of Slicer's current template, for the host's own tests."""

import enum
from typing import Annotated

import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import *  # noqa: F403
from slicer.util import VTKObservationMixin


class ToyModule(ScriptedLoadableModule):  # noqa: F405
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)  # noqa: F405
        self.parent.title = _("Toy module")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Examples")]
        self.parent.dependencies = []
        self.parent.contributors = ["Nobody"]
        self.parent.helpText = _("Help")
        self.parent.acknowledgementText = _("Thanks")
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData():
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="Toy",
        sampleName="Toy1",
        uris="file:///none",
        fileNames="toy.nrrd",
        nodeNames="Toy1",
        checksums=None,
    )


class Device(enum.Enum):
    AUTO = "auto"
    CPU = "cpu"


@parameterNodeWrapper
class ToyModuleParameterNode:
    inputVolume: vtkMRMLScalarVolumeNode
    threshold: Annotated[float, WithinRange(-100, 200)] = 100
    invert: bool = False
    device: Device = Device.AUTO
    targets: list[str]
    outputSegmentation: vtkMRMLSegmentationNode


class ToyModuleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):  # noqa: F405
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)  # noqa: F405
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self.log = []

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)  # noqa: F405
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/ToyModule.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = ToyModuleLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.ui.applyButton.connect("clicked(bool)", self.onApplyButton)
        self.initializeParameterNode()

    def cleanup(self):
        self.log.append("cleanup")
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self):
        self.log.append("enter")
        self.initializeParameterNode()

    def exit(self):
        self.log.append("exit")
        self.setParameterNode(None)

    def onSceneStartClose(self, caller, event):
        self.log.append("start close")
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event):
        self.log.append("end close")
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            first = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if first:
                self._parameterNode.inputVolume = first

    def setParameterNode(self, inputParameterNode):
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(
                self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._checkCanApply
            )
        self._parameterNode = inputParameterNode
        if self._parameterNode:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._checkCanApply)
            self._checkCanApply()

    def _checkCanApply(self, caller=None, event=None):
        ready = bool(self._parameterNode and self._parameterNode.inputVolume)
        self.ui.applyButton.enabled = ready
        self.ui.applyButton.toolTip = _("Go") if ready else _("Choose a volume")

    def onApplyButton(self):
        with slicer.util.tryWithErrorDisplay(_("Failed."), waitCursor=True):
            self.logic.process(self._parameterNode.inputVolume)
            self.log.append("applied")


class ToyModuleLogic(ScriptedLoadableModuleLogic):  # noqa: F405
    def getParameterNode(self):
        return ToyModuleParameterNode(super().getParameterNode())

    def process(self, volume):
        if slicer.util.arrayFromVolume(volume).max() == 0:
            raise ValueError("The volume is empty.")


class ToyModuleTest(ScriptedLoadableModuleTest):  # noqa: F405
    def test_process(self):
        self.delayDisplay("testing")
        with self.assertRaises(ValueError):
            volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
            import numpy as np

            slicer.util.updateVolumeFromArray(volume, np.zeros((2, 2, 2)))
            ToyModuleLogic().process(volume)
