"""Volumes that are frames of a sequence."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _

from FlareSegmentLib.errors import InputError


def sequenceBrowserOf(volume: vtkMRMLScalarVolumeNode) -> Any:
    """Give the sequence browser that shows `volume` as one of its frames, or None."""
    module = getattr(slicer.modules, "sequences", None)
    if module is None:
        return None
    return module.logic().GetFirstBrowserNodeForProxyNode(volume)


def framesOf(browser: Any) -> tuple[vtkMRMLScalarVolumeNode, list[vtkMRMLScalarVolumeNode]]:
    """Give the volume a sequence browser shows and its frames, which are not in the scene.

    Raises
    ------
    InputError
        When the browser shows no volume.
    """
    nodes = vtk.vtkCollection()
    browser.GetAllProxyNodes(nodes)
    proxies = [nodes.GetItemAsObject(i) for i in range(nodes.GetNumberOfItems())]
    volumes = [node for node in proxies if node.IsA("vtkMRMLScalarVolumeNode")]
    if not volumes:
        raise InputError(
            _("The sequence browser {name} shows no volume.").format(name=browser.GetName())
        )
    sequence = browser.GetSequenceNode(volumes[0])
    frames = [sequence.GetNthDataNode(i) for i in range(sequence.GetNumberOfDataNodes())]
    return volumes[0], frames
