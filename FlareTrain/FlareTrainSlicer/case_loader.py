"""A case into the scene: a process reads it, then its nodes are made in steps."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from FlareSegmentLib.errors import FlareError

from .case_nodes import loadedView, nodeSteps
from .jobs import Job
from .section import WorkUnderWay
from .steps import Steps


class CaseLoader:
    """Loads one case at a time; a new wish takes the place of the last.

    Parameters
    ----------
    onText
        Called with a sentence for the user when something has changed.
    onError
        Called with what went wrong.
    """

    def __init__(
        self, onText: Callable[[str], None], onError: Callable[[FlareError], None]
    ) -> None:
        self._onText = onText
        self._onError = onError
        self._work = WorkUnderWay()
        self._folder: Path | None = None
        self._name = ""
        self._key = ""

    @property
    def busy(self) -> bool:
        """Whether a case is on its way."""
        return self._work.running()

    def cancel(self) -> None:
        """Leave the case that is on its way."""
        self._work.cancel()
        self._forgetFolder()

    def load(self, wanted: dict[str, Any]) -> None:
        """Load what `case_view.prepare_view` takes.

        Raises
        ------
        OutputError
            When the process cannot be started.
        """
        self.cancel()
        self._name = wanted["case"]
        self._key = viewKey(wanted)
        volume = loadedView(self._key)
        if volume is not None:
            # A second copy would hide what the user has corrected in the first.
            slicer.util.setSliceViewerLayers(background=volume, fit=True)
            text = _("{case} is in the scene already. Delete it there to load it again.")
            self._onText(text.format(case=self._name))
            return
        self._onText(_("Reading {case}...").format(case=self._name))
        job = Job("view", wanted, self._onRead, self._onFailed, keep=True)
        self._folder = job.folder
        self._work.put("read", job)

    def _onRead(self, folder: Path, _message: str) -> None:
        steps = nodeSteps(folder, self._key)
        self._work.put("show", Steps(steps, self._onShown, self._onFailed))

    def _onShown(self, nodes: tuple) -> None:
        self._forgetFolder()
        _volume, segmentations = nodes
        text = _("{case} is in the scene.") if segmentations else _("{case} has no labels.")
        self._onText(text.format(case=self._name))

    def _onFailed(self, error: FlareError) -> None:
        self._forgetFolder()
        logging.warning("FlareTrain: %s", error)
        self._onText("")
        self._onError(error)

    def _forgetFolder(self) -> None:
        if self._folder is not None:
            # Freeing hundreds of megabytes takes a file system longer than a window should wait.
            threading.Thread(target=shutil.rmtree, args=(self._folder, True)).start()
            self._folder = None


def viewKey(wanted: dict[str, Any]) -> str:
    """Give a text that tells one view of a case from all others."""
    return "|".join(str(wanted.get(name, "")) for name in ("data", "case", "run", "disagreement"))
