"""What a batch is asked for, and what it says of each case."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .cases import Case

FORMATS = ("nii.gz", "nrrd", "seg.nrrd")
"""Formats of the label map; the last is Slicer's segmentation."""


@dataclass(frozen=True)
class BatchSettings:
    """What is wanted of every case.

    Attributes
    ----------
    output
        Folder of the results; made when missing.
    targets
        Keys of the targets, or None for all that the model knows.
    format
        One of `FORMATS`.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    model
        Folder of a model bundle; None is the bundled one.
    series, frame
        As in `read_volume`.
    json, preview
        Whether to write ``<case>_seg.json`` and ``<case>_seg.png`` too.
    overwrite
        Whether to replace what is there.
    """

    output: Path
    targets: tuple[str, ...] | None = None
    format: str = "nii.gz"
    device: str = "auto"
    model: Path | None = None
    series: str | None = None
    frame: int | None = None
    json: bool = False
    preview: bool = False
    overwrite: bool = False

    @property
    def endings(self) -> tuple[str, ...]:
        """Endings of the files of a case: the label map, and what was asked for beside it."""
        json, preview = ("json",) * self.json, ("png",) * self.preview
        return (self.format, *json, *preview)


@dataclass(frozen=True)
class CaseResult:
    """What became of one case.

    Attributes
    ----------
    case
        The case.
    state
        ``"done"``, ``"skipped"`` (it was finished before), ``"claimed"`` (another process works
        on it) or ``"failed"``.
    path
        The label map.
    report
        Of `case_report`, when done or skipped.
    message
        A sentence, when failed or claimed.
    """

    case: Case
    state: str
    path: Path
    report: dict[str, Any] | None = None
    message: str = ""
