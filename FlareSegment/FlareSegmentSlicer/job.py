"""A run: the volumes to segment, how, and what has come back for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import slicer
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _

from FlareSegmentLib import labels
from FlareSegmentLib.errors import InputError
from FlareSegmentLib.volume import LabelMap
from FlareSegmentLib.worker_client import SegmentRequest

from .sequences import framesOf
from .shared.volume_nodes import engineVolume
from .volume_checks import checkSameTransform, checkTransform, checkVolume, fingerprint


@dataclass(frozen=True)
class JobOptions:
    """How to segment.

    Attributes
    ----------
    targets
        Keys of the structures; all when None.
    device
        ``"auto"``, ``"cuda"`` or ``"cpu"``.
    model
        Folder of a model bundle; the bundled model when None.
    """

    targets: Sequence[str] | None = None
    device: str = "auto"
    model: str | Path | None = None


@dataclass
class Job:
    """A run on one volume or on the frames of a sequence.

    Attributes
    ----------
    volume
        What is segmented, or the node that shows the frames.
    frames
        The volumes, in order; those of a sequence are not in the scene.
    segmentation
        Where the result goes; a new one when None. Not used for a sequence.
    options
        With targets checked.
    browser
        Of the sequence, None for a single volume.
    results
        What has come back so far, in the order of `frames`.
    """

    volume: vtkMRMLScalarVolumeNode
    frames: list[vtkMRMLScalarVolumeNode]
    segmentation: vtkMRMLSegmentationNode | None
    options: JobOptions
    browser: Any = None
    results: list[LabelMap] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._fingerprints = [fingerprint(frame) for frame in self.frames]

    @property
    def done(self) -> bool:
        """Whether each frame has its result."""
        return len(self.results) == len(self.frames)

    def nextRequest(self) -> SegmentRequest:
        """Give the request for the first frame without a result."""
        frame = self.frames[len(self.results)]
        model = self.options.model
        return SegmentRequest(
            engineVolume(frame, self.volume.GetName() or ""),
            self.options.targets,
            Path(model) if model else None,
            self.options.device,
        )

    def rows(self) -> list[dict[str, Any]]:
        """Give the statistics that came with the results, frame by frame."""
        rows: list[dict[str, Any]] = []
        for number, result in enumerate(self.results):
            frame = {"frame": number + 1} if self.browser is not None else {}
            rows += [{**frame, **row} for row in result.report["statistics"]]
        return rows

    def checkUnchanged(self) -> None:
        """Raise `InputError` when a volume is gone or another than when the job was made."""
        present = slicer.mrmlScene.IsNodePresent(self.volume)
        if not present or [fingerprint(frame) for frame in self.frames] != self._fingerprints:
            raise InputError(
                _("The volume was removed or changed while it was segmented. Run again.")
            )


def prepareJob(
    source: Any, segmentation: vtkMRMLSegmentationNode | None, options: JobOptions
) -> Job:
    """Check everything that can be checked before time is spent.

    Parameters
    ----------
    source
        A volume, or a sequence browser whose frames are volumes.
    segmentation
        Where the result goes; a new one when None.
    options
        How to segment.

    Raises
    ------
    InputError
        With a sentence for the user.
    """
    if source is None:
        raise InputError(_("No volume was given. Choose a CT volume."))
    browser = source if source.IsA("vtkMRMLSequenceBrowserNode") else None
    volume, frames = (source, [source]) if browser is None else framesOf(browser)
    for frame in frames:
        checkVolume(frame, volume.GetName())
    checkTransform(volume)
    targets = options.targets
    if targets is not None:
        targets = labels.parse_targets(list(targets))
    if segmentation is not None:
        checkSameTransform(segmentation, volume)
    checked = JobOptions(targets, options.device, options.model)
    return Job(volume, frames, segmentation, checked, browser)
