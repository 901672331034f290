"""The code and the commands in README.md run as they stand there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

ROOT = Path(__file__).resolve().parents[3]


def code(language: str) -> list[str]:
    """The code blocks of a language, in order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", text)
    return [block for name, block in blocks if name == language]


def test_console_code_segments_measures_starts_and_cancels(
    slicer_host: Any, python: Any, add_scan: Callable[..., Any], tmp_path: Path
) -> None:
    """The two blocks for Slicer's console, one after the other; only the download is local."""
    import SampleData
    import slicer

    scan = tmp_path / "CTLiver.nrrd"
    slicer.util.saveNode(add_scan(), str(scan))
    slicer.mrmlScene.Clear()
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="General",
        sampleName="CTLiver",
        uris=scan.as_uri(),
        fileNames=scan.name,
        nodeNames="CTLiver",
    )
    blocks = code("python")
    waiting, calling = (block for block in blocks if "logic" in block and "Train" not in block)
    names: dict[str, Any] = {}
    exec(waiting, names)
    assert names["segmentation"].GetSegmentation().GetSegmentIDs() == ("liver", "spleen")
    assert names["table"].GetNumberOfRows() == 2
    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    exec(calling, names)
    slicer_host.process_events(until=lambda: not names["logic"].busy)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == before


def test_python_code_without_slicer_segments_a_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from FlareSegmentLib.phantom import PhantomSettings, make_phantom

    settings = PhantomSettings(seed=1, spacing=(5.0, 3.0, 3.0), bottom_mm=-60, top_mm=130)
    volume, _ = make_phantom(settings)
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array))
    image.SetSpacing((3.0, 3.0, 5.0))
    sitk.WriteImage(image, str(tmp_path / "scan.nii.gz"))
    monkeypatch.chdir(tmp_path)
    (block,) = (block for block in code("python") if "Segmenter" in block)
    names: dict[str, Any] = {}
    exec(block, names)
    label_map = names["label_map"]
    assert label_map.array.shape == volume.array.shape
    assert set(np.unique(label_map.array)) == {0, 1, 3}


def test_commands_do_what_they_say(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tiny_ct: np.ndarray,
    tiny_bundle: Path,
    write_dicom: Callable[..., Path],
) -> None:
    """Each line on files of these names; a model that is faster is all that is added."""
    from FlareSegmentLib.cli import main

    monkeypatch.chdir(tmp_path)
    for name in ("scan.nii.gz", "folder_of_scans/a.nrrd", "references/scan_label.nii.gz"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        image = sitk.GetImageFromArray((tiny_ct > 0).astype("u1") if "label" in name else tiny_ct)
        image.SetSpacing((9.0, 9.0, 9.0))
        sitk.WriteImage(image, str(path))
    write_dicom(tmp_path / "dicom_study", tiny_ct, "1.2.3", "1.2.3.4")
    lines = [line for block in code("") for line in block.splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith(".venv/bin/flare-seg")]
    assert len(commands) >= 4
    for words in commands:
        faster = [] if "evaluate" in words else ["--model", str(tiny_bundle)]
        assert main([*words, *faster]) == 0, words
    results = {path.name for path in (tmp_path / "results").iterdir()}
    assert {"scan_seg.nii.gz", "a_seg.seg.nrrd", "a_seg.png", "a_seg.json"} <= results
