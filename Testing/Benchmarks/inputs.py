"""What the benchmarks run on: the real scans, and volumes of given size resampled from one."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measuring import ROOT

DEFAULT_CASE = "ircad_01"
"""512 x 512 x 129 voxels, liver to iliac crests, manual labels of seven targets."""


class MissingInputError(Exception):
    """A part cannot be measured; the text is the sentence for the report."""


@dataclass(frozen=True)
class Options:
    """What all parts have in common.

    Attributes
    ----------
    shared
        Folder with ``data/validation`` and ``teachers``.
    work
        Folder for volumes and results; made when missing, kept for the next run.
    model
        Bundle to measure.
    runs
        Runs per figure; the median is reported.
    slices
        Slices of the resampled volumes.
    in_plane
        Columns and rows of the resampled volumes; below 512 for a rehearsal.
    peer_slices
        Slices of the volume on which nnU-Net is measured.
    device
        ``cpu``, ``cuda`` or ``auto``.
    cases
        Real scans to use; empty for all.
    """

    shared: Path
    work: Path
    model: Path
    runs: int
    slices: tuple[int, ...]
    in_plane: int
    peer_slices: int
    device: str
    cases: tuple[str, ...]


def parser(description: str | None) -> argparse.ArgumentParser:
    """Give the command line that all parts share."""
    result = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = result.add_argument
    add("--shared", type=Path, default=ROOT.parent / "shared", help="real scans and teachers")
    add("--work", type=Path, default=ROOT / "build" / "benchmarks", help="folder for results")
    add("--model", type=Path, default=_default_model(), help="bundle to measure")
    add("--runs", type=int, default=3, help="runs per figure; the median is reported")
    add("--slices", type=int, nargs="+", default=[55, 150, 300, 554, 1000], help="volumes")
    add("--in-plane", type=int, default=512, help="columns and rows of the volumes")
    add("--peer-slices", type=int, default=300, help="slices of the volume for nnU-Net")
    add("--device", default="cpu", help="cpu, cuda or auto")
    add("--cases", nargs="+", default=[], metavar="CASE", help="real scans; all when empty")
    return result


def options(arguments: argparse.Namespace) -> Options:
    """Give the shared options; the working folder exists afterwards."""
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    return Options(
        shared=arguments.shared.resolve(),
        work=work,
        model=arguments.model.resolve(),
        runs=arguments.runs,
        slices=tuple(arguments.slices),
        in_plane=arguments.in_plane,
        peer_slices=arguments.peer_slices,
        device=arguments.device,
        cases=tuple(arguments.cases),
    )


def _default_model() -> Path:
    return ROOT / "Resources" / "Models" / "flare-base"


def model(chosen: Options) -> Path:
    """Give the bundle's folder, or say that it is missing."""
    if not (chosen.model / "model.json").is_file():
        raise MissingInputError(f"Not measured: there is no model bundle {chosen.model.name}.")
    return chosen.model


def teacher(chosen: Options) -> Path:
    """Give the teacher network's file, or say that it is missing."""
    path = chosen.shared / "teachers" / "flare25_light.onnx"
    if not path.is_file():
        raise MissingInputError("Not measured: teachers/flare25_light.onnx is not here (--shared).")
    return path


def validation_folder(chosen: Options) -> Path:
    """Give the folder of real scans with labels, or say that it is missing."""
    folder = chosen.shared / "data" / "validation"
    if not folder.is_dir():
        raise MissingInputError("Not measured: data/validation is not here (--shared).")
    return folder


def training_folder(chosen: Options) -> Path:
    """Give the folder with ``ct`` and ``pseudo``, or say that it is missing."""
    folder = chosen.shared / "data"
    if not (folder / "ct").is_dir():
        raise MissingInputError("Not measured: data/ct is not here (--shared).")
    return folder


def validation_cases(chosen: Options) -> list[str]:
    """Give the names of the chosen scans that have labels."""
    folder = validation_folder(chosen)
    cases = sorted(json.loads((folder / "annotated.json").read_text(encoding="utf-8")))
    return [case for case in cases if not chosen.cases or case in chosen.cases]


def scan_of(folder: Path, case: str) -> Path:
    """Give the file of a validation scan."""
    return folder / f"{case}_ct.nii.gz"


def resampled_scan(chosen: Options, slices: int, case: str = DEFAULT_CASE) -> tuple[Path, Path]:
    """Give a scan of `slices` slices with the anatomy of a real one, and its labels.

    The real scan is interpolated along the patient (labels: nearest slice) to the same extent in
    mm; in plane every n-th voxel is left out for a rehearsal. Files are made once.
    """
    folder = validation_folder(chosen)
    size = chosen.in_plane
    scan = chosen.work / f"{case}_{size}x{size}x{slices}.nii.gz"
    labels = chosen.work / f"{case}_{size}x{size}x{slices}_label.nii.gz"
    if not scan.is_file():
        _write_resampled(scan_of(folder, case), scan, slices, size, nearest=False)
    if not labels.is_file():
        _write_resampled(folder / f"{case}_label.nii.gz", labels, slices, size, nearest=True)
    return scan, labels


def _write_resampled(source: Path, path: Path, slices: int, size: int, nearest: bool) -> None:
    import SimpleITK as sitk

    image = sitk.ReadImage(str(source))
    step = max(1, image.GetWidth() // size)
    array = sitk.GetArrayFromImage(image)[:, ::step, ::step]
    scale = len(array) / slices
    position = ((np.arange(slices) + 0.5) * scale - 0.5).clip(0, len(array) - 1)
    result = np.empty((slices, *array.shape[1:]), dtype=array.dtype)
    for k, at in enumerate(position):
        lower = round(at) if nearest else int(at)
        upper = min(lower + 1, len(array) - 1)
        share = 0.0 if nearest else at - lower
        blend = array[lower] if share == 0 else (1 - share) * array[lower] + share * array[upper]
        result[k] = np.rint(blend)
    x, y, z = image.GetSpacing()
    # Edge-aligned: the first center moves by half the difference of the slice distances.
    origin = image.TransformContinuousIndexToPhysicalPoint((0.0, 0.0, (scale - 1) / 2))
    new = sitk.GetImageFromArray(result)
    new.SetDirection(image.GetDirection())
    new.SetOrigin(origin)
    new.SetSpacing((x * step, y * step, z * scale))
    part = path.with_name("part_" + path.name)
    sitk.WriteImage(new, str(part), True)
    part.replace(path)
