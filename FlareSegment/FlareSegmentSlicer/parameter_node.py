"""The module's parameter node."""

import enum
from pathlib import Path

from slicer import (
    vtkMRMLMarkupsROINode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLTableNode,
)
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import parameterNodeWrapper

from .shared.device import Device


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
    roi - The box to look at; the whole volume when none.
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
    roi: vtkMRMLMarkupsROINode
    outputSegmentation: vtkMRMLSegmentationNode
    skippedTargets: list[str]
    device: Device = Device.AUTO
    modelFolder: str = ""
    resultTable: vtkMRMLTableNode
    batchSource: BatchSource = BatchSource.FOLDER
    batchInput: Path = Path()
    batchOutput: Path = Path()
