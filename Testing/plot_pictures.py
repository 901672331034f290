"""Charts of a scene drawn off screen with VTK's charts, which Slicer's plot views are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_CHARACTER = 12
"""Font size, pixels."""


def render_charts(charts: list[Any], path: Path, size: tuple[int, int] = (760, 300)) -> None:
    """Draw ``vtkMRMLPlotChartNode`` one below the other into a PNG.

    Parameters
    ----------
    size
        Width and height of one chart in pixels.
    """
    import numpy as np
    from PIL import Image

    pictures = [_draw(chart, size) for chart in charts]
    Image.fromarray(np.concatenate(pictures)).save(path)


def _draw(node: Any, size: tuple[int, int]) -> Any:
    """Draw one chart; (rows, columns, 3) uint8."""
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    from SlicerHost.views import choose_window

    choose_window()
    view = vtk.vtkContextView()
    view.GetRenderWindow().SetOffScreenRendering(1)
    view.GetRenderWindow().SetSize(*size)
    view.GetRenderWindow().SetMultiSamples(0)
    view.GetRenderer().SetBackground(1, 1, 1)
    chart = _chart(node)
    view.GetScene().AddItem(chart)
    view.GetRenderWindow().Render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(view.GetRenderWindow())
    grab.Update()
    pixels = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
    return pixels.reshape(size[1], size[0], -1)[::-1, :, :3]


def _chart(node: Any) -> Any:
    import slicer
    import vtk

    chart = vtk.vtkChartXY()
    chart.SetTitle(node.GetTitle())
    chart.GetTitleProperties().SetFontSize(_CHARACTER + 2)
    chart.SetShowLegend(node.GetLegendVisibility())
    chart.GetLegend().SetLabelSize(_CHARACTER - 1)
    titles = ((vtk.vtkAxis.BOTTOM, node.GetXAxisTitle()), (vtk.vtkAxis.LEFT, node.GetYAxisTitle()))
    for place, title in titles:
        axis = chart.GetAxis(place)
        axis.SetTitle(title)
        axis.GetTitleProperties().SetFontSize(_CHARACTER)
        axis.GetLabelProperties().SetFontSize(_CHARACTER)
    for place, auto, limits in (
        (vtk.vtkAxis.BOTTOM, node.GetXAxisRangeAuto(), node.GetXAxisRange()),
        (vtk.vtkAxis.LEFT, node.GetYAxisRangeAuto(), node.GetYAxisRange()),
    ):
        if not auto:
            chart.GetAxis(place).SetBehavior(vtk.vtkAxis.FIXED)
            chart.GetAxis(place).SetRange(*limits)
    for number in range(node.GetNumberOfPlotSeriesNodes()):
        series = node.GetNthPlotSeriesNode(number)
        plot = chart.AddPlot(vtk.vtkChart.LINE)
        table = series.GetTableNode().GetTable()
        plot.SetInputData(table, series.GetXColumnName(), series.GetYColumnName())
        plot.SetLabel(series.GetName())
        plot.SetColorF(*series.GetColor())
        plot.SetWidth(series.GetLineWidth())
        marked = series.GetMarkerStyle() != slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone
        plot.SetMarkerStyle(vtk.vtkPlotPoints.CIRCLE if marked else vtk.vtkPlotPoints.NONE)
    return chart
