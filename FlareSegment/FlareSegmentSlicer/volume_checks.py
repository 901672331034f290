"""What a volume and a segmentation must be, looked at before time is spent."""

from __future__ import annotations

from typing import Any

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _

from FlareSegmentLib.errors import InputError

from .shared.volume_nodes import ijkToRas


def checkVolume(volume: vtkMRMLScalarVolumeNode, name: str) -> None:
    """Raise `InputError` unless `volume` holds one value per voxel and is no label map."""
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


def checkTransform(volume: vtkMRMLScalarVolumeNode) -> None:
    """Raise `InputError` for a volume under a non-linear transform."""
    transform = volume.GetParentTransformNode()
    if transform is not None and not transform.IsTransformToWorldLinear():
        raise InputError(
            _(
                "{volume} is under the non-linear transform {transform}. Harden the transform "
                "(Data module, right-click on the transform of the volume), then run again."
            ).format(volume=volume.GetName(), transform=transform.GetName())
        )


def checkSameTransform(
    segmentation: vtkMRMLSegmentationNode, volume: vtkMRMLScalarVolumeNode
) -> None:
    """Raise `InputError` for a filled segmentation under another transform than the volume."""
    filled = segmentation.GetSegmentation().GetNumberOfSegments() > 0
    if filled and segmentation.GetTransformNodeID() != volume.GetTransformNodeID():
        raise InputError(
            _(
                "{segmentation} is under another transform than {volume}. Choose a new "
                "segmentation, or put both under the same transform."
            ).format(segmentation=segmentation.GetName(), volume=volume.GetName())
        )


def fingerprint(volume: vtkMRMLScalarVolumeNode) -> tuple[Any, ...]:
    """Give what must not change while a volume is segmented."""
    image = volume.GetImageData()
    dimensions = image.GetDimensions() if image else None
    return dimensions, tuple(ijkToRas(volume).ravel()), image.GetMTime() if image else None
