"""How long Slicer's window stands still during a run, and what the worker adds to the engine.

Usage: python Testing/Benchmarks/gui_block.py [--slices 150] [--engine scripted|bundled]

The panel runs in the host of the tests. A timer of 5 ms writes down when it is called: the
longest gap between two calls is the longest time the window could not react. On a computer that
is busy with other things a gap counts without what the window waited for a processor.
Click to result is measured on a warm worker; what the engine itself reports is taken off, the
rest is overhead.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gui_pulse import Pulse

ROOT = Path(__file__).resolve().parents[2]
SCRIPTED_WORKER = ROOT / "Testing/Python/FlareSegmentLib/scripted_worker.py"
BLOCK_LIMIT_MS, OVERHEAD_LIMIT_S = 100.0, 0.5


def add_scan(slices: int) -> Any:
    """Add a scan of 512 x 512 voxels per slice whose organs fill a realistic share of it."""
    import numpy as np
    import slicer

    array = np.full((slices, 512, 512), -900, np.int16)
    array[:, 80:430, 60:450] = -100
    for number in range(1, 15):
        k = slice(number * slices // 40, number * slices // 40 + slices // 3)
        j, i = 90 + 22 * number, 70 + 24 * number
        array[k, j : j + 70, i : i + 60] = 1000 + number
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
    slicer.util.updateVolumeFromArray(volume, array)
    volume.SetSpacing(0.8, 0.8, 2.5)
    return volume


def measure(host: Any, panel: Any, runs: int) -> list[dict[str, float | str]]:
    """Click Segment, wait for the result, several times; the first run warms up and is left out."""
    pulse = Pulse()
    pulse.state = lambda: panel.state.value
    rows = []
    for number in range(runs + 1):
        panel._parameterNode.outputSegmentation = None
        host.process_events()
        pulse.start()
        start = time.perf_counter()
        panel.ui.applyButton.click()
        clicked = time.perf_counter() - start
        host.process_events(until=lambda: not panel.logic.busy, timeout=1800)
        seconds = time.perf_counter() - start
        host.process_events()
        pulse.stop()
        if panel.state.value != "done":
            raise RuntimeError(panel.ui.statusLabel.text)
        report = panel.logic.reportOf(panel._parameterNode.outputSegmentation)
        engine = report.get("seconds", {}).get("total", 0.0)
        worst = max(pulse.gaps, key=lambda gap: gap.own)
        if number:
            rows.append(
                {
                    "click_ms": round(1000 * clicked, 1),
                    **pulse.longest_ms(),
                    "during": worst.state,
                    "click_to_result_s": round(seconds, 3),
                    "engine_s": round(engine, 3),
                    "overhead_s": round(seconds - engine, 3),
                }
            )
    return rows


def main() -> int:
    """Measure and print JSON; exit code 1 when a limit was passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=150)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--engine", choices=("scripted", "bundled"), default="scripted")
    options = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    for path in (ROOT / "Testing", ROOT / "FlareSegment"):
        sys.path.insert(0, str(path))
    os.environ["HOME"] = tempfile.mkdtemp()
    from SlicerHost import start

    host = start()
    module = host.load_module(ROOT / "FlareSegment/FlareSegment.py")
    logic = module.python.FlareSegmentLogic
    if options.engine == "scripted":
        logic.workerCommand = [sys.executable, str(SCRIPTED_WORKER)]
    panel = module.enter()
    panel.ui.inputSelector.setCurrentNode(add_scan(options.slices))
    rows = measure(host, panel, options.runs)
    logic.stopWorker()
    host.finish_test()
    worst = max(float(row["longest_block_own_ms"]) for row in rows)
    overhead = max(float(row["overhead_s"]) for row in rows)
    limits = {"block_ms": BLOCK_LIMIT_MS, "overhead_s": OVERHEAD_LIMIT_S}
    result = {"size": [512, 512, options.slices], "engine": options.engine, "runs": rows}
    print(json.dumps({**result, "limits": limits}, indent=1))
    return int(worst > BLOCK_LIMIT_MS or overhead > OVERHEAD_LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
