"""An independent application on Slicer's core opens what is saved here.

Skipped where trame-slicer has no environment of its own; ``trame_reader.py`` says how to make it.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
TERMINOLOGY = "FlareSegment~SCT^123037004^Anatomical Structure~SCT^10200004^Liver~^^~~^^~^^"
COLOR = (221 / 255, 130 / 255, 101 / 255)


def test_a_saved_scene_opens_in_trame_slicer(slicer_host, tmp_path):
    import slicer

    python = ROOT / ".venv-trame" / "bin" / "python"
    if not python.exists():
        pytest.skip(
            "trame-slicer is not here: no .venv-trame (see Testing/SlicerHost/trame_reader.py)"
        )
    array = np.full((12, 20, 24), -500, np.int16)
    volume = slicer.util.addVolumeFromArray(array, name="ct")
    volume.SetSpacing(2.0, 2.0, 5.0)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organs")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segment_id = node.GetSegmentation().AddEmptySegment("liver", "Liver", COLOR)
    node.GetSegmentation().GetSegment(segment_id).SetTerminology(TERMINOLOGY)
    mask = np.zeros(array.shape, np.uint8)
    mask[3:9, 4:16, 5:15] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment_id, volume)
    scene, picture = tmp_path / "scene.mrb", tmp_path / "picture.png"
    assert slicer.util.saveScene(str(scene))

    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    script = ROOT / "Testing" / "SlicerHost" / "trame_reader.py"
    command = [python, script, scene, picture]
    result = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    (found,) = json.loads(result.stdout)
    assert (found["id"], found["name"], found["terminology"]) == ("liver", "Liver", TERMINOLOGY)
    assert found["color"] == pytest.approx(COLOR, abs=1e-3)
    assert found["spacing"] == pytest.approx([2.0, 2.0, 5.0])
    assert found["voxels"] == int(mask.sum())
    drawn = np.asarray(Image.open(picture)).astype(int)[:, 480:]
    like_liver = (drawn[..., 0] > drawn[..., 2] + 40).sum()
    assert like_liver > 1000
