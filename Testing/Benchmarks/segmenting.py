"""Many scans through `flare-segment` at once, as files, and scans written for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import inputs
import numpy as np
from inputs import Options
from measuring import ScriptFailedError, python_path

if TYPE_CHECKING:
    from FlareSegmentLib.volume import Volume

FAILED = 1
"""Exit code of `flare-segment` when a case could not be segmented and the others could."""


def emptied(folder: Path) -> Path:
    """Give the folder without what an earlier run left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_scan(folder: Path, name: str, volume: Volume) -> Path:
    """Write a scan as ``<name>.nii``; not compressed, because that takes longer than segmenting."""
    return _write(folder / f"{name}.nii", volume.array, volume.affine)


def write_labels(folder: Path, name: str, labels: np.ndarray, affine: np.ndarray) -> Path:
    """Write a label map as ``<name>_label.nii``."""
    return _write(folder / f"{name}_label.nii", labels.astype(np.uint8), affine)


def _write(path: Path, array: np.ndarray, affine: np.ndarray) -> Path:
    import SimpleITK as sitk

    from FlareSegmentLib.geometry import set_image_affine

    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    set_image_affine(image, affine)
    sitk.WriteImage(image, str(path))
    return path


def segment_folder(chosen: Options, scans: Path, output: Path) -> list[str]:
    """Segment all scans of a folder in one process of `flare-segment`.

    Returns
    -------
    Names of the scans that were refused; each of the others has ``<name>_seg.nii.gz`` in `output`.

    Raises
    ------
    ScriptFailedError
        When the command itself ended with an error.
    """
    command = [sys.executable, "-m", "FlareSegmentLib", "segment", str(scans), "-o", str(output)]
    command += ["--model", str(inputs.model(chosen)), "--device", chosen.device]
    command += ["--json", "--overwrite"]
    environment = os.environ | {"PYTHONPATH": python_path(), "PYTHONUTF8": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode not in (0, FAILED):
        raise ScriptFailedError(
            f"flare-segment ended with {done.returncode}: {done.stderr[-2000:]}"
        )
    names = sorted(path.name.removesuffix(".nii") for path in scans.glob("*.nii"))
    missing = [name for name in names if not (output / f"{name}_seg.nii.gz").is_file()]
    if len(missing) == len(names):
        raise ScriptFailedError(f"flare-segment segmented no scan: {done.stderr[-2000:]}")
    return missing
