"""The dataset that was chosen last: a training that goes on is found again after a restart."""

from __future__ import annotations

from pathlib import Path

import slicer

_KEY = "FlareTrain/LastDataset"


def rememberDataset(folder: Path) -> None:
    """Keep the folder in the user's settings of Slicer."""
    slicer.app.userSettings().setValue(_KEY, str(folder.resolve()))


def lastDataset() -> Path | None:
    """Give the folder that was chosen last, None when there is none any more."""
    text = slicer.app.userSettings().value(_KEY)
    folder = Path(str(text)) if text else None
    return folder if folder is not None and folder.is_dir() else None
