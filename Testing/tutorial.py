"""Do FlareTrain's tutorial as the README tells it: time every step, take the pictures.

Usage: python Testing/tutorial.py [folder for the pictures] [--minutes 3]

The panel is the real one in the host of the tests, the models are real, and so are all scores: a
training of minutes on synthetic patients. A person's correction of a segment is acted by putting
the true liver in its place. Prints the seconds of each step as JSON. To rehearse it: a minute of
training, and another folder, so that the README's pictures stay.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from picture_origin import sign
from picture_stage import ROOT, save_picture, stage
from plot_pictures import render_charts
from results_page import weights_of

WIDTH, HEIGHT = 500, 940
CORRECTED, RUN, MINUTES = "patient_5", "first try", 3
MODEL = ROOT / "Resources/Models/flare-base"
LONG_ENOUGH = 7200
"""Seconds that a step may take on a computer that is busy with other things."""


class Tutorial:
    """The panel, the clock and the camera."""

    def __init__(self, host: Any, folder: Path) -> None:
        self._host = host
        self._folder = folder
        self.module = host.load_module(ROOT / "FlareTrain/FlareTrain.py")
        self.panel = self.module.enter()
        self.seconds: dict[str, float] = {}
        self._sections = (
            "datasetCollapsibleButton",
            "refinementCollapsibleButton",
            "trainingCollapsibleButton",
            "resultCollapsibleButton",
        )

    def step(self, name: str, act: Callable[[], Any], until: Callable[[], bool]) -> None:
        """Do something, wait for its end, and note how long that took."""
        start = time.perf_counter()
        act()
        self._host.process_events(until=until, timeout=LONG_ENOUGH)
        self.seconds[name] = round(time.perf_counter() - start, 1)
        print(f"{name}: {self.seconds[name]} s", file=sys.stderr)

    def at_rest(self) -> bool:
        """Whether nothing short is on its way."""
        return not self.panel.busy

    def ended(self, folder: Path) -> bool:
        """Whether a task is over and the panel has seen it."""
        from FlareTrainLib import task_folder
        from FlareTrainLib.task_folder import TaskState

        state = task_folder.status(folder).state
        if state is TaskState.FAILED:
            raise RuntimeError(task_folder.log_end(folder))
        if state is TaskState.NEW and self.at_rest():
            raise RuntimeError(f"{folder} was not started: {self.panel.ui.addNoteLabel.text}")
        seen = not self.panel.stateOf(folder).alive or "runs" in folder.parts
        return not state.alive and state is not TaskState.NEW and seen and self.at_rest()

    def picture(self, name: str, section: str) -> None:
        """Save the panel with one section open."""
        for other in self._sections:
            getattr(self.panel.ui, other).collapsed = other != section
        self.panel.refreshTasks()
        self._host.process_events(until=self.at_rest, timeout=60)
        save_picture(self._host, self.module, self._folder / f"{name}.png", (WIDTH, HEIGHT))


def check(widget: Any, keys: list[str]) -> None:
    """Check these lines of a list."""
    from FlareSegmentSlicer.shared.check_list import checkKeys

    checkKeys(widget, keys)


def make_dataset(tutorial: Tutorial, host: Any, data: Path) -> None:
    """Steps 1 to 3: synthetic patients, one of them segmented, corrected and added."""
    import slicer

    panel, ui = tutorial.panel, tutorial.panel.ui
    host.main_window()
    tutorial.picture("train_1_nothing_chosen", "datasetCollapsibleButton")
    host.testing_enabled = False
    host.answer_next_dialog(data.name)
    tutorial.step("make the patients", panel.dataset.onPractice, tutorial.at_rest)
    host.testing_enabled = True
    names = [row.name for row in panel.dataset.listing.rows]
    row = names.index(CORRECTED)
    tutorial.step("load a case", lambda: panel.dataset.onDoubleClicked(row, 0), tutorial.at_rest)
    volume = slicer.util.getFirstNodeByClassByName("vtkMRMLScalarVolumeNode", CORRECTED)
    segmentation = segmented(tutorial, "segment it with the bundled model", volume, "")
    correct_the_liver(volume, segmentation)
    ui.caseVolumeSelector.setCurrentNode(volume)
    ui.caseSegmentationSelector.setCurrentNode(segmentation)
    ui.caseNameLineEdit.text = CORRECTED
    check(ui.annotatedList, ["liver"])
    added = data / "added" / CORRECTED
    host.testing_enabled = False
    host.answer_next_dialog("OK")  # the case is there, without annotations: replace it
    tutorial.step("add it", panel.addCase.onAddCase, lambda: tutorial.ended(added))
    host.testing_enabled = True
    ui.addGroupBox.collapsed = False
    tutorial.step("check", panel.dataset.onCheck, lambda: tutorial.ended(data / "check"))
    ui.caseTable.setCurrentCell(names.index(CORRECTED), 0)
    tutorial.picture("train_2_dataset", "datasetCollapsibleButton")


def segmented(tutorial: Tutorial, name: str, volume: Any, model: str) -> Any:
    """Segment a scan in FlareSegment; the node."""
    import FlareSegment

    results = []

    def act() -> None:
        logic = FlareSegment.FlareSegmentLogic()
        folder = Path(model) if model else None
        results.append(logic.process(volume, device="cpu", model=folder))

    tutorial.step(name, act, lambda: True)
    return results[0]


def correct_the_liver(volume: Any, segmentation: Any) -> None:
    """Put the true liver where the model drew one."""
    import numpy as np
    import slicer

    from FlareSegmentLib.phantom import PhantomSettings, make_phantom
    from FlareTrainLib.practice_data import SPACING
    from FlareTrainSlicer.case_staging import segmentTargets

    seed = int(CORRECTED.rpartition("_")[2])
    truth = make_phantom(PhantomSettings(seed=seed, spacing=SPACING))[1]
    liver = segmentTargets(segmentation).get("liver")
    if liver is None:
        liver = segmentation.GetSegmentation().AddEmptySegment("liver", "Liver")
    mask = (truth == 1).astype(np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, liver, volume)


def bundled_name() -> str:
    """Name of the model that comes with FlareSegment, and of its source of labels."""
    from FlareSegmentLib.model_choice import available_models

    return available_models()[0].name


def refine(tutorial: Tutorial, data: Path, folder: Path) -> None:
    """Step 4: two sources label the scans; the worst case is looked at."""
    import slicer

    from FlareSegmentLib.model_choice import available_models
    from SlicerHost.views import render_views

    panel, ui = tutorial.panel, tutorial.panel.ui
    model = available_models()[0].folder
    check(ui.sourceList, [f"model:{model}", "source:other program"])
    panel.training.choices.chooseRecipe("tune")
    refinement = data / "refinement"
    tutorial.step("refine", panel.refinement.onRefine, lambda: tutorial.ended(refinement))
    ui.worklistTable.setCurrentCell(0, 0)
    tutorial.picture("train_3_refinement", "refinementCollapsibleButton")
    worst = panel.refinement.rows[0].case
    tutorial.step(
        "show the worst case", lambda: panel.refinement.onDoubleClicked(0, 0), tutorial.at_rest
    )
    mask = slicer.util.getNode(f"{worst} disagreement")
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    volume = next(node for node in nodes if node.GetAttribute("FlareTrain.View").endswith("True"))
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        node.SetDisplayVisibility(node is mask)
    path = folder / "train_3_disagreement.png"
    render_views(slicer.mrmlScene, volume, mask, path, size=(420, 340))


def train(tutorial: Tutorial, host: Any, data: Path, folder: Path, minutes: int) -> None:
    """Steps 5 and 6: a training, watched, and its result used."""
    import slicer

    from FlareTrainSlicer.verdict_text import doubtText

    panel, ui = tutorial.panel, tutorial.panel.ui
    run = data.resolve() / "runs" / RUN
    check(ui.sourceList, [f"source:{bundled_name()}", "source:other program"])
    ui.runNameLineEdit.text = RUN
    panel.parameterNode.minutes = minutes
    tutorial.step("look whether it fits", panel.training.onStart, tutorial.at_rest)
    if panel.run() is None:
        raise RuntimeError(ui.runStatusLabel.text)

    def at_work() -> bool:
        return "network: step" in ui.runStatusLabel.text or tutorial.ended(run)

    tutorial.step("first steps of the training", lambda: None, at_work)
    ui.logGroupBox.collapsed = False
    tutorial.picture("train_4_training", "trainingCollapsibleButton")
    tutorial.step("the rest of the training", lambda: None, lambda: tutorial.ended(run))
    tutorial.step("curves", ui.curvesButton.click, tutorial.at_rest)
    charts = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
    render_charts(charts, folder / "train_4_curves.png")
    ui.modelNameLineEdit.text = "my first model"
    ui.modelDescriptionLineEdit.text = "Practice: synthetic patients."
    tutorial.picture("train_5_result", "resultCollapsibleButton")
    if panel.result.verdict is not None and doubtText(panel.result.verdict):
        host.testing_enabled = False
        host.answer_next_dialog("OK")  # worse than the bundled model: used all the same
    tutorial.step("install", panel.result.onInstall, tutorial.at_rest)
    host.testing_enabled = True
    model = str(panel.logic.installedAt(run, name="my first model"))
    volume = slicer.util.getFirstNodeByClassByName("vtkMRMLScalarVolumeNode", CORRECTED)
    segmented(tutorial, "segment with the own model", volume, model)


def main() -> int:
    """Go through the tutorial and print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "Screenshots" / "panel")
    text = "time limit of the training"
    parser.add_argument("--minutes", type=int, default=MINUTES, help=text)
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with stage() as (host, home):
        tutorial = Tutorial(host, folder)
        data = home / "practice"
        data.mkdir()
        os.chdir(home)  # a short path in the pictures
        try:
            make_dataset(tutorial, host, Path(data.name))
            refine(tutorial, Path(data.name), folder)
            train(tutorial, host, Path(data.name), folder, options.minutes)
        finally:
            tutorial.panel.cleanup()
    for path in sorted(folder.glob("train_*.png")):
        sign(path, weights_of(MODEL))
    total = round(sum(tutorial.seconds.values()))
    print(json.dumps({"seconds": tutorial.seconds, "total": total}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
