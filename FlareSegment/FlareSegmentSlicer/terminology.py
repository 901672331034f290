"""Our terms in Slicer's terminology selector."""

from __future__ import annotations

import slicer

from FlareSegmentLib.resources import resources_folder


def loadTerminology() -> None:
    """Make the 14 terms known to Slicer's terminology selector."""
    logic = slicer.modules.terminologies.logic()
    for path in sorted((resources_folder() / "Terminology").glob("*.term.json")):
        logic.LoadTerminologyFromFile(str(path))
