"""The training data of a study, made once: scans reduced, synthetic patients added."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from FlareSegmentLib.geometry import canonical_volume
from FlareSegmentLib.labels import targets
from FlareSegmentLib.phantom.generate import PhantomSettings, make_phantom
from FlareSegmentLib.phantom_file import write_scan
from FlareSegmentLib.reading import read_label_map
from FlareSegmentLib.resampling import grid_size, resample_labels, resample_volume
from FlareSegmentLib.volume import Volume
from FlareSegmentLib.writing import write_label_map

from .case_files import label_files
from .case_loading import load_case
from .dataset import Dataset, DatasetCase, read_dataset
from .file_links import link
from .settings import read_json, write_json
from .study_settings import StudySettings
from .whole_files import made_folder

logger = logging.getLogger(__name__)

FIRST_SEED = 3000
"""Of the synthetic patients; tests and demonstrations use smaller ones."""

DONE = "complete.json"


def study_data(data: Path, folder: Path, settings: StudySettings) -> Dataset:
    """Make the dataset of a study in `folder`, unless it is there, and read it.

    Validation scans are linked as they are: they are never reduced.

    Raises
    ------
    InputError
        When `data` cannot be read.
    """
    made_from = {"data": str(data), "reduce": settings.reduce_mm, "phantoms": settings.phantoms}
    if not (folder / DONE).exists() or read_json(folder / DONE) != made_from:
        dataset = read_dataset(data)
        for part in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
            made_folder(folder / part)
        annotated: dict[str, Mapping[str, object]] = {}
        for case in dataset.cases:
            _write_case(dataset, case, folder, settings.reduce_mm)
            annotated[case.name] = _entry(case)
        for case in dataset.validation:
            _link_validation(case, folder)
            annotated[case.name] = _entry(case)
        for number in range(settings.phantoms):
            name = f"phantom_{number}"
            _write_phantom(folder, name, FIRST_SEED + number, settings.reduce_mm)
            annotated[name] = {"annotated": [target.id for target in targets()]}
        names = {"background": 0, **{target.key: target.id for target in targets()}}
        write_json(folder / "dataset.json", {"labels": names, "file_ending": ".nii.gz"})
        write_json(folder / "annotated.json", annotated)
        write_json(folder / DONE, made_from)
    return read_dataset(folder)


def _entry(case: DatasetCase) -> dict[str, object]:
    return {"annotated": list(case.annotated), "absent": list(case.absent)}


def _write_case(dataset: Dataset, case: DatasetCase, folder: Path, least_mm: float) -> None:
    """Write scan, truth and every source's labels of a case, on one reduced grid."""
    scan = load_case(dataset, case)
    volume = _reduced(scan.volume, least_mm)
    size = volume.array.shape
    write_scan(folder / "imagesTr" / f"{case.name}_0000.nii.gz", volume)
    if scan.labels is not None:
        labels = resample_labels(scan.labels, size)
        write_label_map(
            folder / "labelsTr" / f"{case.name}.nii.gz", labels, volume.affine, targets()
        )
    for name, source in dataset.sources.items():
        path = label_files(source).get(case.name)
        if path is None:
            continue
        array, affine = read_label_map(path)
        drawn, _ = canonical_volume(Volume(array, affine, case.name))
        labels = resample_labels(np.ascontiguousarray(drawn.array).astype(np.uint8), size)
        place = made_folder(folder / "pseudo" / name)
        write_label_map(place / f"{case.name}.nii.gz", labels, volume.affine, targets())
    logger.info("study data: %s, %s voxels", case.name, size)


def _reduced(volume: Volume, least_mm: float) -> Volume:
    """Give the volume at a spacing of at least `least_mm`; voxel edges stay where they are."""
    wanted = [max(spacing, least_mm) for spacing in volume.spacing]
    size = grid_size(volume.array.shape, volume.spacing, wanted)
    if size == volume.array.shape:
        return volume
    array = resample_volume(volume.array, size).round().numpy().astype(np.int16)
    # From (i, j, k) of the new grid to that of the old one: edges coincide, not centers.
    factors = np.array(volume.array.shape[::-1]) / np.array(size[::-1])
    step = np.diag([*factors, 1.0])
    step[:3, 3] = (factors - 1) / 2
    return replace(volume, array=array, affine=volume.affine @ step)


def _write_phantom(folder: Path, name: str, seed: int, least_mm: float) -> None:
    spacing = (max(2.5, least_mm), max(1.5, least_mm), max(1.5, least_mm))
    volume, labels = make_phantom(PhantomSettings(seed=seed, spacing=spacing))
    write_scan(folder / "imagesTr" / f"{name}_0000.nii.gz", volume)
    path = folder / "labelsTr" / f"{name}.nii.gz"
    write_label_map(path, np.ascontiguousarray(labels), volume.affine, targets())


def _link_validation(case: DatasetCase, folder: Path) -> None:
    assert case.labels is not None
    for source, name in (
        (case.scan, f"imagesTs/{case.name}_0000.nii.gz"),
        (case.labels, f"labelsTs/{case.name}.nii.gz"),
    ):
        link(source, folder / name)
