"""The whole circle: segment, correct, add as a case, refine, train, segment with the new model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from FlareSegmentLib.errors import FlareError
from FlareSegmentLib.model_choice import available_models, read_choice
from FlareSegmentLib.resources import resources_folder
from FlareTrainLib import run_folder, task_folder
from FlareTrainLib.add_case import NewCase
from FlareTrainLib.dataset import read_dataset
from FlareTrainLib.refinement_task import worklist
from FlareTrainLib.run_folder import RunSettings
from FlareTrainLib.task_folder import TaskState

slicer = pytest.importorskip("slicer")

BUNDLED = resources_folder() / "Models" / "flare-base"


@pytest.fixture
def bundled() -> Path:
    """The model that comes with the extension."""
    try:
        read_choice(BUNDLED)
    except FlareError:
        pytest.skip("the bundled model is not in this checkout")
    return BUNDLED


def finished(host: Any, folder: Path) -> None:
    """Wait for a process; its log is shown when it did not succeed."""
    host.process_events(until=lambda: not task_folder.status(folder).state.alive, timeout=900)
    assert task_folder.status(folder).state is TaskState.FINISHED, task_folder.log_end(folder)


def test_a_corrected_segmentation_ends_in_a_new_model_that_segments(
    panel: Any, slicer_host: Any, raw_dataset: Path, bundled: Path, tiny_recipe: Any
) -> None:
    import FlareSegment
    from FlareTrainSlicer.case_staging import segmentTargets

    shutil.rmtree(raw_dataset / "pseudo")
    for name in ("case_1", "case_2"):
        for folder, ending in (("imagesTr", "_0000"), ("labelsTr", "")):
            (raw_dataset / folder / f"{name}{ending}.nii.gz").unlink()
    known = json.loads((raw_dataset / "annotated.json").read_text())
    kept = {name: known[name] for name in ("case_0", "held_out")}
    (raw_dataset / "annotated.json").write_text(json.dumps(kept))
    recipe = tiny_recipe(5)
    train, segment = panel.logic, FlareSegment.FlareSegmentLogic()

    # Segment with the bundled model, correct the liver.
    volume, _none = train.loadCase(raw_dataset, "case_3")
    segmentation = segment.process(volume, device="cpu")
    truth = np.zeros(slicer.util.arrayFromVolume(volume).shape, np.uint8)
    truth[8:14, 10:20, 8:16] = 1
    liver = segmentTargets(segmentation).get("liver") or (
        segmentation.GetSegmentation().AddEmptySegment("liver", "Liver")
    )
    slicer.util.updateSegmentBinaryLabelmapFromArray(truth, segmentation, liver, volume)

    # Add it as a case: only the liver is a person's work.
    case = NewCase("corrected", (1,))
    finished(slicer_host, train.startAddCase(raw_dataset, case, volume, segmentation))
    (added,) = [c for c in read_dataset(raw_dataset).cases if c.name == "corrected"]
    assert added.annotated == (1,)

    # Let the bundled model label what was not annotated.
    name = read_choice(bundled).name
    models = {name: bundled}
    finished(slicer_host, train.startRefinement(raw_dataset, models, [], str(recipe), "cpu"))
    uses = {row.case: row.use for row in worklist(raw_dataset / "refinement")}
    assert uses == {
        "case_0": "truth only",
        "case_3": "pseudo organs",
        "corrected": "pseudo organs",
    }

    # Train a little, in a process of its own.
    settings = RunSettings(raw_dataset, str(recipe), "cpu", sources=(name,), compare=False)
    run = train.createRun(settings, "mine")
    train.start(run)
    finished(slicer_host, run)
    assert run_folder.progress(run).step == 5
    panel.ui.dataPathLineEdit.currentPath = str(raw_dataset)
    slicer_host.process_events(until=lambda: not panel.busy, timeout=300)
    assert panel.ui.runComboBox.currentText == "mine (finished)"
    assert panel.ui.scoreTable.rowCount == 14
    assert panel.ui.worstTable.item(0, 0).text() == "held_out"

    # The new model is chosen in FlareSegment, and segments.
    panel.ui.modelNameLineEdit.text = "my model"
    panel.ui.modelDescriptionLineEdit.text = "Made from four patients."
    panel.ui.installButton.click()
    slicer_host.process_events(until=lambda: not panel.busy, timeout=300)
    folder = train.installedAt(run, name="my model")
    assert read_choice(folder).info["facts"]["description"] == "Made from four patients."
    assert folder in [choice.folder for choice in available_models()]
    assert segment.getParameterNode().modelFolder == str(folder)
    assert slicer.util.selectedModule() == "FlareSegment"
    result = segment.process(volume, device="cpu", model=folder)
    assert segment.reportOf(result)["model"] == "my model 1"
