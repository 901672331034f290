"""One run of a benchmark script in its own process: time, peak memory and what it reports."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
for _folder in ("FlareSegment", "FlareTrain", "Testing"):  # a script alone needs no PYTHONPATH
    sys.path.insert(0, str(ROOT / _folder))

from FlareSegmentLib.memory import MemorySampler  # noqa: E402

GIB = 2**30


@dataclass(frozen=True)
class Measurement:
    """One run of a script.

    Attributes
    ----------
    seconds
        From the start of the process to its end.
    case_seconds
        From opening the scan to the written label map; start-up and loading of the model are not
        in it.
    peak_bytes
        Most memory of the process and its children.
    area_mib_seconds
        Area under the memory-time curve.
    result
        What the script reports.
    """

    seconds: float
    case_seconds: float
    peak_bytes: int
    area_mib_seconds: float
    result: dict[str, Any]


class ScriptFailedError(RuntimeError):
    """A measured script ended with an error; the text is the end of what it said."""


def measure(script: str, *arguments: str | Path) -> Measurement:
    """Run a script of this folder once; the last line it prints is its report in JSON."""
    command = [sys.executable, str(Path(__file__).parent / script), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": python_path(), "PYTHONUTF8": "1"}
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        )
        with MemorySampler(process.pid) as memory:
            output, _ = process.communicate()
            seconds = time.perf_counter() - start
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip()
    if process.returncode != 0:
        raise ScriptFailedError(f"{script} ended with {process.returncode}: {said[-2000:]}")
    result = json.loads(output.strip().splitlines()[-1])
    return Measurement(
        seconds=seconds,
        case_seconds=float(result.get("case_seconds", seconds)),
        peak_bytes=memory.peak,
        area_mib_seconds=memory.resident.area_mib_seconds,
        result=result,
    )


def median_run(runs: Sequence[Measurement]) -> Measurement:
    """Give the run whose time is the median (the lower one of two), with its own memory."""
    middle = statistics.median_low([run.seconds for run in runs])
    return next(run for run in runs if run.seconds == middle)


def runs_said(runs: int) -> str:
    """Give "median of 3 runs" or, of one, "one run"."""
    return f"median of {runs} runs" if runs > 1 else "one run"


def spread(runs: Sequence[Measurement]) -> str:
    """Give least and largest time of the runs, to judge the median by."""
    times = [run.seconds for run in runs]
    return f"{min(times):.1f} to {max(times):.1f}"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Give a Markdown table; the first column is left-aligned, the others right."""
    align = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, align, *rows))


def machine() -> str:
    """Describe processor, cores, memory and software in one line; no names of hosts or people."""
    words = [_processor(), f"{_cores()} cores", f"{_memory_gib():.0f} GiB memory"]
    fast = [name for name in ("avx512_bf16", "amx_bf16", "avx512f", "avx2") if name in _flags()]
    if fast:
        words.append("with " + ", ".join(fast))
    words += [
        platform.system(),
        f"Python {platform.python_version()}",
        f"torch {version('torch')}",
    ]
    return "; ".join(words)


def commit() -> str:
    """Name the commit that is measured, and whether files were changed since; "" without git."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=, changed", "--abbrev=7"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return found.stdout.strip()


def python_path() -> str:
    folders = [str(ROOT / "FlareSegment"), str(ROOT / "FlareTrain")]
    return os.pathsep.join(folders + [p for p in [os.environ.get("PYTHONPATH")] if p])


def _cpu_info(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    values = [line.partition(":")[2].strip() for line in lines if line.startswith(key)]
    return values[0] if values else ""


def _processor() -> str:
    return _cpu_info("model name") or platform.processor() or platform.machine()


def _flags() -> list[str]:
    return _cpu_info("flags").split()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    except (ValueError, OSError, AttributeError):
        return float("nan")
