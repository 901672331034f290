"""The line with the dataset's folder: empty, with a hint, while none is chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from FlareSegmentSlicer.shared.chosen_path import isChosen


class FolderLine:
    """Binds a ``ctkPathLineEdit`` to a path; the parameter node's own binding shows "." for none.

    Parameters
    ----------
    widget
        The line.
    onFolder
        Called with the folder that was typed or chosen, ``Path()`` when the line was emptied.
    """

    def __init__(self, widget: Any, onFolder: Callable[[Path], None]) -> None:
        self._widget = widget
        self._onFolder = onFolder
        widget.comboBox().lineEdit().placeholderText = _("Folder of the scans and labels")
        widget.connect("currentPathChanged(QString)", self._onPath)

    def show(self, folder: Path) -> None:
        """Show a folder."""
        text = str(folder) if isChosen(folder) else ""
        current = self._widget.currentPath
        # "/data/" and "/data" are one folder: what is being typed is left alone.
        if Path(current) != Path(text) or (current == "." and not text):
            self._widget.currentPath = text

    def _onPath(self, text: str) -> None:
        self._onFolder(Path(text))
