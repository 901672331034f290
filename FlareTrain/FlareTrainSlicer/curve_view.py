"""The curves of a run side by side: a layout of two plot views that go on as the run does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from FlareSegmentLib.errors import FlareError
from FlareTrainLib.run_curves import RunCurves

from . import curve_charts
from .section import WorkUnderWay
from .steps import Steps

LAYOUT = 26023
"""Number of the layout; Slicer's own are below 1000."""

VIEWS = {curve_charts.LOSS: "FlareTrainLoss", curve_charts.DSC: "FlareTrainDsc"}
"""Tag of the plot view of each chart; views of other layouts are left alone."""

_LABELS = {curve_charts.LOSS: "L", curve_charts.DSC: "D"}


class CurveView:
    """Shows the loss above, DSC below, of one run at a time.

    Parameters
    ----------
    work
        Of the section it belongs to: charts are filled in steps.
    """

    def __init__(self, work: WorkUnderWay) -> None:
        self._work = work
        self._curves: RunCurves | None = None
        self._before: int | None = None
        self._wanted = False
        self.problem = ""
        """Why the curves could not be read, "" when they could."""

    @property
    def shown(self) -> bool:
        """Whether the curves are what the views show."""
        layout = _layoutNode()
        if layout is not None and self._wanted:
            # Somebody chose another layout in Slicer's menu.
            self._wanted = layout.GetViewArrangement() == LAYOUT
        return self._wanted

    def show(self, run: Path) -> None:
        """Put the run's charts into the views, in place of what is there."""
        self._wanted = True
        layout = _layoutNode()
        charts = {kind: curve_charts.makeChart(kind, run) for kind in curve_charts.KINDS}
        if layout is not None:
            if layout.GetViewArrangement() != LAYOUT:
                self._before = layout.GetViewArrangement()
                if not layout.IsLayoutDescription(LAYOUT):
                    layout.AddLayoutDescription(LAYOUT, _description())
                layout.SetViewArrangement(LAYOUT)
            for kind, chart in charts.items():
                view = slicer.mrmlScene.GetSingletonNode(VIEWS[kind], "vtkMRMLPlotViewNode")
                if view is not None and view.GetPlotChartNodeID() != chart.GetID():
                    # Or a chart that is chosen elsewhere would take the place of both.
                    view.SetDoPropagatePlotChartSelection(False)
                    view.SetPlotChartNodeID(chart.GetID())
        self.update(run)

    def hide(self) -> None:
        """Give the views back."""
        layout = _layoutNode()
        if self.shown and layout is not None and self._before is not None:
            layout.SetViewArrangement(self._before)
        self._wanted = False

    def update(self, run: Path | None) -> None:
        """Read on in the run's logs, when its curves are shown."""
        if run is None or not self.shown or self._work.running("curves"):
            return
        if self._curves is None or self._curves.run != run:
            self._curves = RunCurves(run)
            self.show(run)
            return
        steps = curve_charts.updateSteps(self._curves)
        self._work.put("curves", Steps(steps, self._onDone, self._onError))

    def _onDone(self, _nothing: object) -> None:
        self.problem = ""

    def _onError(self, error: FlareError) -> None:
        self.problem = str(error)


def _layoutNode() -> Any:
    """Give the node that decides which views there are; None without a window."""
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")


def _description() -> str:
    views = "".join(
        f'<item><view class="vtkMRMLPlotViewNode" singletontag="{tag}">'
        f'<property name="viewlabel" action="default">{_LABELS[kind]}</property></view></item>'
        for kind, tag in VIEWS.items()
    )
    return f'<layout type="vertical" split="true">{views}</layout>'
