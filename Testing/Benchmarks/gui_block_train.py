"""How long Slicer's window stands still during the whole circle of FlareTrain.

Usage: python Testing/Benchmarks/gui_block_train.py [--cases 2000] [--slices 300]

The panel runs in the host of the tests, on a dataset of `--cases` scans of 512 x 512 x `--slices`
voxels: links to two synthetic ones, with two sources of pseudo-labels, a worklist of all cases,
two runs with a log of 100 000 lines, and an evaluation of 50 cases. Every step of the circle is
clicked and proven to have done its work, and a timer of 5 ms writes down when it is called: the
longest gap between two calls is the longest time the window could not react. It is told by the
clock, without what the window waited for a processor that other programs held ("own": waiting for
the disk or for a process counts), and as processor time. The exit code heeds "own". What the
views of a running Slicer need to draw a loaded scan is not in it: the host has none.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from gui_block import BLOCK_LIMIT_MS, ROOT
from gui_pulse import Pulse
from gui_train_data import DATASET


def on_another_grid(segmentation: Any) -> Any:
    """Give a copy whose segments lie a third of a voxel beside the scan's."""
    import slicer
    import vtk

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "on another grid")
    container = node.GetSegmentation()
    container.DeepCopy(segmentation.GetSegmentation())
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    parts = [container.GetNthSegment(n) for n in range(container.GetNumberOfSegments())]
    images = {id(image): image for image in (part.GetRepresentation(name) for part in parts)}
    for image in images.values():
        matrix = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(matrix)
        for axis in range(3):
            matrix.SetElement(axis, 3, matrix.GetElement(axis, 3) + 0.3)
        image.SetImageToWorldMatrix(matrix)
    return node


def as_surface(volume: Any) -> Any:
    """Give a segmentation without voxels: a liver of a million triangles, as from an STL file."""
    import slicer
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    size = volume.GetImageData().GetDimensions()
    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(*matrix.MultiplyPoint((*(n / 2 for n in size), 1))[:3])
    sphere.SetRadius(120)
    sphere.SetThetaResolution(700)
    sphere.SetPhiResolution(700)
    sphere.Update()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "surface")
    node.SetSourceRepresentationToClosedSurface()
    node.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "Liver", [1, 0, 0])
    return node


class Circle:
    """The steps of the circle, and the longest gap in each."""

    def __init__(self, host: Any) -> None:
        self._host = host
        self._pulse = Pulse()
        self.panel: Any = None
        self.rows: list[dict[str, float | str]] = []

    def step(
        self,
        name: str,
        act: Callable[[], Any],
        proof: Callable[[], Any],
        until: Callable[[], bool] | None = None,
    ) -> None:
        """Do something, wait for its end, and note the longest gap.

        Parameters
        ----------
        proof
            Whether it was done.
        until
            When it is over; None for as soon as the panel is at rest.
        """
        self._pulse.start()
        act()
        self._host.process_events(until=until or (lambda: not self.panel.busy), timeout=600)
        self._host.process_events()
        self._pulse.stop()
        row: dict[str, float | str] = {"step": name, **self._pulse.longest_ms()}
        print(row, file=sys.stderr)
        self.rows.append(row)
        if not proof():
            raise RuntimeError(f"The step '{name}' did nothing: {self._host.slot_errors}")


def go_round(host: Any, circle: Circle, panel: Any, data: Path) -> None:
    """Click everything once."""
    import slicer

    ui = panel.ui

    def choose_folder() -> None:
        ui.dataPathLineEdit.currentPath = str(data)

    def listed() -> bool:
        tables = ui.caseTable, ui.worklistTable
        return all(table.item(table.rowCount - 1, 4) is not None for table in tables)

    circle.step("open the dataset", choose_folder, listed)
    rows = panel.dataset.listing.rows
    row = next(number for number, row in enumerate(rows) if row.annotated != "nothing")
    name = rows[row].name
    load = partial(panel.dataset.onDoubleClicked, row, 0)
    circle.step("load a case", load, lambda: slicer.util.getNode(f"{name} annotated"))
    add_cases(host, circle, panel, data, name)
    slicer.mrmlScene.Clear(0)
    panel.initializeParameterNode()
    circle.step("choose it again", choose_folder, listed)

    def moved() -> bool:
        parts = {row.name: row.part for row in panel.dataset.listing.rows}
        return parts[name] == "validation"

    ui.caseTable.setCurrentCell(row, 0)
    circle.step("move a case to validation", panel.dataset.onToValidation, moved)
    refine(host, circle, panel, data)
    look_at_runs(host, circle, panel, data)


def add_cases(host: Any, circle: Circle, panel: Any, data: Path, loaded: str) -> None:
    """Make cases of the scan that was loaded."""
    import qt
    import slicer

    ui = panel.ui
    volume = slicer.util.getFirstNodeByClassByName("vtkMRMLScalarVolumeNode", loaded)
    segmentation = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[0]

    def fill_in(name: str, drawn: Any) -> None:
        ui.caseVolumeSelector.setCurrentNode(volume)
        ui.caseSegmentationSelector.setCurrentNode(drawn)
        ui.caseNameLineEdit.text = name
        for row in range(3):
            ui.annotatedList.item(row).setCheckState(qt.Qt.Checked)

    def add(name: str, title: str, drawn: Any) -> None:
        fill_in(name, drawn)
        circle.step(
            title,
            panel.addCase.onAddCase,
            lambda: name in {row.name for row in panel.dataset.listing.rows},
            lambda: ended(panel, data / "added" / name),
        )

    add("new_case", "add a case", segmentation)
    add("other_grid", "add a case from another grid", on_another_grid(segmentation))
    add("from_surface", "add a case from a surface", as_surface(volume))


