"""Volumes and HU of segments as they are now, also after editing."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _

from FlareSegmentLib import labels
from FlareSegmentLib.errors import InputError
from FlareSegmentLib.statistics import organ_statistics

from .segments import segmentMask
from .shared.target_tag import segmentIdsByTarget
from .shared.volume_nodes import ijkToRas


def measure(
    segmentation: vtkMRMLSegmentationNode | None, volume: vtkMRMLScalarVolumeNode | None
) -> list[dict[str, Any]]:
    """Give volume (ml) and HU of each of our structures in `segmentation`, in the usual order.

    Raises
    ------
    InputError
        When one of the two is None.
    """
    if segmentation is None or volume is None:
        raise InputError(_("A segmentation and a volume are needed."))
    ct = slicer.util.arrayFromVolume(volume)
    affine = ijkToRas(volume)
    rows: list[dict[str, Any]] = []
    for key, segmentId in segmentIdsByTarget(segmentation).items():
        mask, box = segmentMask(segmentation, segmentId, volume)
        label = labels.target_by_key(key).id
        rows += organ_statistics(mask.astype(np.uint8) * label, ct[box], affine, [key])
    order = [target.key for target in labels.targets()]
    return sorted(rows, key=lambda row: order.index(row["key"]))
