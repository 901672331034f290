"""Whether a process that was started earlier is still the one with that number.

A process number is given again after the process ended, at the latest after a restart of the
computer; number and start time together are not.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_ENDED = ("Z", "X")
"""States of a process on Linux that has ended and only waits for its parent."""


def start_mark(pid: int) -> str | None:
    """Text that tells this process from any other that ever has its number; None if it ended."""
    if sys.platform == "linux":
        return _linux_mark(pid)
    if sys.platform == "win32":
        return _windows_mark(pid)
    return _ps_mark(pid)


def is_alive(pid: int, mark: str) -> bool:
    """Whether the process `pid` runs and is the one that `start_mark` was asked of."""
    return start_mark(pid) == mark


def _linux_mark(pid: int) -> str | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    # The name stands in parentheses and may hold anything, parentheses too.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in _ENDED else f"{boot} {fields[19]}"


def _ps_mark(pid: int) -> str | None:
    command = ["ps", "-o", "state=,lstart=", "-p", str(pid)]
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    state, _, started = done.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else started.strip()


def _windows_mark(pid: int) -> str | None:
    import ctypes
    from ctypes import wintypes

    kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
    query, still_active = 0x1000, 259
    handle = kernel.OpenProcess(query, False, pid)
    if not handle:
        return None
    code, times = wintypes.DWORD(), [wintypes.FILETIME() for _ in range(4)]
    try:
        if not kernel.GetExitCodeProcess(handle, ctypes.byref(code)) or code.value != still_active:
            return None
        kernel.GetProcessTimes(handle, *(ctypes.byref(time) for time in times))
    finally:
        kernel.CloseHandle(handle)
    return f"{times[0].dwHighDateTime} {times[0].dwLowDateTime}"