def refine(host: Any, circle: Circle, panel: Any, data: Path) -> None:
    """Work with sources and the worklist."""
    from FlareTrainLib.case_choices import read_choices

    ui = panel.ui
    host.testing_enabled = False
    host.answer_next_dialog(str(data.parent / "other program"))
    circle.step(
        "add a source",
        panel.refinement.onAddSource,
        lambda: (data / "pseudo" / "other program").is_dir(),
    )
    host.testing_enabled = True
    circle.step(
        "show the disagreement",
        lambda: panel.refinement.onDoubleClicked(5, 0),
        lambda: "is in the scene" in ui.refinementNoteLabel.text,
    )
    ui.worklistTable.setCurrentCell(7, 0)
    circle.step("reject a case", ui.rejectButton.click, lambda: read_choices(data))
    panel.refinement.refresh()
    circle.step("list the worklist again", panel.refinement.refresh, lambda: panel.refinement.rows)


def look_at_runs(host: Any, circle: Circle, panel: Any, data: Path) -> None:
    """Watch runs, use their result, start one and stop it."""
    import slicer

    ui = panel.ui
    combo, log = ui.runComboBox, ui.logGroupBox
    names = [Path(combo.itemData(number)).name for number in range(combo.count)]
    choose = partial(combo.setCurrentIndex, names.index("first run"))
    circle.step("choose another run", choose, lambda: panel.run().name == "first run")

    def open_log() -> None:
        log.collapsed = False

    circle.step("open the log", open_log, lambda: "a line" in ui.logText.toPlainText())
    shown = partial(slicer.util.getNodesByClass, "vtkMRMLPlotSeriesNode")
    circle.step("curves", ui.curvesButton.click, shown)
    worst = partial(panel.result.onWorstClicked, 0, 0)
    circle.step("a worst case", worst, lambda: "is in the scene" in ui.resultNoteLabel.text)
    host.testing_enabled = False
    host.answer_next_dialog("OK")  # the model is no better than the bundled one
    circle.step(
        "use the model",
        panel.result.onInstall,
        lambda: slicer.util.selectedModule() == "FlareSegment",
    )
    host.testing_enabled = True
    back = partial(slicer.util.selectModule, "FlareTrain")
    circle.step("come back", back, lambda: panel.parameterNode is not None)
    before = panel.run()
    host.testing_enabled = False
    host.answer_next_dialog("OK")  # thousands of scans may not fit on this disk
    start = panel.training.onStart
    circle.step("start a training", start, lambda: panel.run() not in (None, before))
    run = panel.run()
    over = partial(ended, panel, run)
    circle.step("stop it", panel.training.onStop, lambda: (run / "outcome.json").is_file(), over)


def ended(panel: Any, task: Path) -> bool:
    """Whether a process has ended, and the panel knows."""
    from FlareTrainLib import task_folder
    from FlareTrainLib.task_folder import TaskState

    state = task_folder.status(task).state
    seen = not panel.stateOf(task).alive
    return not state.alive and state is not TaskState.NEW and seen and not panel.busy


def main() -> int:
    """Measure and print JSON; exit code 1 when the limit was passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--slices", type=int, default=300)
    options = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    for path in (ROOT / "Testing", ROOT / "FlareSegment", ROOT / "FlareTrain"):
        sys.path.insert(0, str(path))
    with tempfile.TemporaryDirectory() as text:
        os.environ["HOME"] = str(Path(text) / "home")
        Path(os.environ["HOME"]).mkdir()
        command = [sys.executable, str(ROOT / "Testing/Benchmarks/gui_train_data.py"), text]
        subprocess.run([*command, str(options.cases), str(options.slices)], check=True)
        from SlicerHost import start

        host = start()
        host.main_window()
        segment = host.load_module(ROOT / "FlareSegment/FlareSegment.py")
        module = host.load_module(ROOT / "FlareTrain/FlareTrain.py")
        circle = Circle(host)
        circle.step("open the module", partial(enter, circle, module), lambda: circle.panel)
        go_round(host, circle, circle.panel, Path(text) / DATASET)
        circle.panel.cleanup()
        segment.python.FlareSegmentLogic.stopWorker()
        host.finish_test()
    worst = max(float(row["longest_block_own_ms"]) for row in circle.rows)
    size = {"cases": options.cases, "scan": [512, 512, options.slices]}
    torch = "torch" in sys.modules  # as in Slicer, where it may not be installed
    print(
        json.dumps(
            {**size, "steps": circle.rows, "torch": torch, "limit_ms": BLOCK_LIMIT_MS}, indent=1
        )
    )
    return int(worst > BLOCK_LIMIT_MS)


def enter(circle: Circle, module: Any) -> None:
    """Open the module for the first time."""
    circle.panel = module.enter()


if __name__ == "__main__":
    sys.exit(main())
