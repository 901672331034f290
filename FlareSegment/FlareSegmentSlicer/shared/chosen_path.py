"""Paths in a parameter node."""

from __future__ import annotations

from pathlib import Path


def isChosen(path: Path) -> bool:
    """Tell whether a path was chosen: an empty one reads back as the current folder."""
    return str(path) not in ("", ".")
