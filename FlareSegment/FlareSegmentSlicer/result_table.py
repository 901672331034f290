"""The table node of a segmentation: volumes and HU of its structures."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from slicer import vtkMRMLSegmentationNode, vtkMRMLTableNode

from FlareSegmentLib import statistics_table

from .subject_hierarchy import moveToStudyOf

TABLE_ROLE = "FlareSegment.Statistics"
"""Role of the reference from a segmentation node to its table node."""


def tableOf(segmentation: vtkMRMLSegmentationNode) -> vtkMRMLTableNode | None:
    """Give the table node of `segmentation`, or None."""
    return segmentation.GetNodeReference(TABLE_ROLE)


def rowsOfTable(segmentation: vtkMRMLSegmentationNode) -> list[dict[str, Any]]:
    """Give the rows of the table of `segmentation` by the keys of its columns, [] without one."""
    table = tableOf(segmentation)
    if table is None:
        return []
    keys = {title: key for key, title, _places in statistics_table.COLUMNS}
    columns = [table.GetTable().GetColumn(c) for c in range(table.GetNumberOfColumns())]
    return [
        {keys.get(c.GetName(), "frame"): c.GetValue(row) for c in columns}
        for row in range(table.GetNumberOfRows())
    ]


def writeTable(
    segmentation: vtkMRMLSegmentationNode, rows: list[dict[str, Any]]
) -> vtkMRMLTableNode:
    """Put `rows` into the table node of `segmentation`, made when there is none."""
    table = tableOf(segmentation)
    if table is None:
        name = f"{segmentation.GetName()} statistics"
        table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", name)
        segmentation.SetNodeReferenceID(TABLE_ROLE, table.GetID())
        moveToStudyOf(table, segmentation)
    table.RemoveAllColumns()
    columns = [(key, title) for key, title, _places in statistics_table.COLUMNS]
    if any("frame" in row for row in rows):
        columns.insert(0, ("frame", "Frame"))
    for key, title in columns:
        column = vtk.vtkStringArray() if key == "name" else vtk.vtkDoubleArray()
        column.SetName(title)
        for row in rows:
            value = row[key]
            column.InsertNextValue(float("nan") if value is None else value)
        table.AddColumn(column)
    table.SetUseColumnTitleAsColumnHeader(True)
    return table
