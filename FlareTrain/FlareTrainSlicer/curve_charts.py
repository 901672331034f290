"""The curves of a run as charts for Slicer's plot views."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from FlareSegmentLib import labels
from FlareTrainLib.run_curves import Points, RunCurves, mean_points, thinned

LOSS, DSC = "FlareTrain.Loss", "FlareTrain.Dsc"
KINDS = (LOSS, DSC)
"""Attributes of the charts; their value is the run's folder."""

_LINES = (
    (214, 39, 40),
    (31, 119, 180),
    (44, 160, 44),
    (255, 127, 14),
    (148, 103, 189),
    (0, 128, 128),
    (227, 90, 200),
    (140, 86, 75),
    (128, 128, 0),
    (0, 0, 140),
    (23, 190, 207),
    (120, 0, 60),
    (90, 200, 20),
    (120, 120, 120),
)
"""Far apart on white. In the standard colors of anatomy left and right are the same, and the
duodenum is all but white."""

_BLACK = (0, 0, 0)
_FEW = 50
"""Points that get marks: a line of one point would not be seen."""

_WIDE, _THIN = 4, 2
"""Pixels."""

_SHORT_LEGEND, _CURVES_SHARE = 5, 0.7
"""Lines whose names fit into a corner, and the part of the width that curves take when there are
more: Slicer lays the legend over the plot's right side, where DSC ends."""


def chartOf(kind: str, run: Path) -> Any:
    """Give the chart of a run, or None when it is not in the scene."""
    for node in slicer.util.getNodesByClass("vtkMRMLPlotChartNode"):
        if node.GetAttribute(kind) == str(run):
            return node
    return None


def makeChart(kind: str, run: Path) -> Any:
    """Give the chart of a run; made when it is not in the scene."""
    chart = chartOf(kind, run)
    if chart is not None:
        return chart
    title = _title(kind, run)
    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", title)
    chart.SetAttribute(kind, str(run))
    chart.SetTitle(_("{title} (none yet)").format(title=title))
    chart.SetXAxisTitle(_("training step"))
    chart.SetYAxisTitle(_("loss") if kind == LOSS else _("DSC"))
    chart.SetLegendVisibility(True)
    if kind == DSC:
        chart.SetYAxisRangeAuto(False)
        chart.SetYAxisRange(0.0, 1.0)
    return chart


def _title(kind: str, run: Path) -> str:
    text = _("Loss: {run}") if kind == LOSS else _("DSC on the validation cases: {run}")
    return text.format(run=run.name)


def updateSteps(curves: RunCurves) -> Generator[None, None, None]:
    """Read on in the run's logs, and bring those of its charts up to date that are there."""
    while curves.read_on():
        yield
    names = {target.key: target.name for target in labels.targets()}
    dsc = {names.get(key, key): points for key, points in curves.dsc().items()}
    if len(dsc) > 1:
        dsc = {_("Mean"): mean_points(list(dsc.values())), **dsc}
    for kind, lines in ((LOSS, curves.losses()), (DSC, dsc)):
        chart = chartOf(kind, curves.run)
        if chart is not None and lines:
            chart.SetTitle(_title(kind, curves.run))
            if len(lines) > _SHORT_LEGEND:
                last = max(points[-1][0] for points in lines.values())
                chart.SetXAxisRangeAuto(False)
                chart.SetXAxisRange(0.0, last / _CURVES_SHARE)
            yield from _fillSteps(chart, lines)


def _fillSteps(chart: Any, lines: dict[str, Points]) -> Generator[None, None, None]:
    own = [name for name in lines if name != _("Mean")]
    for name, points in lines.items():
        series = _seriesOf(chart, name)
        if series is None:
            color = _LINES[own.index(name) % len(_LINES)] if name in own else _BLACK
            series = _newSeries(chart, name, color)
        table = series.GetTableNode()
        shown = thinned(points)
        rows = table.GetNumberOfRows()
        last = table.GetTable().GetValue(rows - 1, 0).ToInt() if rows else None
        if (rows, last) != (len(shown), shown[-1][0]):
            slicer.util.updateTableFromArray(table, np.array(shown, float), ["step", "value"])
            node = slicer.vtkMRMLPlotSeriesNode
            few = len(shown) <= _FEW
            series.SetMarkerStyle(node.MarkerStyleCircle if few else node.MarkerStyleNone)
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
    series.SetColor(*(value / 255 for value in color))
    series.SetLineWidth(_WIDE if color == _BLACK else _THIN)
    chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return series
