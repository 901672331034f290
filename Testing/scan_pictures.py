"""Segment a real scan in the Slicer module and draw it with Slicer's own displayable managers.

Usage: python Testing/scan_pictures.py [scan] [folder]

Writes `result_views.png` (axial, coronal, sagittal, 3D), `result_preview.png` (the command line's
preview) and `panel_real.png` (the panel after the run). Without a scan the validation scan
`totalseg_example` of ../shared/data is taken; where that is missing, a phantom. Each picture keeps
with which weights it was made.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from picture_origin import sign
from picture_stage import ROOT, shown_path, stage
from results_page import weights_of

MODEL = ROOT / "Resources/Models/flare-base"
REAL = ROOT.parent / "shared/data/validation/totalseg_example_ct.nii.gz"


def scan_for(path: Path | None) -> Any:
    """The scan to segment, a `FlareSegmentLib.volume.Volume`."""
    from FlareSegmentLib.phantom import PhantomSettings, make_phantom
    from FlareSegmentLib.reading import read_volume

    if path is not None or REAL.is_file():
        return read_volume(path or REAL)
    print("no real scan beside the repository: a phantom is drawn", file=sys.stderr)
    return make_phantom(PhantomSettings(seed=1))[0]


def into_scene(scan: Any, name: str) -> Any:
    """The scan as a volume node."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, scan.array)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(scan.affine))
    return node


def draw(host: Any, scan: Any, folder: Path) -> list[Path]:
    """Run the module on the scan and write the pictures."""
    import slicer

    from FlareSegmentLib.preview import render_preview
    from SlicerHost.views import render_views

    module = host.load_module(ROOT / "FlareSegment/FlareSegment.py")
    panel = module.enter()
    volume = into_scene(scan, "Abdominal CT")
    panel.ui.inputSelector.setCurrentNode(volume)
    panel.ui.applyButton.click()
    while panel.logic.busy:
        slicer.app.processEvents()
    segmentation = panel.ui.outputSelector.currentNode()
    if segmentation is None:
        raise RuntimeError(f"the run ended without a result: {panel.ui.statusLabel.text}")
    segmentation.CreateClosedSurfaceRepresentation()
    pictures = [folder / f"{name}.png" for name in ("result_views", "result_preview", "panel_real")]
    render_views(slicer.mrmlScene, volume, segmentation, pictures[0])
    render_preview(scan, labels_of(segmentation, volume), pictures[1])
    module.panel().resize(460, 760)
    module.panel().grab().save(str(pictures[2]))
    return [path for path in pictures if path.is_file()]


def labels_of(segmentation: Any, volume: Any) -> Any:
    """Label map (k, j, i) uint8 of the segments that carry a target's key as their ID."""
    import numpy as np
    import slicer

    from FlareSegmentLib.labels import targets

    array = np.zeros(slicer.util.arrayFromVolume(volume).shape, np.uint8)
    present = segmentation.GetSegmentation().GetSegmentIDs()
    for target in targets():
        if target.key in present:
            mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, target.key, volume)
            array[mask > 0] = target.id
    return array


def main() -> int:
    """Write the pictures and name them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("scan", nargs="?", type=Path)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "Screenshots")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with stage() as (host, _home):
        for path in draw(host, scan_for(arguments.scan), arguments.folder):
            sign(path, weights_of(MODEL))
            print(shown_path(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
