"""The curves of a run as charts for Slicer's plot views."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from FlareSegmentLib import labels
from FlareTrainLib.run_curves import Points, RunCurves, thinned

LOSS, DSC = "FlareTrain.Loss", "FlareTrain.Dsc"
KINDS = (LOSS, DSC)
"""Attributes of the charts; their value is the run's folder."""

_LINES = ((31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189), (140, 86, 75))


def chartOf(kind: str, run: Path) -> Any:
    """Give the chart of a run, or None when it is not in the scene."""
    for node in slicer.util.getNodesByClass("vtkMRMLPlotChartNode"):
        if node.GetAttribute(kind) == str(run):
            return node
    return None


def makeChart(kind: str, run: Path) -> Any:
    """Give the chart of a run; made when it is not in the scene."""
    chart = chartOf(kind, run)
    if chart is None:
        title, axis = (_("Loss"), _("loss")) if kind == LOSS else (_("Validation DSC"), _("DSC"))
        chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", f"{title} {run.name}")
        chart.SetAttribute(kind, str(run))
        chart.SetTitle(f"{title}: {run.name}")
        chart.SetXAxisTitle(_("step"))
        chart.SetYAxisTitle(axis)
    return chart


def updateSteps(curves: RunCurves) -> Generator[None, None, None]:
    """Read on in the run's logs, and bring those of its charts up to date that are there."""
    while curves.read_on():
        yield
    for kind, points in ((LOSS, curves.losses()), (DSC, curves.dsc())):
        chart = chartOf(kind, curves.run)
        if chart is not None:
            yield from _fillSteps(chart, points)


def show(chart: Any) -> None:
    """Show a chart in a plot view, in a layout that has one."""
    if slicer.app.layoutManager() is not None:
        slicer.modules.plots.logic().ShowChartInLayout(chart)


def _fillSteps(chart: Any, curves: dict[str, Points]) -> Generator[None, None, None]:
    colors = {target.key: target.color for target in labels.targets()}
    names = {target.key: target.name for target in labels.targets()}
    for number, (key, points) in enumerate(curves.items()):
        name = names.get(key, key)
        series = _seriesOf(chart, name)
        if series is None:
            series = _newSeries(chart, name, colors.get(key, _LINES[number % len(_LINES)]))
        table = series.GetTableNode()
        shown = thinned(points)
        rows = table.GetNumberOfRows()
        last = table.GetTable().GetValue(rows - 1, 0).ToInt() if rows else None
        if (rows, last) != (len(shown), shown[-1][0]):
            slicer.util.updateTableFromArray(table, np.array(shown, float), ["step", "value"])
        yield


def _seriesOf(chart: Any, name: str) -> Any:
    nodes = [chart.GetNthPlotSeriesNode(n) for n in range(chart.GetNumberOfPlotSeriesNodes())]
    return next((node for node in nodes if node is not None and node.GetName() == name), None)


def _newSeries(chart: Any, name: str, color: tuple[int, int, int]) -> Any:
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", f"{chart.GetName()} {name}")
    series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
    series.SetName(name)
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName("step")
    series.SetYColumnName("value")
    series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
    series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
    series.SetColor(*(value / 255 for value in color))
    chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return series
