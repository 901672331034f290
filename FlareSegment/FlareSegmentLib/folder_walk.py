"""The files below a folder, as a person sees them: links followed, hidden ones passed over."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def files_below(
    folder: Path,
    leave_out: Path | None = None,
    on_error: Callable[[OSError], None] | None = None,
) -> Iterator[Path]:
    """Give the files in a folder and below it, by name.

    Links to folders are followed, each real folder is visited once: links in a circle end.

    Parameters
    ----------
    folder
        Where to begin.
    leave_out
        A folder that is passed over when it is met below.
    on_error
        Told of a folder that cannot be opened; the others go on. Without it the error is raised.

    Raises
    ------
    OSError
        When a folder cannot be opened and there is no `on_error`.
    """
    hidden_from = None if leave_out is None else leave_out.resolve()
    seen = {os.path.realpath(folder)}

    def refuse(error: OSError) -> None:
        if on_error is None:
            raise error
        on_error(error)

    for parent, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        here = Path(parent)
        kept = []
        for name in sorted(folders):
            real = os.path.realpath(here / name)
            if not name.startswith(".") and real not in seen and Path(real) != hidden_from:
                seen.add(real)
                kept.append(name)
        folders[:] = kept
        for name in sorted(names):
            if not name.startswith("."):
                yield here / name
