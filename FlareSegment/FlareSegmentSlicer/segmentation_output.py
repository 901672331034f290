"""Results into the scene: segmentations, or a sequence of them, with their tables."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import slicer
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode

from FlareSegmentLib import labels
from FlareSegmentLib.volume import LabelMap

from .job import Job
from .result_table import writeTable
from .segments import labelImage, newSegment
from .shared.target_tag import segmentIdsByTarget
from .subject_hierarchy import moveToStudyOf
from .undo import UndoHistory

REPORT_ATTRIBUTE = "FlareSegment.Report"
"""Attribute of a segmentation node with the facts of the run that made it, JSON."""


def writeJob(job: Job, undo: UndoHistory) -> vtkMRMLSegmentationNode:
    """Bring the results of `job` into the scene.

    Raises
    ------
    InputError
        When the volume has been removed or changed meanwhile; the scene is as it was then.
    """
    job.checkUnchanged()
    if job.browser is not None:
        return _writeSequence(job)
    segmentation = job.segmentation
    if segmentation is None or not slicer.mrmlScene.IsNodePresent(segmentation):
        segmentation = _newSegmentation(job.volume)
    else:
        undo.save(segmentation)
    _writeSegments(segmentation, job.volume, job.results[0])
    writeTable(segmentation, job.rows())
    return segmentation


def segmentsToReplace(
    segmentation: vtkMRMLSegmentationNode, targets: Collection[str] | None
) -> list[str]:
    """Give the names of the segments that a run with `targets` would replace."""
    container = segmentation.GetSegmentation()
    ids = _ownSegmentIds(segmentation, targets)
    return [container.GetSegment(segmentId).GetName() for segmentId in ids]


def reportOf(segmentation: vtkMRMLSegmentationNode) -> dict[str, Any]:
    """Give the facts of the run that made `segmentation`, {} for others."""
    text = segmentation.GetAttribute(REPORT_ATTRIBUTE)
    return json.loads(text) if text else {}


def _ownSegmentIds(
    segmentation: vtkMRMLSegmentationNode, targets: Collection[str] | None
) -> list[str]:
    """Segments of earlier runs; those made by hand are never among them."""
    found = segmentIdsByTarget(segmentation)
    return [found[key] for key in found if targets is None or key in targets]


def _newSegmentation(volume: vtkMRMLScalarVolumeNode) -> vtkMRMLSegmentationNode:
    name = slicer.mrmlScene.GenerateUniqueName(f"{volume.GetName()} FLARE")
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    segmentation.CreateDefaultDisplayNodes()
    moveToStudyOf(segmentation, volume)
    return segmentation


def _writeSegments(
    segmentation: vtkMRMLSegmentationNode, volume: vtkMRMLScalarVolumeNode, result: LabelMap
) -> None:
    """Replace the segments of an earlier run by those of `result`, keep all others."""
    container = segmentation.GetSegmentation()
    if container.GetNumberOfSegments() == 0:
        segmentation.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for segmentId in _ownSegmentIds(segmentation, result.targets):
        container.RemoveSegment(segmentId)
    found = {row["key"] for row in result.report["statistics"] if row["voxels"]}
    image = labelImage(result, volume) if found else None
    for key in result.targets:
        if key in found:
            segment = newSegment(labels.target_by_key(key), image)
            container.AddSegment(segment, container.GenerateUniqueSegmentID(key))
    report = {k: v for k, v in result.report.items() if k not in ("extent", "statistics")}
    segmentation.SetAttribute(REPORT_ATTRIBUTE, json.dumps(report))


def _writeSequence(job: Job) -> vtkMRMLSegmentationNode:
    """Make a sequence of segmentations that plays along with the volume's; the one shown."""
    source = job.browser.GetSequenceNode(job.volume)
    name = slicer.mrmlScene.GenerateUniqueName(f"{job.volume.GetName()} FLARE")
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetIndexName(source.GetIndexName())
    sequence.SetIndexUnit(source.GetIndexUnit())
    sequence.SetIndexType(source.GetIndexType())
    for number, (frame, result) in enumerate(zip(job.frames, job.results, strict=True)):
        segmentation = vtkMRMLSegmentationNode()
        segmentation.SetName(name)
        _writeSegments(segmentation, frame, result)
        segmentation.SetAndObserveTransformNodeID(None)
        sequence.SetDataNodeAtValue(segmentation, source.GetNthIndexValue(number))
    job.browser.AddSynchronizedSequenceNode(sequence)
    proxy = job.browser.GetProxyNode(sequence)
    proxy.SetName(name)
    proxy.CreateDefaultDisplayNodes()
    proxy.SetAndObserveTransformNodeID(job.volume.GetTransformNodeID())
    proxy.SetNodeReferenceID(proxy.GetReferenceImageGeometryReferenceRole(), job.volume.GetID())
    moveToStudyOf(proxy, job.volume)
    writeTable(proxy, job.rows())
    return proxy
