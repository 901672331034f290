"""From the start of the process to the first window of the network, file cache warm.

The scan is the smallest of the real ones, so that the figure is about start-up.

    .venv-bench/bin/python Testing/Benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import sys
import time

import inputs
from inputs import MissingInputError, Options
from measuring import ScriptFailedError, markdown_table, measure, runs_said

CASE = "totalseg_example"


def section(chosen: Options) -> str:
    """Measure and give the part of the report."""
    model = inputs.model(chosen)
    scan = inputs.scan_of(inputs.validation_folder(chosen), CASE)
    measure("first_window.py", model, scan, str(time.time()), chosen.device)  # warms the cache
    runs = [
        measure("first_window.py", model, scan, str(time.time()), chosen.device).result
        for _ in range(chosen.runs)
    ]
    marks = list(runs[0]["marks"])
    medians = [statistics.median([run["marks"][mark] for run in runs]) for mark in marks]
    rows = [(mark, f"{value:.2f}") for mark, value in zip(marks, medians, strict=True)]
    return (
        f"Seconds since the start of the process, {runs_said(len(runs))}; "
        f"scan {CASE} (1.4 million voxels).\n\n" + markdown_table(("until", "s"), rows)
    )


if __name__ == "__main__":
    try:
        print(section(inputs.options(inputs.parser(__doc__).parse_args())))
    except (MissingInputError, ScriptFailedError) as problem:
        sys.exit(str(problem))
