"""A developer's Reload reads all files of FlareTrain again, and the panel goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

RELOAD = """
import os, sys
from pathlib import Path
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
root, data = Path(sys.argv[1]), Path(sys.argv[2])
for name in ("Testing", "FlareSegment", "FlareTrain"):
    sys.path.insert(0, str(root / name))
from SlicerHost import start
host = start()
import slicer
host.load_module(root / "FlareSegment/FlareSegment.py")
old = host.load_module(root / "FlareTrain/FlareTrain.py").enter()
from train_states import a_run, alive
alive(a_run(data, "stopped", name="long"))
old.ui.dataPathLineEdit.currentPath = str(data)
assert old.busy  # the table is on its way when all is read again
names = ("FlareTrain", "FlareTrainSlicer.panel", "FlareTrainSlicer.jobs",
         "FlareTrainLib.task_folder")
before = {name: sys.modules[name] for name in names}
old.onReload()
print("read again:", all(sys.modules[name] is not before[name] for name in names))
new = slicer.modules.FlareTrainWidget
print("new panel:", new is not old)
new.enter()
new.ui.dataPathLineEdit.currentPath = str(data)
host.process_events(until=lambda: not new.busy, timeout=60)
print("cases:", new.ui.caseTable.rowCount)
print(new.ui.runComboBox.currentText)
new.exit()
print("left:", host.finish_test())
"""


def test_reload_reads_all_files_again(raw_dataset: Path) -> None:
    """In a process of its own: other tests hold what is imported now."""
    command = [sys.executable, "-c", RELOAD, str(ROOT), str(raw_dataset)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.stdout.splitlines() == [
        "read again: True",
        "new panel: True",
        "cases: 5",
        "long (running)",
        "left: []",
    ], ended.stderr
