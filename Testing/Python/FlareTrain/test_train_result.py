"""The section Result: scores, worst cases, and the model given to FlareSegment or to others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from panel_actions import choose, settle, texts

from FlareSegmentLib.labels import targets
from FlareSegmentLib.model_choice import read_choice
from FlareSegmentLib.reading import read_label_map
from FlareSegmentLib.writing import write_label_map
from train_states import a_run, scored

slicer = pytest.importorskip("slicer")


def test_scores_stand_beside_those_of_the_bundled_model(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    run = a_run(raw_dataset, "finished", "The model is ready.")
    (run / "bundle").mkdir()
    (run / "bundle" / "model.json").write_text('{"name": "tiny"}')
    for folder, dsc in (("latest", 0.75), ("bundled", 0.5)):
        (run / folder).mkdir()
        targets = {"liver": {"dsc": dsc, "nsd": dsc / 2, "cases": 2}}
        cases = [
            {"case": name, "targets": {"liver": {"dsc": value}}}
            for name, value in (("good", 0.9), ("bad", 0.6))
        ]
        content = {"targets": targets, "cases": cases}
        (run / folder / "evaluation.json").write_text(json.dumps(content))
    choose(panel, slicer_host, raw_dataset)
    assert texts(panel.ui.scoreTable) == [["Liver", "2", "0.750", "0.500", "0.375", "0.250"]]
    assert [row[0] for row in texts(panel.ui.worstTable)] == ["bad", "good"]
    assert panel.ui.installButton.enabled
    assert panel.ui.exportButton.enabled


def a_model(data: Path) -> Path:
    """A finished run with the description of a model."""
    run = a_run(data, "finished", "The model is ready.")
    (run / "bundle").mkdir()
    (run / "bundle" / "model.json").write_text('{"name": "tiny"}')
    return run


def test_the_worst_case_is_one_click_away(panel: Any, slicer_host: Any, raw_dataset: Path) -> None:
    run = a_model(raw_dataset)
    truth, affine = read_label_map(raw_dataset / "labelsTs" / "held_out.nii.gz")
    predictions = run / "latest" / "predictions"
    predictions.mkdir(parents=True)
    write_label_map(predictions / "held_out_seg.nii.gz", truth * (truth < 3), affine, targets())
    cases = [{"case": "held_out", "targets": {"liver": {"dsc": 0.5}}}]
    scores = {"liver": {"dsc": 0.5, "nsd": 0.5, "cases": 1}}
    content = {"targets": scores, "cases": cases}
    (run / "latest" / "evaluation.json").write_text(json.dumps(content))
    choose(panel, slicer_host, raw_dataset)
    panel.ui.worstTable.cellClicked.emit(0, 0)
    settle(panel, slicer_host)
    drawn = slicer.util.getNode("held_out annotated").GetSegmentation()
    predicted = slicer.util.getNode(f"held_out {run.name}").GetSegmentation()
    assert (drawn.GetNumberOfSegments(), predicted.GetNumberOfSegments()) == (14, 2)


def test_an_export_has_name_and_description_and_asks_before_it_replaces(
    panel: Any, slicer_host: Any, raw_dataset: Path, tmp_path: Path
) -> None:
    a_model(raw_dataset)
    choose(panel, slicer_host, raw_dataset)
    panel.ui.modelNameLineEdit.text = "livers"
    panel.ui.modelDescriptionLineEdit.text = "Four patients."
    slicer_host.main_window()
    slicer_host.testing_enabled = False
    slicer_host.answer_next_dialog(str(tmp_path))
    panel.ui.exportButton.click()
    settle(panel, slicer_host)
    folder = tmp_path / "livers"
    assert panel.ui.resultNoteLabel.text == f"The model is in {folder}."
    assert read_choice(folder).name == "livers"
    assert read_choice(folder).info["facts"]["description"] == "Four patients."
    (folder / "mark").touch()
    for answer, kept in (("Cancel", True), ("OK", False)):
        slicer_host.answer_next_dialog(str(tmp_path))
        slicer_host.answer_next_dialog(answer)
        panel.ui.exportButton.click()
        settle(panel, slicer_host)
        assert (folder / "mark").exists() is kept


@pytest.mark.parametrize(
    ("ours", "bundled", "words"),
    [
        (0.512, 0.831, "WORSE than the bundled model: mean DSC 0.512, bundled 0.831."),
        (0.871, 0.831, "Better than the bundled model: mean DSC 0.871, bundled 0.831."),
        (0.833, 0.831, "As good as the bundled model: mean DSC 0.833, bundled 0.831."),
    ],
)
def test_the_panel_says_whether_the_model_is_better(
    panel: Any, slicer_host: Any, raw_dataset: Path, ours: float, bundled: float, words: str
) -> None:
    scored(a_run(raw_dataset, "finished"), ours, bundled, cases=12)
    choose(panel, slicer_host, raw_dataset)
    assert panel.ui.verdictLabel.text == words


def test_few_validation_cases_are_said(panel: Any, slicer_host: Any, raw_dataset: Path) -> None:
    scored(a_run(raw_dataset, "finished"), 0.9, 0.8, cases=2)
    choose(panel, slicer_host, raw_dataset)
    assert "Only 2 validation cases" in panel.ui.verdictLabel.text


@pytest.mark.parametrize("judged", [True, False])
def test_a_model_that_is_worse_or_was_not_judged_is_used_only_after_a_question(
    panel: Any, slicer_host: Any, raw_dataset: Path, judged: bool
) -> None:
    import FlareSegment

    run = scored(a_run(raw_dataset, "finished"), 0.5, 0.8)
    if not judged:
        (run / "bundle" / "score.json").write_text('{"score": null}')
    choose(panel, slicer_host, raw_dataset)
    node = FlareSegment.FlareSegmentLogic().getParameterNode()
    before = node.modelFolder
    slicer_host.testing_enabled = False
    slicer_host.answer_next_dialog("Cancel")
    panel.ui.installButton.click()
    settle(panel, slicer_host)
    words = "is worse than the bundled one" if judged else "No validation case has scored"
    assert words in slicer_host.dialogs_shown[-1]
    assert node.modelFolder == before
    folder = panel.logic.installedAt(run)
    assert not folder.exists()
    slicer_host.answer_next_dialog("OK")
    panel.ui.installButton.click()
    settle(panel, slicer_host)
    assert folder.is_dir()
    assert node.modelFolder == str(folder)


def test_a_better_model_is_used_without_a_question(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    run = scored(a_run(raw_dataset, "finished"), 0.9, 0.8)
    choose(panel, slicer_host, raw_dataset)
    slicer_host.testing_enabled = False
    panel.ui.installButton.click()
    settle(panel, slicer_host)
    assert panel.logic.installedAt(run).is_dir()
    assert slicer_host.dialogs_shown == []


def test_newest_weights_that_are_worse_than_those_before_are_told_apart(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    scored(a_run(raw_dataset, "finished"), 0.9, 0.8, newest=0.7)
    choose(panel, slicer_host, raw_dataset)
    assert panel.ui.verdictLabel.text.startswith("Better than the bundled model: mean DSC 0.900")
    assert "newest weights (mean DSC 0.700)" in panel.ui.resultNoteLabel.text
