"""Segments that a run replaced, brought back."""

from __future__ import annotations

from typing import Any

import slicer
from slicer import vtkMRMLSegmentationNode
from slicer.i18n import tr as _

from FlareSegmentLib.errors import InputError


class UndoHistory:
    """What the last runs replaced in one segmentation."""

    def __init__(self) -> None:
        self._history: Any = None

    def save(self, segmentation: vtkMRMLSegmentationNode) -> None:
        """Remember the segments as they are; what is known of another segmentation is dropped."""
        container = segmentation.GetSegmentation()
        if self._history is None:
            self._history = slicer.vtkSegmentationHistory()
        if self._history.GetSegmentation() is not container:
            self._history.SetSegmentation(container)
        self._history.SaveState()
        # Segment Editor keeps its own history: its Undo button shall work too.
        editorModule = getattr(slicer.modules, "SegmentEditorWidget", None)
        editor = getattr(editorModule, "editor", None)
        if editor is not None and editor.segmentationNode() is segmentation:
            editor.saveStateForUndo()

    def canRestore(self, segmentation: vtkMRMLSegmentationNode | None) -> bool:
        """Tell whether a run replaced segments of `segmentation`."""
        return (
            self._history is not None
            and segmentation is not None
            and self._history.GetSegmentation() is segmentation.GetSegmentation()
            and bool(self._history.IsRestorePreviousStateAvailable())
        )

    def restore(self, segmentation: vtkMRMLSegmentationNode) -> None:
        """Bring back what the last run replaced.

        Raises
        ------
        InputError
            When nothing is known of `segmentation`.
        """
        if not self.canRestore(segmentation):
            raise InputError(_("There is nothing to undo."))
        self._history.RestorePreviousState()

    def forget(self) -> None:
        """Give back the memory of what could be undone."""
        self._history = None
