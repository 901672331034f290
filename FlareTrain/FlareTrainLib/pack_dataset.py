"""Refined cases onto a working grid: the step between labels and training."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from FlareSegmentLib.checking import check_ct
from FlareSegmentLib.errors import FlareError, InputError
from FlareSegmentLib.labels import target_by_key
from FlareSegmentLib.localiser import TUBES

from .activity import tell
from .case_loading import load_case
from .dataset import Dataset, DatasetCase
from .grid import PackSettings
from .label_values import IGNORE
from .packing import PackedCase, pack_case, read_index, write_index
from .refinement import LABELS, RefinedCase, read_refined_labels
from .settings import read_json, settings_to_json, write_json
from .whole_files import made_folder

logger = logging.getLogger(__name__)


def pack_refined(
    dataset: Dataset,
    refined: Sequence[RefinedCase],
    refined_folder: Path,
    output: Path,
    settings: PackSettings,
) -> None:
    """Pack refined cases; a case whose labels did not change since is not packed again.

    Raises
    ------
    InputError
        When a scan cannot be read or does not fit its labels.
    """
    made_folder(output)
    scans = {case.name: case for case in dataset.cases}
    entries = []
    for number, case in enumerate(refined, start=1):
        tell("packing", number, len(refined))
        labels_file = refined_folder / LABELS / f"{case.name}.nii.gz"
        made_from = {
            "settings": _of_one_case(settings),
            "labels": labels_file.stat().st_mtime_ns,
            "case": settings_to_json(case),
        }
        note = output / f"{case.name}.json"
        if not (note.exists() and read_json(note)["made_from"] == made_from):
            own = _pack(dataset, scans[case.name], case, labels_file, output, settings)
            write_json(note, {"made_from": made_from, "spacing": own})
        spacing = tuple(read_json(note)["spacing"])
        entries.append(
            PackedCase(case.name, case.annotated, case.pseudo, case.tumor, "scan", spacing)
        )
    write_index(output, [*entries, *_negatives_there(output, settings)], settings.spacing)
    if settings.negatives:
        from .negative_cases import add_negative_cases

        add_negative_cases(output, settings.negatives)
    _add_anatomy(dataset, output, settings)
    _add_taught(dataset, output, settings)


def _of_one_case(settings: PackSettings) -> dict[str, Any]:
    """Settings that decide how a case is packed; added cases do not change the others."""
    content = settings_to_json(settings)
    content.pop("anatomy")
    content.pop("taught")
    return content


def _add_anatomy(dataset: Dataset, output: Path, settings: PackSettings) -> None:
    """Add the scans deformed towards other patients, where the dataset has label maps of them."""
    if not settings.anatomy.shapes or not settings.anatomy.cases:
        return
    shapes = dataset.folder / settings.anatomy.shapes
    if not shapes.is_dir():
        logger.warning(
            "%s is not there, so no scan is deformed towards other patients' anatomy. The recipe "
            "asks for it: put label maps of the 13 organs there to use them.",
            shapes,
        )
        return
    from .anatomy import add_anatomy_cases

    deformed = add_anatomy_cases(output, output, shapes, settings.anatomy)
    cases, spacing = read_index(output)
    write_index(output, [*cases, *deformed], spacing)


def _add_taught(dataset: Dataset, output: Path, settings: PackSettings) -> None:
    """Add distorted scans with a teacher's labels, where the teacher is there."""
    if not settings.taught.teacher or not settings.taught.cases:
        return
    from .taught_cases import add_taught_cases
    from .teacher_network import teacher_file

    try:
        teacher_file(settings.taught, dataset.folder)
    except InputError:
        logger.warning(
            "The teacher %s is not there, so no distorted scan is labeled by it. The recipe asks "
            "for it: give a bundle, or an ONNX file relative to %s, to use one.",
            settings.taught.teacher,
            dataset.folder,
        )
        return
    taught = add_taught_cases(output, settings.taught, dataset.folder)
    cases, spacing = read_index(output)
    write_index(output, [*cases, *taught], spacing)


def _negatives_there(output: Path, settings: PackSettings) -> list[PackedCase]:
    """Volumes without abdomen that were packed before, on the same grid."""
    if not settings.negatives or not (output / "index.json").exists():
        return []
    cases, spacing = read_index(output)
    if tuple(spacing) != tuple(settings.spacing):
        return []
    return [
        case for case in cases if case.kind == "negative" and (output / f"{case.name}.npz").exists()
    ]


def organ_box(
    labels: np.ndarray, spacing: Sequence[float], margin_mm: Sequence[float]
) -> tuple[slice, ...]:
    """Box around the labeled organs other than tubes, and a margin; the whole array without any."""
    tubes = [target_by_key(key).id for key in TUBES]
    organs = (labels > 0) & (labels != IGNORE) & ~np.isin(labels, tubes)
    if not organs.any():
        return tuple(slice(0, n) for n in labels.shape)
    box = []
    for axis in range(3):
        hits = np.flatnonzero(organs.any(axis=tuple(a for a in range(3) if a != axis)))
        grow = int(np.ceil(margin_mm[axis] / spacing[axis]))
        box.append(
            slice(max(0, int(hits[0]) - grow), min(labels.shape[axis], int(hits[-1]) + grow + 1))
        )
    return tuple(box)


def _pack(
    dataset: Dataset,
    scan_case: DatasetCase,
    case: RefinedCase,
    labels_file: Path,
    output: Path,
    settings: PackSettings,
) -> list[float]:
    """Pack one case; its own spacing when the size is fixed, else an empty list."""
    # The refined labels were written in canonical axes on the scan's canonical grid.
    volume = load_case(dataset, replace(scan_case, labels=None)).volume
    labels = read_refined_labels(labels_file, volume)
    # What is put right before a scan is segmented is put right before one is learned from.
    try:
        image, spacing = check_ct(volume).array, volume.spacing
    except FlareError as error:
        raise type(error)(f"{error} Or take {case.name} out of the training cases.") from error
    if settings.crop_margin_mm:
        box = organ_box(labels, spacing, settings.crop_margin_mm)
        image, labels = image[box], labels[box]
    entry = PackedCase(case.name)
    pack_case(output, entry, image, labels, spacing, settings.spacing, settings.fixed_size)
    if not settings.fixed_size:
        return []
    return [
        float(s) * n / m for s, n, m in zip(spacing, image.shape, settings.fixed_size, strict=True)
    ]
