"""Claims on cases, so that several processes and computers can work on one list.

A claim is a file made with ``O_EXCL``, which is atomic on local disks and on network drives (file
locks are not everywhere). It names host and process; one whose process has ended is taken over.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_WRITING_SECONDS = 60.0
"""A claim still empty after this time was left by a process killed while it made it."""


@contextmanager
def claim(path: Path) -> Iterator[str | None]:
    """Hold the claim file `path` while the block runs, if nobody else does.

    Yields
    ------
    str or None
        None when the claim is ours. Otherwise who holds it, e.g. ``"process 12 on host a"``:
        the block must leave the case alone.

    Raises
    ------
    OSError
        When the file cannot be made.
    """
    holder = _take(path)
    if holder is not None:
        yield holder
        return
    try:
        yield None
    finally:
        path.unlink(missing_ok=True)


def _take(path: Path) -> str | None:
    if _create(path):
        return None
    owner = _read(path)
    if not (_is_old(path) if owner is None else _has_ended(owner)):
        return _describe(owner, path)
    # Two processes may see the same abandoned claim: only one may replace it, and only if it is
    # still the one that was seen.
    takeover = path.with_name(path.name + ".takeover")
    if not _create(takeover):
        return _describe(owner, path)
    try:
        if _read(path) != owner:
            return _describe(_read(path), path)
        os.replace(takeover, path)
        return None
    finally:
        takeover.unlink(missing_ok=True)


def _create(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(_ourselves(), file)
    return True


def _ourselves() -> dict[str, Any]:
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "started": _start_time(pid)}


def _read(path: Path) -> dict[str, Any] | None:
    """Owner of a claim; None when it is gone or just being written."""
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return owner if isinstance(owner, dict) else None


def _is_old(path: Path) -> bool:
    """Say whether a claim without content is no longer just being written."""
    try:
        return time.time() - path.stat().st_mtime > _WRITING_SECONDS
    except OSError:
        return False


def _describe(owner: dict[str, Any] | None, path: Path) -> str:
    if owner is None:
        return f"another process (its claim is {path})"
    return f"process {owner.get('pid')} on {owner.get('host')} (its claim is {path})"


def _has_ended(owner: dict[str, Any]) -> bool:
    """Say whether the process is known to have ended; unknown on another computer."""
    pid = owner.get("pid")
    if owner.get("host") != socket.gethostname() or not isinstance(pid, int):
        return False
    if not _is_running(pid):
        return True
    # Numbers of processes come again, in a container even after every start.
    return owner.get("started") != _start_time(pid)


def _is_running(pid: int) -> bool:
    if sys.platform == "win32":
        import ctypes

        # os.kill(pid, 0) would end the process on Windows.
        kernel = ctypes.WinDLL("kernel32")
        synchronize, still_waiting = 0x00100000, 0x102
        handle = kernel.OpenProcess(synchronize, False, pid)
        if not handle:
            return False
        running = kernel.WaitForSingleObject(handle, 0) == still_waiting
        kernel.CloseHandle(handle)
        return bool(running)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True


def _start_time(pid: int) -> str | None:
    """When the process started, in ticks since the system did; None where that is not known."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # After the command name, which may hold anything: state is field 3, start time field 22.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]
