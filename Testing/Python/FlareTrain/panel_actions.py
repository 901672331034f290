"""What the tests of the training panel do and look at again and again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from FlareTrainLib import task_folder

USER_ROLE = 256


def choose(panel: Any, host: Any, data: Path) -> None:
    """Choose a dataset folder, as the user does, and wait until it is listed."""
    panel.ui.dataPathLineEdit.currentPath = str(data)
    settle(panel, host)


def settle(panel: Any, host: Any) -> None:
    """Run the window until nothing short is on its way any more."""
    host.process_events(until=lambda: not panel.busy, timeout=300)


def fill_in_case(
    panel: Any, volume: Any, segmentation: Any, name: str, annotated: tuple[str, ...]
) -> None:
    """Fill in what a case from the scene is made of, up to its button."""
    panel.ui.caseVolumeSelector.setCurrentNode(volume)
    panel.ui.caseSegmentationSelector.setCurrentNode(segmentation)
    panel.ui.caseNameLineEdit.text = name
    check(panel.ui.annotatedList, annotated)


def texts(table: Any) -> list[list[str]]:
    """The texts of a table."""
    return [
        [table.item(row, column).text() for column in range(table.columnCount)]
        for row in range(table.rowCount)
    ]


def check(widget: Any, keys: tuple[str, ...]) -> None:
    """Check the items with these keys and no others."""
    import qt

    for row in range(widget.count):
        item = widget.item(row)
        item.setCheckState(qt.Qt.Checked if item.data(USER_ROLE) in keys else qt.Qt.Unchecked)


def wait_for(panel: Any, host: Any, folder: Path) -> None:
    """Run the window until a task has ended and the panel has seen it."""
    host.process_events(until=lambda: not task_folder.status(folder).state.alive, timeout=600)
    panel.refreshTasks()
    settle(panel, host)


def label_array(segmentation: Any, volume: Any) -> np.ndarray:
    """Target ids (k, j, i) of all segments, tumor last."""
    import slicer

    from FlareSegmentLib.labels import targets

    result = np.zeros(slicer.util.arrayFromVolume(volume).shape, np.uint8)
    for target in targets():
        if segmentation.GetSegmentation().GetSegment(target.key) is not None:
            mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, target.key, volume)
            result[mask > 0] = target.id
    return result


def select(panel: Any, host: Any, name: str) -> None:
    """Select a case in the table."""
    names = [row[0] for row in texts(panel.ui.caseTable)]
    panel.ui.caseTable.setCurrentCell(names.index(name), 0)
    host.process_events()
