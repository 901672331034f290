"""A phantom as files: the CT and its true labels."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import numpy as np

from .errors import InputError, OutputError
from .geometry import lps_to_ras
from .labels import targets
from .phantom.generate import PhantomSettings, make_phantom
from .volume import Volume
from .writing import write_label_map

_ENDING = ".nii.gz"


def write_phantom(
    output: Path, settings: PhantomSettings, overwrite: bool = False
) -> tuple[Path, Path]:
    """Make a phantom and write it.

    Parameters
    ----------
    output
        A ``.nii.gz`` file, or a folder, in which the file is ``phantom_<seed>.nii.gz``.
    settings
        Another seed is another patient.
    overwrite
        Whether files that are there may be replaced.

    Returns
    -------
    tuple of Path
        The CT, and the labels in ``<name>_label.nii.gz`` beside it.

    Raises
    ------
    InputError
        When the seed is negative.
    OutputError
        When the files are there already or cannot be written.
    """
    seed = settings.seed
    if seed < 0:
        raise InputError(f"The seed is {seed}. It must be 0 or more.")
    scan = output if output.name.endswith(_ENDING) else output / f"phantom_{seed}{_ENDING}"
    label = scan.with_name(scan.name.removesuffix(_ENDING) + f"_label{_ENDING}")
    for path in (scan, label):
        if path.exists() and not overwrite:
            raise OutputError(f"{path} is there already. Choose another name, or --overwrite.")
    try:
        scan.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {scan.parent} cannot be made ({error.strerror}). Choose another one."
        ) from error
    volume, labels = make_phantom(settings)
    write_label_map(label, np.ascontiguousarray(labels), volume.affine, targets())
    write_scan(scan, volume)
    return scan, label


def write_scan(path: Path, volume: Volume) -> None:
    """Write a volume as NIfTI, whole or not at all.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(volume.array)
    lps = lps_to_ras(volume.affine)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    part = path.with_name(f".{uuid4().hex}{_ENDING}")
    try:
        sitk.WriteImage(image, str(part), useCompression=True)
        os.replace(part, path)
    except (OSError, RuntimeError) as error:
        raise OutputError(
            f"{path} cannot be written. Check that the folder can be written and has free space."
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
