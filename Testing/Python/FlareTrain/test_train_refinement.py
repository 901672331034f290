"""The section Refinement: the worklist, and who labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel_actions import check, choose, settle, texts, wait_for

from FlareSegmentLib.reading import read_label_map
from FlareTrainLib.case_choices import read_choices
from FlareTrainLib.dataset import read_dataset

slicer = pytest.importorskip("slicer")


def test_the_worklist_shows_the_least_agreed_case_first_and_heeds_people(
    panel: Any, slicer_host: Any, raw_dataset: Path
) -> None:
    from FlareSegmentLib.labels import targets
    from FlareSegmentLib.writing import write_label_map

    worse = raw_dataset / "pseudo" / "b" / "case_3.nii.gz"
    array, affine = read_label_map(worse)
    write_label_map(worse, np.roll(array, 6, axis=2).astype(np.uint8), affine, targets())
    choose(panel, slicer_host, raw_dataset)
    check(panel.ui.sourceList, ("source:a", "source:b"))
    panel.training.choices.chooseRecipe("p1")
    panel.ui.refineButton.click()
    assert panel.ui.refineButton.text == "Stop"
    wait_for(panel, slicer_host, raw_dataset / "refinement")
    rows = texts(panel.ui.worklistTable)
    assert rows[0][0] == "case_3"
    assert float(rows[0][1]) < 0.85
    assert rows[0][3:] == ["left out", "rule"]
    panel.ui.worklistTable.setCurrentCell(0, 0)
    panel.ui.acceptButton.click()
    assert read_choices(raw_dataset) == {"case_3": "accepted"}
    panel.ui.refineButton.click()
    wait_for(panel, slicer_host, raw_dataset / "refinement")
    assert texts(panel.ui.worklistTable)[0][3:] == ["pseudo organs", "you"]
    panel.refinement.onDoubleClicked(0, 0)
    settle(panel, slicer_host)
    overlay = slicer.util.arrayFromSegmentBinaryLabelmap(
        slicer.util.getNode("case_3 disagreement"),
        "disagreement",
        slicer.util.getFirstNodeByClassByName("vtkMRMLScalarVolumeNode", "case_3"),
    )
    assert np.array_equal(overlay == 1, array != np.roll(array, 6, axis=2))
    assert slicer.util.getNode("case_3 a").GetSegmentation().GetNumberOfSegments() == 14


def test_a_folder_of_label_maps_becomes_a_source(
    panel: Any, slicer_host: Any, raw_dataset: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other program"
    other.mkdir()
    label_map = raw_dataset / "pseudo" / "a" / "case_3.nii.gz"
    (other / "case_3.nii.gz").write_bytes(label_map.read_bytes())
    choose(panel, slicer_host, raw_dataset)
    slicer_host.testing_enabled = False
    slicer_host.answer_next_dialog(str(other))
    panel.ui.addSourceButton.click()
    assert not panel.ui.addSourceButton.enabled
    settle(panel, slicer_host)
    assert panel.ui.refinementNoteLabel.text == "Added other program."
    assert "other program" in read_dataset(raw_dataset).sources
    assert "source:other program" in [
        panel.ui.sourceList.item(row).data(256) for row in range(panel.ui.sourceList.count)
    ]
