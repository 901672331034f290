"""A scan and its segments from the scene, written in steps for the process that makes a case."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from FlareSegmentLib import labels
from FlareSegmentLib.errors import InputError, OutputError
from FlareSegmentLib.exchange import ArrayWriter
from FlareSegmentSlicer.shared.target_tag import targetOf
from FlareSegmentSlicer.shared.volume_nodes import ijkToRas
from FlareTrainLib.add_case import SCAN, NewCase, check_name, staged_arguments
from FlareTrainLib.staged_layers import StagedLayer

_SLAB_BYTES = 2 * 2**20


def stagingSteps(
    folder: Path, data: Path, case: NewCase, volume: Any, segmentation: Any
) -> Generator[None, None, dict[str, Any]]:
    """Write what is needed into `folder`; the arguments of the task "add".

    Raises
    ------
    InputError
        When the name or the nodes cannot be used, or they were changed meanwhile.
    OutputError
        When the folder cannot be written.
    """
    check_name(data, case)
    found = _checkedSegments(case, volume, segmentation)
    before = _changeTimes(volume, segmentation)
    layers: list[StagedLayer] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield from _write(folder / SCAN, slicer.util.arrayFromVolume(volume))
        files: dict[str, str] = {}
        for target in labels.targets():
            if target.key in found:
                name = found[target.key]
                layer = yield from _layerSteps(folder, files, volume, segmentation, name, target.id)
                layers.append(layer)
        if _changeTimes(volume, segmentation) != before:
            raise InputError(
                _("Scan or segmentation were changed while they were read. Try again.")
            )
    except BaseException as error:
        # Half a scan of gigabytes must not be left: on a disk that is full, when Slicer is closed.
        shutil.rmtree(folder, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise OutputError(
            _("{folder} cannot be written ({reason}). Make room, and try again.").format(
                folder=folder, reason=error.strerror or error
            )
        ) from error
    return staged_arguments(data, case, ijkToRas(volume), layers)


def segmentTargets(segmentation: Any) -> dict[str, str]:
    """Give the segment of each target: by FlareSegment's mark, identifier or name."""
    container = segmentation.GetSegmentation()
    found: dict[str, str] = {}
    known = {target.name.lower(): target.key for target in labels.targets()}
    known |= {target.key: target.key for target in labels.targets()}
    for number in range(container.GetNumberOfSegments()):
        segmentId = container.GetNthSegmentID(number)
        segment = container.GetSegment(segmentId)
        words = (targetOf(segment), segmentId.lower(), segment.GetName().lower())
        key = next((known[word] for word in words if word in known), None)
        if key is not None:
            found.setdefault(key, segmentId)
    return found


def _checkedSegments(case: NewCase, volume: Any, segmentation: Any) -> dict[str, str]:
    """Give the segments that are structures, or say why this cannot be a case."""
    if not case.annotated:
        raise InputError(
            _("Check at least one structure that was annotated: what a person drew or corrected.")
        )
    if volume.GetImageData() is None or volume.GetImageData().GetNumberOfPoints() == 0:
        raise InputError(_("{name} is empty. Choose a CT volume.").format(name=volume.GetName()))
    if segmentation.GetTransformNodeID() != volume.GetTransformNodeID():
        raise InputError(
            _("Volume and segmentation are under different transforms. Put both under one.")
        )
    found = segmentTargets(segmentation)
    if not found:
        raise InputError(
            _(
                "None of the segments has the name of a structure. Name them like FLARE Abdomen "
                "Segmentation does: Liver, Right kidney, ..."
            )
        )
    return found


def _write(path: Path, array: np.ndarray) -> Generator[None, None, None]:
    writer = ArrayWriter(path, array, _SLAB_BYTES)
    try:
        while not writer.done:
            writer.step()
            yield
    finally:
        writer.close()


def _layerSteps(
    folder: Path,
    files: dict[str, str],
    volume: Any,
    segmentation: Any,
    segmentId: str,
    target: int,
) -> Generator[None, None, StagedLayer]:
    """Write the image of a segment, once for all that share it.

    A segment that was drawn on the scan lies on its grid. Any other is brought there by the
    process that makes the case.
    """
    segment = segmentation.GetSegmentation().GetSegment(segmentId)
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    image = segment.GetRepresentation(name)
    if image is None:
        layer = yield from _surfaceSteps(folder, files, volume, segmentation, segmentId, target)
        return layer
    if image.GetNumberOfPoints() == 0:
        return StagedLayer("", ((0, 0),) * 3, 1, target)
    i0, i1, j0, j1, k0, k1 = image.GetExtent()
    extent = ((k0, k1 + 1), (j0, j1 + 1), (i0, i1 + 1))
    known = image.GetAddressAsString("vtkImageData")
    if known not in files:
        files[known] = f"segment_{len(files)}.npy"
        scalars = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
        array = scalars.reshape([end - first for first, end in extent])
        yield from _write(folder / files[known], array)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    affine = slicer.util.arrayFromVTKMatrix(matrix)
    own = np.allclose(affine, ijkToRas(volume), atol=1e-6)
    rows = () if own else tuple(tuple(map(float, row)) for row in affine)
    return StagedLayer(files[known], extent, segment.GetLabelValue(), target, rows)


def _surfaceSteps(
    folder: Path,
    files: dict[str, str],
    volume: Any,
    segmentation: Any,
    segmentId: str,
    target: int,
) -> Generator[None, None, StagedLayer]:
    """Write a segment that has no voxels: a surface, as from an STL file.

    The process that makes the case fills it: Slicer would, in one go, while the window waits.
    """
    name, nothing = f"segment_{len(files)}", ((0, 0),) * 3
    surface = _surfaceOf(segmentation.GetSegmentation().GetSegment(segmentId))
    if surface is None or surface.GetNumberOfStrips() > 0:
        # Something that Slicer only knows how to fill, such as contours without a surface.
        files[segmentId] = f"{name}.npy"
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segmentId, volume)
        yield
        yield from _write(folder / files[segmentId], mask)
        return StagedLayer(files[segmentId], tuple((0, n) for n in mask.shape), 1, target)
    if surface.GetNumberOfPolys() == 0:
        return StagedLayer("", nothing, 1, target)
    files[segmentId], polygons = f"{name}.npy", f"{name}_polygons.npy"
    numbers = vtk.vtkIdTypeArray()
    surface.GetPolys().ExportLegacyFormat(numbers)
    yield
    points = vtk.util.numpy_support.vtk_to_numpy(surface.GetPoints().GetData())
    yield from _write(folder / files[segmentId], points)
    yield from _write(folder / polygons, vtk.util.numpy_support.vtk_to_numpy(numbers))
    return StagedLayer(files[segmentId], nothing, 1, target, polygons=polygons)


def _surfaceOf(segment: Any) -> Any:
    name = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    return segment.GetRepresentation(name)


def _changeTimes(volume: Any, segmentation: Any) -> tuple:
    """Give what grows when scan or segments are changed."""
    container = segmentation.GetSegmentation()
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segments = [container.GetNthSegment(n) for n in range(container.GetNumberOfSegments())]
    drawn = [segment.GetRepresentation(name) or _surfaceOf(segment) for segment in segments]
    times = [image.GetMTime() for image in drawn if image is not None]
    return volume.GetImageData().GetMTime(), tuple(times)
