"""A markups ROI as the box that limits a segmentation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.region import box_of_corners, corners_of, is_rotated
from FlareSegmentLib.windows import Box

from .shared.volume_nodes import ijkToRas


@dataclass(frozen=True)
class RoiBox:
    """The voxels of a volume that lie in an ROI.

    Attributes
    ----------
    box
        Slices (k, j, i).
    note
        A sentence for the user about what was limited, and how.
    """

    box: Box
    note: str


def roiBox(
    roi: vtkMRMLMarkupsROINode, volume: vtkMRMLScalarVolumeNode, shown: vtkMRMLScalarVolumeNode
) -> RoiBox:
    """Give the voxels of `volume` in `roi`, both where they are seen in the world.

    Parameters
    ----------
    roi
        A box, also one that is turned or under a linear transform.
    volume
        The volume, or a frame of a sequence.
    shown
        The node in the scene under whose transform `volume` is seen.

    Raises
    ------
    InputError
        When the ROI is not placed, is turned inside out, or holds no voxel.
    """
    name = roi.GetName()
    size = np.array(roi.GetSize())
    if not (size > 0).all():
        raise InputError(
            _("The box {name} has no size yet. Place it in the views, or choose none.").format(
                name=name
            )
        )
    if roi.GetInsideOut():
        raise InputError(
            _("The box {name} is turned inside out. Switch that off in the module Markups.").format(
                name=name
            )
        )
    corners = corners_of(slicer.util.arrayFromVTKMatrix(roi.GetObjectToWorldMatrix()), size)
    affine = _toWorld(shown) @ ijkToRas(volume)
    box = box_of_corners(corners, affine, volume.GetImageData().GetDimensions()[::-1])
    note = _("Only the box {name} was looked at.").format(name=name)
    if is_rotated(corners, affine):
        note = _(
            "Only the box {name} was looked at; it is turned against the scan, so the box along "
            "the scan's own axes around it was taken."
        ).format(name=name)
    return RoiBox(box, note)


def fitRoi(roi: vtkMRMLMarkupsROINode, volume: vtkMRMLScalarVolumeNode) -> None:
    """Lay `roi` around `volume`, along its axes, for the user to make it smaller."""
    size = np.array(volume.GetImageData().GetDimensions(), float)
    affine = ijkToRas(volume)
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    matrix = np.eye(4)
    matrix[:3, :3] = affine[:3, :3] / lengths
    matrix[:3, 3] = (affine @ [*(size - 1) / 2, 1])[:3]
    roi.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    roi.SetAndObserveObjectToNodeMatrix(slicer.util.vtkMatrixFromArray(matrix))
    roi.SetSize(*(size * lengths))


def _toWorld(volume: vtkMRMLScalarVolumeNode) -> np.ndarray:
    """The ``(4, 4)`` matrix of the linear transform that a volume is under."""
    matrix = vtk.vtkMatrix4x4()
    transform = volume.GetParentTransformNode()
    if transform is not None:
        transform.GetMatrixTransformToWorld(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)
