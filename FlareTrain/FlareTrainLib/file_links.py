"""Files of a dataset in a second place, without a second copy where the system allows it."""

from __future__ import annotations

import shutil
from pathlib import Path


def link(source: Path, target: Path) -> None:
    """Make `target` a link to the file `source`; a copy where the system has no links."""
    target.unlink(missing_ok=True)
    try:
        target.symlink_to(source.resolve())
    except OSError:
        shutil.copy2(source, target)
