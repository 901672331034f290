"""What the tests of the training panel do and look at again and again."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from FlareTrainLib import run_folder, task_folder
from FlareTrainLib.settings import write_json

USER_ROLE = 256


def choose(panel: Any, host: Any, data: Path) -> None:
    """Choose a dataset folder, as the user does, and wait until it is listed."""
    panel.ui.dataPathLineEdit.currentPath = str(data)
    settle(panel, host)


def settle(panel: Any, host: Any) -> None:
    """Run the window until nothing short is on its way any more."""
    host.process_events(until=lambda: not panel.busy, timeout=60)


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
    host.process_events(until=lambda: not task_folder.status(folder).state.alive, timeout=90)
    panel.refreshTasks()
    settle(panel, host)


def a_run(data: Path, state: str, message: str = "") -> Path:
    """A run's folder as a process leaves it."""
    recipe = data.parent / "r.json"
    network = {"training": {"fit": {"steps": 100}}}
    recipe.write_text(json.dumps({"name": "tiny", "network": network}))
    run = run_folder.create_run(run_folder.RunSettings(data, str(recipe), "cpu"))
    write_json(run / "recipe.json", {"name": "tiny", "network": network})
    process = {"pid": 2**22 + 1, "mark": "gone", "host": task_folder.platform.node()}
    write_json(run / "process.json", {**process, "started": time.time()})
    write_json(run / "outcome.json", {"state": state, "message": message})
    log = run / "network" / "fit" / "log.jsonl"
    log.parent.mkdir(parents=True)
    lines = [{"step": n, "seconds_per_step": 2.0, "loss": 3.0 - n / 50} for n in (20, 40)]
    lines.append({"step": 40, "validation": {"liver": 0.5, "spleen": 0.25}})
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


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
