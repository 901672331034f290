"""Volume nodes as the engine sees them."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode

from FlareSegmentLib.volume import Volume


def ijkToRas(volume: vtkMRMLScalarVolumeNode) -> np.ndarray:
    """Give the ``(4, 4)`` matrix from voxel indices to the volume's own RAS mm.

    Without parent transforms: they are set by the user, for example to register two scans, and
    say nothing about how the patient lay in the scanner.
    """
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def engineVolume(volume: vtkMRMLScalarVolumeNode, name: str | None = None) -> Volume:
    """Give the voxels (a view) and their place, with the node's name when `name` is None."""
    array = slicer.util.arrayFromVolume(volume)
    return Volume(array, ijkToRas(volume), (volume.GetName() or "") if name is None else name)
