"""What is chosen in the panel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _

from FlareSegmentLib import labels

from ..sequences import sequenceBrowserOf


@dataclass(frozen=True)
class Choices:
    """The panel's choices as a run needs them.

    Attributes
    ----------
    volume, segmentation
        The nodes chosen, or None.
    browser
        Of the sequence that the volume is a frame of, None for a single volume.
    allFrames
        Whether all frames are wanted.
    roi
        The box to look at, or None.
    targets
        Keys of the checked structures, in the usual order.
    device
        ``"auto"``, ``"cuda"`` or ``"cpu"``.
    model
        Folder of the model, None for the bundled one.
    """

    volume: vtkMRMLScalarVolumeNode | None = None
    segmentation: vtkMRMLSegmentationNode | None = None
    browser: Any = None
    allFrames: bool = False
    roi: vtkMRMLMarkupsROINode | None = None
    targets: tuple[str, ...] = ()
    device: str = "auto"
    model: Path | None = None

    @property
    def source(self) -> Any:
        """What to segment: the volume, or the browser for all frames."""
        return self.browser if self.allFrames and self.browser is not None else self.volume

    @property
    def reasonNotToRun(self) -> str:
        """What is missing for a run, "" when nothing is."""
        if not self.volume:
            return _("Choose a CT volume.")
        return self.reasonWithoutTargets

    @property
    def reasonWithoutTargets(self) -> str:
        """Say that no structure is checked, "" when some are."""
        return "" if self.targets else _("Check at least one structure.")


def choicesOf(parameterNode: Any) -> Choices:
    """Give what a parameter node says; without a node nothing but all structures is chosen."""
    keys = [target.key for target in labels.targets()]
    if not parameterNode:
        return Choices(targets=tuple(keys))
    volume, skipped = parameterNode.inputVolume, set(parameterNode.skippedTargets)
    return Choices(
        volume=volume,
        segmentation=parameterNode.outputSegmentation,
        browser=sequenceBrowserOf(volume) if volume else None,
        allFrames=parameterNode.allFrames,
        roi=parameterNode.roi,
        targets=tuple(key for key in keys if key not in skipped),
        device=parameterNode.device.value,
        model=Path(parameterNode.modelFolder) if parameterNode.modelFolder else None,
    )
