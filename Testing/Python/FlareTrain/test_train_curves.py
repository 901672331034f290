"""Loss and DSC side by side in Slicer's plot views, as the run goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from panel_actions import choose, settle

from train_states import a_run, alive

slicer = pytest.importorskip("slicer")


@pytest.fixture
def layout(slicer_host: Any) -> Iterator[Any]:
    """What makes the views that a layout asks for; gives the node that says which layout."""
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(slicer.mrmlScene)
    node = logic.GetLayoutNode()
    node.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    yield node
    logic.SetMRMLScene(None)


def charts() -> list[Any]:
    """The charts that the plot views show, from above."""
    views = slicer.util.getNodesByClass("vtkMRMLPlotViewNode")
    return [slicer.mrmlScene.GetNodeByID(view.GetPlotChartNodeID()) for view in views]


def names(chart: Any) -> list[str]:
    """The lines of a chart, in the order of the legend."""
    count = chart.GetNumberOfPlotSeriesNodes()
    return [chart.GetNthPlotSeriesNode(n).GetName() for n in range(count)]


def values(chart: Any, line: int = 0) -> list[float]:
    """The points of a line."""
    table = chart.GetNthPlotSeriesNode(line).GetTableNode()
    return [float(value) for value in slicer.util.arrayFromTableColumn(table, "value")]


def log(run: Path, **entry: Any) -> None:
    with (run / "network" / "fit" / "log.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")


def test_both_curves_are_in_one_layout_and_grow_while_the_run_does(
    panel: Any, slicer_host: Any, raw_dataset: Path, layout: Any
) -> None:
    run = alive(a_run(raw_dataset, "stopped"))
    choose(panel, slicer_host, raw_dataset)
    button = panel.ui.curvesButton
    assert not button.checked
    button.click()
    settle(panel, slicer_host)
    loss, dsc = charts()
    assert (loss.GetTitle(), dsc.GetTitle()) == (
        "Loss: tiny 1",
        "DSC on the validation cases: tiny 1",
    )
    assert (loss.GetXAxisTitle(), loss.GetYAxisTitle()) == ("training step", "loss")
    assert (dsc.GetXAxisTitle(), dsc.GetYAxisTitle()) == ("training step", "DSC")
    assert loss.GetLegendVisibility()
    assert dsc.GetLegendVisibility()
    assert dsc.GetYAxisRange() == (0.0, 1.0)
    assert (names(loss), names(dsc)) == (["network"], ["Mean", "Liver", "Spleen"])
    assert values(loss) == pytest.approx([2.6, 2.2])
    assert [values(dsc, n) for n in range(3)] == [[0.375], [0.5], [0.25]]
    lines = [dsc.GetNthPlotSeriesNode(n) for n in range(3)]
    assert len({line.GetColor() for line in lines}) == 3
    # A line of one point is seen only by its mark.
    circle = slicer.vtkMRMLPlotSeriesNode.MarkerStyleCircle
    assert dsc.GetNthPlotSeriesNode(0).GetMarkerStyle() == circle

    log(run, step=60, seconds_per_step=2.0, loss=1.5)
    log(run, step=60, validation={"liver": 0.75, "spleen": 0.5})
    panel.refreshTasks()
    settle(panel, slicer_host)
    assert charts() == [loss, dsc]
    assert values(loss) == pytest.approx([2.6, 2.2, 1.5])
    assert values(dsc) == pytest.approx([0.375, 0.625])


def test_fourteen_curves_can_be_told_apart_and_are_not_under_their_names(
    panel: Any, slicer_host: Any, raw_dataset: Path, layout: Any
) -> None:
    from FlareSegmentLib.labels import targets

    run = a_run(raw_dataset, "stopped")
    log(run, step=70, validation={target.key: 0.5 for target in targets()})
    choose(panel, slicer_host, raw_dataset)
    panel.ui.curvesButton.click()
    settle(panel, slicer_host)
    dsc = charts()[1]
    lines = [dsc.GetNthPlotSeriesNode(n) for n in range(dsc.GetNumberOfPlotSeriesNodes())]
    assert len(lines) == 15
    assert len({line.GetColor() for line in lines}) == 15
    # Slicer lays the names over the right of the plot.
    assert dsc.GetXAxisRange() == pytest.approx((0, 100))


def test_the_views_are_given_back(
    panel: Any, slicer_host: Any, raw_dataset: Path, layout: Any
) -> None:
    a_run(raw_dataset, "stopped")
    choose(panel, slicer_host, raw_dataset)
    before = layout.GetViewArrangement()
    panel.ui.curvesButton.click()
    settle(panel, slicer_host)
    assert layout.GetViewArrangement() != before
    panel.ui.curvesButton.click()
    assert layout.GetViewArrangement() == before
    # Somebody chooses another layout in Slicer's menu: the button follows.
    panel.ui.curvesButton.click()
    settle(panel, slicer_host)
    layout.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    panel.refreshTasks()
    assert not panel.ui.curvesButton.checked


def test_another_run_takes_its_place_in_the_views(
    panel: Any, slicer_host: Any, raw_dataset: Path, layout: Any
) -> None:
    one, other = (a_run(raw_dataset, "stopped", name=name) for name in ("one", "other"))
    log(other, step=60, seconds_per_step=2.0, loss=1.0)
    choose(panel, slicer_host, raw_dataset)
    combo = panel.ui.runComboBox
    combo.setCurrentIndex(combo.findData(str(one)))
    panel.ui.curvesButton.click()
    settle(panel, slicer_host)
    assert [chart.GetTitle().split(": ")[1] for chart in charts()] == ["one", "one"]
    combo.setCurrentIndex(combo.findData(str(other)))
    settle(panel, slicer_host)
    panel.refreshTasks()
    settle(panel, slicer_host)
    assert [chart.GetTitle().split(": ")[1] for chart in charts()] == ["other", "other"]
    assert values(charts()[0])[-1] == 1.0


def test_a_run_without_points_says_so(
    panel: Any, slicer_host: Any, raw_dataset: Path, layout: Any
) -> None:
    run = a_run(raw_dataset, "stopped")
    (run / "network" / "fit" / "log.jsonl").unlink()
    choose(panel, slicer_host, raw_dataset)
    panel.ui.curvesButton.click()
    settle(panel, slicer_host)
    assert [chart.GetTitle().endswith("(none yet)") for chart in charts()] == [True, True]


def test_a_closed_scene_takes_the_curves_along(
    panel: Any, slicer_host: Any, raw_dataset: Path, layout: Any
) -> None:
    a_run(raw_dataset, "stopped")
    choose(panel, slicer_host, raw_dataset)
    panel.ui.curvesButton.click()
    settle(panel, slicer_host)
    slicer.mrmlScene.Clear(0)
    choose(panel, slicer_host, raw_dataset)
    assert not panel.ui.curvesButton.checked
    assert slicer.util.getNodesByClass("vtkMRMLPlotChartNode") == []
    panel.ui.curvesButton.click()
    settle(panel, slicer_host)
    assert len(slicer.util.getNodesByClass("vtkMRMLPlotChartNode")) == 2


def test_without_a_window_the_charts_are_in_the_scene(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    a_run(raw_dataset, "stopped")
    choose(panel, slicer_host, raw_dataset)
    panel.ui.curvesButton.click()
    settle(panel, slicer_host)
    loss, dsc = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
    assert (names(loss), len(names(dsc))) == (["network"], 3)
