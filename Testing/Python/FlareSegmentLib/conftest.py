"""Batches with the real engine on a model with random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from FlareSegmentLib.batch import Batch, BatchSettings, CaseResult, run_batch
from FlareSegmentLib.cases import find_cases

Segment = Callable[..., list[CaseResult]]


@pytest.fixture
def scans(tmp_path: Path, tiny_ct: np.ndarray) -> Path:
    """Folder with the scans one and two."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name, array in (("one", tiny_ct), ("two", tiny_ct[:, ::-1])):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((9.0, 9.0, 9.0))
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
    return folder


@pytest.fixture
def segment(tiny_bundle: Path, scans: Path, tmp_path: Path) -> Segment:
    """Run a batch over the scans, or over the paths given, into the folder out."""

    def run(*inputs: Path, **settings: object) -> list[CaseResult]:
        output = tmp_path / "out"
        wanted = BatchSettings(output=output, model=tiny_bundle, device="cpu")
        wanted = type(wanted)(**{**wanted.__dict__, **settings})
        batch = Batch(find_cases(inputs or [scans], output), wanted)
        return run_batch(batch, lambda *_: None, lambda *_: None, lambda *_: None)

    return run
