"""How long Slicer's window stands still during the whole circle of FlareTrain.

Usage: python Testing/Benchmarks/gui_block_train.py [--cases 2000] [--slices 300]

The panel runs in the host of the tests, on a dataset of `--cases` scans of 512 x 512 x `--slices`
voxels: links to two synthetic ones, with two sources of pseudo-labels, a worklist of all cases,
a run with a log of 100 000 lines, and an evaluation of 50 cases. Every step of the circle is
clicked, and a timer of 5 ms writes down when it is called: the longest gap between two calls is
the longest time the window could not react. On a computer that is busy with other things a gap
counts without what the window waited for a processor; waiting for the disk counts. What the views
of a running Slicer need to draw a loaded scan is not in it: the host has none.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gui_block import BLOCK_LIMIT_MS, ROOT
from gui_pulse import Pulse

LOG_LINES, SCORED = 100_000, 50


def make_dataset(folder: Path, cases: int, slices: int) -> Path:
    """Make the dataset of links, its worklist, and a run as a process leaves it."""
    import numpy as np

    from FlareSegmentLib.labels import targets
    from FlareSegmentLib.volume import Volume
    from FlareTrainLib.add_case import NewCase, add_case
    from FlareTrainLib.settings import write_json

    real, data = folder / "real", folder / "large dataset"
    rng = np.random.default_rng(1)
    ids = tuple(target.id for target in targets())
    for number in range(2):
        image = rng.integers(-1000, 1000, (slices, 512, 512)).astype(np.int16)
        drawn = np.zeros(image.shape, np.uint8)
        for label in ids:
            k, j, i = 15 * label % (slices // 2), 25 * label, 24 * label + number
            drawn[k : k + slices // 2, j : j + 90, i : i + 90] = label
        affine = np.diag([-0.8, -0.8, 2.5, 1.0])
        add_case(real, NewCase(f"r{number}", ids), Volume(image, affine), drawn)
    annotated = {}
    for number in range(cases):
        name, source = f"case_{number:05d}", f"r{number % 2}"
        links = [(f"imagesTr/{source}_0000.nii.gz", f"imagesTr/{name}_0000.nii.gz")]
        labels = f"labelsTr/{source}.nii.gz"
        links += [(labels, f"pseudo/{teacher}/{name}.nii.gz") for teacher in ("one", "two")]
        if number % 4 == 0:
            links.append((labels, f"labelsTr/{name}.nii.gz"))
            annotated[name] = {"annotated": list(ids)}
        for original, place in links:
            (data / place).parent.mkdir(parents=True, exist_ok=True)
            (data / place).symlink_to(real / original)
    write_json(data / "annotated.json", annotated)
    write_json(data / "split.json", dict.fromkeys(list(annotated)[:SCORED], "validation"))
    write_worklist(data, cases)
    make_run(data, list(annotated)[:SCORED], real / "labelsTr" / "r0.nii.gz")
    return data


def write_worklist(data: Path, cases: int) -> None:
    """Leave what a refinement of all cases leaves."""
    from FlareTrainLib.refinement_task import REFINEMENT, WORKLIST, WorklistRow
    from FlareTrainLib.settings import write_json

    rows = [
        WorklistRow(
            f"case_{n:05d}", "unlabeled", ("one", "two"), 1 - n / cases, n / cases, None,
            "pseudo organs", "", "The two sources agree."
        )
        for n in range(cases)
    ]  # fmt: skip
    (data / REFINEMENT).mkdir()
    write_json(data / REFINEMENT / WORKLIST, [asdict(row) for row in rows])


def make_run(data: Path, judged: list[str], labels: Path) -> None:
    """Leave a run with a long log, an evaluation and the bundled model as its result."""
    from FlareSegmentLib.labels import targets
    from FlareSegmentLib.resources import resources_folder
    from FlareTrainLib import run_folder, task_folder
    from FlareTrainLib.recipe import read_recipe
    from FlareTrainLib.settings import settings_to_json, write_json

    run = run_folder.create_run(run_folder.RunSettings(data, "best"), "long run")
    write_json(run / "recipe.json", settings_to_json(read_recipe("best").with_steps(LOG_LINES)))
    process = {"pid": 2**22 + 1, "mark": "gone", "host": task_folder.platform.node()}
    write_json(run / "process.json", {**process, "started": 1.0})
    write_json(run / "outcome.json", {"state": "finished", "message": "The model is ready."})
    log = run / "network" / "fit" / "log.jsonl"
    log.parent.mkdir(parents=True)
    keys = [target.key for target in targets()]
    with log.open("w") as file:
        for step in range(LOG_LINES):
            entry: dict[str, Any] = {"step": step, "seconds_per_step": 0.5, "loss": 2 / (step + 1)}
            file.write(json.dumps(entry) + "\n")
            if step % 1000 == 0:
                scores = {"step": step, "validation": dict.fromkeys(keys, step / LOG_LINES)}
                file.write(json.dumps(scores) + "\n")
    (run / "output.log").write_text("a line of the log\n" * 100_000)
    scores = {key: {"dsc": 0.9, "nsd": 0.8, "cases": SCORED} for key in keys}
    cases = [{"case": name, "targets": {key: {"dsc": 0.5} for key in keys}} for name in judged]
    for name in ("latest", "bundled"):
        (run / name).mkdir()
        write_json(run / name / "evaluation.json", {"targets": scores, "cases": cases})
    (run / "latest" / "predictions").mkdir()
    (run / "latest" / "predictions" / f"{judged[0]}_seg.nii.gz").symlink_to(labels)
    shutil.copytree(resources_folder() / "Models" / "flare-base", run / "bundle")


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


class Circle:
    """The steps of the circle, and the longest gap in each."""

    def __init__(self, host: Any, panel: Any) -> None:
        self._host = host
        self._panel = panel
        self._pulse = Pulse()
        self.rows: list[dict[str, float | str]] = []

    def step(self, name: str, act: Callable[[], Any], until: Callable[[], bool]) -> None:
        """Do something, wait for its end, and note the longest gap."""
        self._pulse.start()
        act()
        self._host.process_events(until=until, timeout=600)
        self._host.process_events()
        self._pulse.stop()
        row: dict[str, float | str] = {"step": name, **self._pulse.longest_ms()}
        print(row, file=sys.stderr)
        self.rows.append(row)

    def begin(self) -> None:
        """Forget the gaps so far of this step."""
        self._pulse.start()

    def settled(self, name: str, act: Callable[[], Any]) -> None:
        """Do something that ends with the panel at rest."""
        self.step(name, act, lambda: not self._panel.busy)


def go_round(host: Any, circle: Circle, panel: Any, data: Path, folder: Path) -> None:
    """Click everything once."""
    import qt
    import slicer

    from FlareTrainLib import task_folder
    from FlareTrainLib.task_folder import TaskState

    ui = panel.ui

    def ended(task: Path) -> bool:
        state = task_folder.status(task).state
        return not state.alive and state is not TaskState.NEW and not panel.busy

    def choose_folder() -> None:
        ui.dataPathLineEdit.currentPath = str(data)

    circle.settled("open the dataset", choose_folder)
    names = [row.name for row in panel.dataset.listing.rows if row.annotated != "nothing"]
    row = next(n for n, row in enumerate(panel.dataset.listing.rows) if row.name == names[0])
    circle.settled("load a case", lambda: panel.dataset.onDoubleClicked(row, 0))
    volume = slicer.util.getFirstNodeByClassByName("vtkMRMLScalarVolumeNode", names[0])
    segmentation = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[0]

    def check_three() -> None:
        for row in range(3):
            ui.annotatedList.item(row).setCheckState(qt.Qt.Checked)

    def add_case() -> None:
        ui.caseVolumeSelector.setCurrentNode(volume)
        ui.caseSegmentationSelector.setCurrentNode(segmentation)
        ui.caseNameLineEdit.text = "new_case"
        check_three()
        panel.addCase.onAddCase()

    circle.step("add a case", add_case, lambda: ended(data / "added" / "new_case"))

    def add_from_another_grid() -> None:
        other = on_another_grid(segmentation)
        ui.caseSegmentationSelector.setCurrentNode(other)
        ui.caseNameLineEdit.text = "from_another_grid"
        check_three()
        circle.begin()  # making the segmentation is not what is measured
        panel.addCase.onAddCase()

    added = data / "added" / "from_another_grid"
    circle.step("add a case from another grid", add_from_another_grid, lambda: ended(added))
    slicer.mrmlScene.Clear(0)
    panel.initializeParameterNode()
    circle.settled("choose it again", choose_folder)

    def move_case() -> None:
        ui.caseTable.setCurrentCell(row, 0)
        panel.dataset.onToValidation()

    circle.settled("move a case to validation", move_case)
    source = folder / "other program"
    source.mkdir()
    for path in sorted((data / "pseudo" / "one").iterdir())[:20]:
        (source / path.name).symlink_to(path.resolve())
    host.testing_enabled = False
    host.answer_next_dialog(str(source))
    circle.settled("add a source", panel.refinement.onAddSource)
    host.testing_enabled = True
    circle.settled("show the disagreement", lambda: panel.refinement.onDoubleClicked(5, 0))
    circle.settled("curves", ui.curvesButton.click)
    circle.settled("a worst case", lambda: panel.result.onWorstClicked(0, 0))
    circle.settled("install", panel.result.onInstall)
    slicer.util.selectModule("FlareTrain")
    circle.settled("enter again", lambda: None)
    circle.settled("start a training", panel.training.onStart)
    run = panel.run()
    circle.step("stop it", panel.training.onStop, lambda: ended(run))


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
        from SlicerHost import start

        host = start()
        segment = host.load_module(ROOT / "FlareSegment/FlareSegment.py")
        panel = host.load_module(ROOT / "FlareTrain/FlareTrain.py").enter()
        data = make_dataset(Path(text), options.cases, options.slices)
        circle = Circle(host, panel)
        go_round(host, circle, panel, data, Path(text))
        panel.cleanup()
        segment.python.FlareSegmentLogic.stopWorker()
        host.finish_test()
    worst = max(float(row["longest_block_own_ms"]) for row in circle.rows)
    size = {"cases": options.cases, "scan": [512, 512, options.slices]}
    print(json.dumps({**size, "steps": circle.rows, "limit_ms": BLOCK_LIMIT_MS}, indent=1))
    return int(worst > BLOCK_LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
