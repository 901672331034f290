"""The mark that tells our segments from those drawn by hand."""

from __future__ import annotations

from typing import Any

import vtk

TARGET_TAG = "FlareSegment.Target"
"""Tag of a segment with the key of its target; saved with the segmentation."""


def targetOf(segment: Any) -> str:
    """Give the key of the target that a ``vtkSegment`` is marked with, "" when it is not ours."""
    value = vtk.mutable("")
    return str(value) if segment.GetTag(TARGET_TAG, value) else ""


def segmentIdsByTarget(segmentation: Any) -> dict[str, str]:
    """Give the identifiers of the segments that are ours, by target."""
    container = segmentation.GetSegmentation()
    ids = [container.GetNthSegmentID(n) for n in range(container.GetNumberOfSegments())]
    marked = {targetOf(container.GetSegment(segmentId)): segmentId for segmentId in ids}
    marked.pop("", None)
    return marked
