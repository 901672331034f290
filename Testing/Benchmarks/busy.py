"""A case while other programs keep every core busy, and what sleeping threads do for it.

.venv-bench/bin/python Testing/Benchmarks/busy.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import inputs
from inputs import MissingInputError, Options
from measuring import ScriptFailedError, markdown_table, measure, runs_said

CASE = "totalseg_example"
LOOP = "while True: pass"


def section(chosen: Options) -> str:
    """Measure and give the part of the report."""
    model = inputs.model(chosen)
    scan = inputs.scan_of(inputs.validation_folder(chosen), CASE)
    output = chosen.work / "busy_seg.nii.gz"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rows = []
    for words, programs in (("nothing else", 0), ("a program on every core", cores or 1)):
        seconds = {}
        with busy_programs(programs):
            for policy in ("sleep", "spin"):
                options = ["--spin"] if policy == "spin" else []
                runs = [
                    measure("ours.py", model, scan, output, "--device", "cpu", *options)
                    for _ in range(chosen.runs)
                ]
                seconds[policy] = statistics.median_low([run.case_seconds for run in runs])
        rows.append((words, *(f"{seconds[policy]:.1f}" for policy in ("sleep", "spin"))))
    return (
        f"{CASE}, opened to written, on {cores} cores; {runs_said(chosen.runs)}. The threads of "
        "the computation sleep while they wait for one another, as in all our programs, or spin, "
        "as is PyTorch's default.\n\n"
        + markdown_table(("what else runs", "s, sleeping", "s, spinning"), rows)
    )


@contextmanager
def busy_programs(count: int) -> Iterator[None]:
    """Keep `count` processes computing."""
    programs = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


if __name__ == "__main__":
    try:
        print(section(inputs.options(inputs.parser(__doc__).parse_args())))
    except (MissingInputError, ScriptFailedError) as problem:
        sys.exit(str(problem))
