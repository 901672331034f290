"""A run: the volumes to segment, how, and what has come back for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import slicer
from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _

from FlareSegmentLib import labels
from FlareSegmentLib.errors import InputError
from FlareSegmentLib.volume import LabelMap
from FlareSegmentLib.worker_request import SegmentRequest

from .roi import RoiBox, roiBox
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
    roi
        Markups ROI outside of which nothing is wanted; None for the whole volume.
    """

    targets: Sequence[str] | None = None
    device: str = "auto"
    model: str | Path | None = None
    roi: vtkMRMLMarkupsROINode | None = None


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
    boxes
        What is wanted of each frame; empty for all.
    results
        What has come back so far, in the order of `frames`.
    """

    volume: vtkMRMLScalarVolumeNode
    frames: list[vtkMRMLScalarVolumeNode]
    segmentation: vtkMRMLSegmentationNode | None
    options: JobOptions
    browser: Any = None
    boxes: list[RoiBox] = field(default_factory=list)
    results: list[LabelMap] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._fingerprints = [fingerprint(frame) for frame in self.frames]

    @property
    def done(self) -> bool:
        """Whether each frame has its result."""
        return len(self.results) == len(self.frames)

    def nextRequest(self) -> SegmentRequest:
        """Give the request for the first frame without a result."""
        number = len(self.results)
        frame, model = self.frames[number], self.options.model
        return SegmentRequest(
            engineVolume(frame, self.volume.GetName() or ""),
            self.options.targets,
            Path(model) if model else None,
            self.options.device,
            self.boxes[number].box if self.boxes else None,
        )

    def take(self, result: LabelMap) -> None:
        """Take the result of the frame that `nextRequest` was for."""
        if self.boxes:
            notes = [*result.report["notes"], self.boxes[len(self.results)].note]
            result = replace(result, report={**result.report, "notes": notes})
        self.results.append(result)

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
    boxes = [roiBox(options.roi, frame, volume) for frame in frames] if options.roi else []
    return Job(volume, frames, segmentation, replace(options, targets=targets), browser, boxes)
