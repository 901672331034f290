"""Peak memory and area under the memory-time curve of a process and its children.

FLARE ranks by the area under the memory-time curve. Its script adds samples and multiplies by the
nominal 0.1 s (methods C3); each of its loops takes longer, so that the sum is too small. Both that
sum and the integral over the real times are given.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

MIB = 2**20

_STEP_S = 0.1
"""Nominal time between samples, FLARE's."""


@dataclass
class MemoryCurve:
    """Samples of used memory over time.

    Attributes
    ----------
    seconds
        Times of the samples, from the first one on.
    samples
        Bytes used at these times.
    """

    seconds: list[float] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)

    @property
    def peak(self) -> int:
        """Largest sample in bytes."""
        return max(self.samples, default=0)

    @property
    def area_mib_seconds(self) -> float:
        """Area under the curve by the trapezoid rule over the real times, MiB s."""
        pairs = zip(self.seconds, self.seconds[1:], self.samples, self.samples[1:], strict=False)
        return sum((t1 - t0) * (m0 + m1) / 2 for t0, t1, m0, m1 in pairs) / MIB

    @property
    def flare_area(self) -> float:
        """FLARE's area: the sum of the samples in MiB times the nominal 0.1 s."""
        return sum(self.samples) / MIB * _STEP_S


class MemorySampler:
    """Measure the memory of a process and its children while the block runs.

    On Linux the resident memory of the whole process tree is sampled, and the kernel's own record
    of the peak of the first process is used where it rose in the block, so that a peak between two
    samples is seen. On Windows it is this process alone. On macOS it is the peak of this process,
    since its start: the curve never falls.

    Memory of CUDA devices (what PyTorch reserved) is sampled once torch has used one.

    Parameters
    ----------
    pid
        Process to watch, with its children; None for this one. Another one only on Linux.

    Attributes
    ----------
    resident
        Curve of the resident memory.
    cuda
        Curve of the reserved CUDA memory of this process; empty without one.

    Examples
    --------
    >>> with MemorySampler() as memory:
    ...     block = bytearray(2**20)
    >>> memory.peak > 2**20
    True
    """

    def __init__(self, pid: int | None = None) -> None:
        if pid is not None and not sys.platform.startswith("linux"):
            raise NotImplementedError("Another process can only be watched on Linux.")
        self._pid = os.getpid() if pid is None else pid
        self._own = self._pid == os.getpid()
        self.resident = MemoryCurve()
        self.cuda = MemoryCurve()
        self._record_before = 0
        self._record = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)

    @property
    def peak(self) -> int:
        """Most bytes of memory used at one time."""
        record = self._record if self._record > self._record_before else 0
        return max(self.resident.peak, record)

    def __enter__(self) -> MemorySampler:
        # A process that is watched from its start has no earlier peak.
        self._record_before = _recorded_peak(self._pid) if self._own else 0
        self._start = time.perf_counter()
        self._sample()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()

    def summary(self) -> dict[str, Any]:
        """JSON-able figures: peaks in bytes, areas in MiB s, seconds."""
        curves = {"resident": self.resident, "cuda": self.cuda}
        return {
            "seconds": self.resident.seconds[-1] if self.resident.seconds else 0.0,
            "peak_bytes": self.peak,
            "cuda_peak_bytes": self.cuda.peak,
        } | {
            f"{name}_{what}": getattr(curve, what)
            for name, curve in curves.items()
            for what in ("area_mib_seconds", "flare_area")
        }

    def _run(self) -> None:
        while not self._stop.wait(_STEP_S):
            self._sample()

    def _sample(self) -> None:
        now = time.perf_counter() - self._start
        used = resident_bytes(self._pid)
        if used:  # 0 after the end of a watched process: its curve ends there
            self.resident.seconds.append(now)
            self.resident.samples.append(used)
            self._record = max(self._record, _recorded_peak(self._pid))
        reserved = _cuda_bytes() if self._own else None
        if reserved is not None:
            self.cuda.seconds.append(now)
            self.cuda.samples.append(reserved)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and its children in bytes; 0 when it has ended.

    Memory that processes share counts once for each.
    """
    if sys.platform.startswith("linux"):
        page = os.sysconf("SC_PAGE_SIZE")
        return sum(_linux_pages(process) for process in _linux_tree(pid)) * page
    if sys.platform == "win32":
        return _windows_bytes(peak=False)
    return _recorded_peak(pid)


def _linux_tree(pid: int) -> list[int]:
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue  # it ended meanwhile
            # The command name in parentheses may hold anything, spaces and parentheses too.
            parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    tree, new = [pid], [pid]
    while new:
        new = [child for child, parent in parents.items() if parent in new]
        tree += new
    return tree


def _linux_pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return 0  # it ended meanwhile


def _recorded_peak(pid: int) -> int:
    """Peak resident memory since the start of the process, as the system recorded it; or 0."""
    if sys.platform.startswith("linux"):
        try:
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return 0
        lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(lines[0].split()[1]) * 1024 if lines else 0
    if sys.platform == "win32":
        return _windows_bytes(peak=True)
    import resource  # not there on Windows

    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # bytes on macOS


def _windows_bytes(peak: bool) -> int:
    """Working set of this process on Windows, or its peak, in bytes."""
    import ctypes
    from ctypes import wintypes

    sizes = ("PeakWorkingSetSize", "WorkingSetSize", "a", "b", "c", "d", "e", "f")

    class Counters(ctypes.Structure):
        _fields_ = [
            ("cb", wintypes.DWORD),
            ("PageFaultCount", wintypes.DWORD),
            *((name, ctypes.c_size_t) for name in sizes),
        ]

    counters = Counters()
    counters.cb = ctypes.sizeof(counters)
    library: Any = ctypes
    kernel = library.WinDLL("kernel32")
    kernel.GetCurrentProcess.restype = wintypes.HANDLE
    query = kernel.K32GetProcessMemoryInfo
    query.argtypes = (wintypes.HANDLE, ctypes.c_void_p, wintypes.DWORD)
    if not query(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.cb):
        return 0
    return int(counters.PeakWorkingSetSize if peak else counters.WorkingSetSize)


def _cuda_bytes() -> int | None:
    """Memory reserved by PyTorch on all CUDA devices; None when torch has not used one."""
    torch = sys.modules.get("torch")  # never imported for this: it takes seconds
    cuda = getattr(torch, "cuda", None)
    if cuda is None or not cuda.is_initialized():
        return None
    return sum(int(cuda.memory_reserved(device)) for device in range(cuda.device_count()))
