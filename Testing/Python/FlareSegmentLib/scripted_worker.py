"""The real worker around an engine whose speed and faults a test chooses by the volume's name.

Not a test. Run as a program by the worker's tests; `--version X` makes it claim another version.
"""

from __future__ import annotations

import os
import signal
import sys
import time

import numpy as np

import FlareSegmentLib

if sys.argv[1] == "--version":
    FlareSegmentLib.__version__ = sys.argv[2]
    del sys.argv[1:3]

from FlareSegmentLib import labels, worker
from FlareSegmentLib.errors import NotCTError
from FlareSegmentLib.progress import Monitor
from FlareSegmentLib.region import clear_outside
from FlareSegmentLib.volume import LabelMap


class ScriptedEngine:
    """Does what the volume's name says, then labels voxels.

    Everything above 0 HU is liver, but 1001 HU to 1014 HU are the targets 1 to 14.
    """

    def __init__(self) -> None:
        self.loads = 0

    def warm_up(self, model, device):
        """Count the loads, fail when the model is not there."""
        self.loads += 1
        if model is not None and not model.exists():
            raise FlareSegmentLib.errors.BundleError(f"No model in {model}.")
        return {"model": "scripted", "device": "cpu"}

    def segment(self, request, progress, cancel):
        """Act out the name of the volume."""
        volume, targets, region = request.volume, request.targets, request.region
        monitor = Monitor(progress, cancel)
        monitor.step("read", 0.5)
        if volume.name == "slow":
            for step in range(600):
                monitor.step("network", step / 600)
                time.sleep(0.05)
        elif volume.name == "deaf":
            for step in range(600):
                progress("network", step / 600)
                time.sleep(0.05)
        elif volume.name == "noisy":
            print("printed by Python", flush=True)
            os.write(1, b'{"event": "result", "printed by": "native code"}\n')
        elif volume.name == "not a CT":
            raise NotCTError("Found values 0–255 and no air. A CT is needed: export it in HU.")  # noqa: RUF001
        elif volume.name == "bug":
            raise ZeroDivisionError("as a bug would")
        elif volume.name == "no memory":
            raise MemoryError
        elif volume.name == "segmentation fault":
            sys.stderr.write("about to fault in Müller's folder\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGSEGV)
        elif volume.name == "exit":
            os._exit(3)
        start = time.perf_counter()
        keys = tuple(targets or [target.key for target in labels.targets()])
        array = np.asarray(volume.array)
        result = (array > 0).astype(np.uint8)
        given = (array > 1000) & (array <= 1014)
        values = np.zeros(15, np.uint8)
        for key in keys:
            values[labels.target_by_key(key).id] = labels.target_by_key(key).id
        result[given] = values[array[given].astype(int) - 1000]
        if region is not None:
            clear_outside(result, region)
        monitor.step("write", 1.0)
        seconds = {"total": time.perf_counter() - start}
        report = {"pid": os.getpid(), "notes": [], "seconds": seconds}
        return LabelMap(result, volume.affine, keys, report)


if __name__ == "__main__":
    worker.serve(ScriptedEngine())
