"""Where nodes of ours go in the subject hierarchy."""

from __future__ import annotations

import slicer
from slicer import vtkMRMLNode


def moveToStudyOf(node: vtkMRMLNode, other: vtkMRMLNode) -> None:
    """Put `node` next to `other`, which is in its patient's study when it came from DICOM."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    if hierarchy is None:
        return
    parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(other))
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), parent)
