"""The private folder through which arrays pass, and its removal whatever happens.

The folder belongs to the process that made it. A lock that the operating system drops when its
holder ends, however it ends, tells the folders of living processes from left-over ones. Three
parties remove it: the owner when it is done, the worker when it sees that its owner died, and
the next owner for both.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import BinaryIO

import numpy as np

PREFIX = "flaresegment-"


def _try_lock(file: BinaryIO) -> bool:
    """Take the exclusive lock on `file`; false when a living process holds it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _lock_path(folder: Path) -> Path:
    return folder.with_name(folder.name + ".lock")


class ExchangeFolder:
    """A folder readable by this user only that holds the arrays of one worker.

    Parameters
    ----------
    parent
        Where the folder is made; the system's temporary folder when None. Left-over folders of
        dead processes found there are removed first.
    """

    def __init__(self, parent: Path | None = None) -> None:
        parent = Path(tempfile.gettempdir() if parent is None else parent)
        remove_leftovers(parent)
        # The lock comes first, so that a folder without a held lock is always a dead one.
        handle, name = tempfile.mkstemp(prefix=PREFIX, suffix=".lock", dir=parent)
        self._lock: BinaryIO | None = os.fdopen(handle, "r+b")
        _try_lock(self._lock)
        self.path = Path(name.removesuffix(".lock"))
        self.path.mkdir(mode=0o700)

    def close(self) -> None:
        """Remove the folder and everything in it; a second call does nothing."""
        if self._lock is None:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()
        self._lock = None
        # A folder that could not be removed (Windows, array still mapped) keeps its lock file,
        # so that the next start removes both.
        if not self.path.exists():
            _lock_path(self.path).unlink(missing_ok=True)


def remove_leftovers(parent: Path) -> list[Path]:
    """Remove the exchange folders in `parent` whose owner is dead and give their paths."""
    folders = [path for path in parent.glob(f"{PREFIX}*") if path.is_dir()]
    return [folder for folder in folders if remove_if_abandoned(folder)]


def remove_if_abandoned(folder: Path, patience: float = 0.0) -> bool:
    """Remove `folder` when no living process owns it.

    Parameters
    ----------
    folder
        An exchange folder.
    patience
        Seconds to wait for the owner's lock to be dropped: a dying process closes its pipes a
        moment before its locks.

    Returns
    -------
    bool
        Whether the folder is gone.
    """
    deadline = time.monotonic() + patience
    while folder.exists() and not _owner_is_dead(folder):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        return False
    _lock_path(folder).unlink(missing_ok=True)
    return True


def _owner_is_dead(folder: Path) -> bool:
    """Say whether the folder is one of ours, which has a lock file, and nobody holds the lock."""
    try:
        with _lock_path(folder).open("r+b") as file:
            return _try_lock(file)
    except OSError:  # a user's folder that happens to be named so, or somebody else's
        return False


class ArrayWriter:
    """Writes an array to a ``.npy`` file slab by slab, so that no single step takes long.

    A 512 x 512 x 1000 scan takes half a second to write in one go, which a user would feel as a
    frozen window. No copy of the whole array is made. The file is written, not mapped: on a full
    disk a write raises an error, a store to mapped memory ends the process.

    Parameters
    ----------
    path
        The file to write.
    array
        Any array with at least one dimension.
    slab_bytes
        About how much `step` writes at once.

    Raises
    ------
    OSError
        When the file cannot be written, here or in `step`.
    """

    def __init__(self, path: Path, array: np.ndarray, slab_bytes: int = 4 * 2**20) -> None:
        self._array = array
        self._rows = max(1, slab_bytes // max(1, array.nbytes // max(1, len(array))))
        self._next = 0
        header = {
            "descr": np.lib.format.dtype_to_descr(array.dtype),
            "fortran_order": False,
            "shape": array.shape,
        }
        self._file: BinaryIO | None = path.open("wb")
        np.lib.format.write_array_header_1_0(self._file, header)

    @property
    def done(self) -> bool:
        """Whether nothing is left to write."""
        return self._file is None

    def step(self) -> None:
        """Write the next slab."""
        if self._file is None:
            return
        end = self._next + self._rows
        self._file.write(np.ascontiguousarray(self._array[self._next : end]).data)
        self._next = end
        if end >= len(self._array):
            self.close()

    def close(self) -> None:
        """Close the file; what is not written yet stays unwritten."""
        if self._file is not None:
            self._file.close()
            self._file = None
