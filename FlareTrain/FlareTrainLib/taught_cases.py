"""Distorted scans labelled by a teacher, as further training cases.

A label map that is warped along with its scan is an approximation, and one label per voxel hides
what a good network is unsure of. A teacher that labels the distorted scan itself gives its answer
to an image nobody has seen: the student learns a function, not a list of label maps. So
distortions may be stronger, scans may be mixed, and few scans go further (Beyer et al. 2022,
"Knowledge distillation: a good teacher is patient and consistent").
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .activity import tell
from .augmentation import (
    change_intensity,
    coarsened,
    random_displacement,
    random_matrix,
    warp,
)
from .label_values import IGNORE, TUMOR
from .packing import PackedCase, read_case, read_index, write_case
from .random_fields import random_field
from .settings import read_json, settings_to_json, write_json
from .teacher_network import TeacherNetwork, open_teacher, teacher_file
from .teacher_settings import LARGEST, TaughtSettings

logger = logging.getLogger(__name__)

MARK = "_taught_"
"""Between the name of the scan and the number of the case."""

END_MM = 10.0
"""Cut off above and below after labelling: there the teacher saw half of the surroundings."""

NODE_MM = 45.0
"""Distance of the nodes of an elastic distortion, and of those of a mixture of two scans."""

COARSEST = (2.5, 2.2, 2.2)
"""Largest factors (k, j, i) by which voxels are made larger."""

BORDER = 12.0
"""Steepness of the borders in a mixture."""


@dataclass(frozen=True)
class _Cut:
    """A distorted scan: HU, labels that were warped along, and where its centre lies.

    Attributes
    ----------
    ahead
        Voxels (k, j, i) from the middle of the scan's organs to the centre.
    """

    image: Tensor
    labels: Tensor
    ahead: np.ndarray


def add_taught_cases(folder: Path, settings: TaughtSettings, home: Path) -> list[PackedCase]:
    """Distort packed scans and let the teacher label them; what is there is not made again.

    Parameters
    ----------
    folder
        Packed folder with an index; the cases are written there, the index is not changed.
    home
        Folder that the teacher's path is relative to.

    Raises
    ------
    InputError, BundleError
        When the teacher cannot be used.
    OutputError
        When a case cannot be written.
    """
    cases, spacing = read_index(folder)
    # Looked up once: a bundle's name is searched for among all models.
    file = teacher_file(settings, home)
    scans = [c for c in cases if c.kind == "scan" and MARK not in c.name and not c.spacing]
    teacher: TeacherNetwork | None = None
    made = []
    for number in range(settings.cases):
        tell("packing", number + 1, settings.cases)
        rng = np.random.default_rng([settings.seed, number])
        scan, other = (scans[int(n)] for n in rng.integers(len(scans), size=2))
        name = f"{scan.name}{MARK}{number:04d}"
        note = folder / f"{name}.json"
        wanted = _made_from(folder, (scan, other), settings, file)
        if not (note.exists() and read_json(note)["made_from"] == wanted):
            teacher = teacher or open_teacher(settings, home)
            image, origins = distorted_scan(folder, (scan, other), spacing, settings, rng)
            _write(folder, name, image, spacing, teacher)
            shown = [case.name for case in origins]
            targets = list(teacher.targets)
            write_json(note, {"made_from": wanted, "targets": targets, "scans": shown})
            logger.info("taught %s: %s", name, " and ".join(shown))
        facts = read_json(note)
        origins = [c for c in (scan, other) if c.name in facts["scans"]]
        made.append(_entry(name, facts["targets"], origins))
    return made


def _write(
    folder: Path, name: str, image: np.ndarray, spacing: tuple[float, ...], teacher: TeacherNetwork
) -> None:
    """Label an image and write it without its ends."""
    labels, soft = teacher.label(image, spacing)
    end = min(round(END_MM / spacing[0]), (len(image) - 1) // 2)
    kept = slice(end, len(image) - end)
    write_case(folder, name, image[kept], labels[kept], soft.slices(kept))


def _entry(name: str, targets: Sequence[int], origins: Sequence[PackedCase]) -> PackedCase:
    """Give the index entry; a teacher without tumors says nothing about them."""
    tumor = "absent" if all(case.tumor == "absent" for case in origins) else "unknown"
    if TUMOR in targets:
        tumor = "pseudo"
    return PackedCase(name, pseudo=tuple(t for t in targets if t != TUMOR), tumor=tumor)


def _made_from(
    folder: Path, scans: Sequence[PackedCase], settings: TaughtSettings, teacher: Path
) -> dict[str, Any]:
    content = settings_to_json(settings)
    # How many cases are made does not change one of them.
    content.pop("cases")
    files = [folder / f"{case.name}.npz" for case in scans] + [teacher]
    stats = {file.name: [file.stat().st_size, file.stat().st_mtime_ns] for file in files}
    return {"settings": content, "files": stats}


def distorted_scan(
    folder: Path,
    scans: tuple[PackedCase, PackedCase],
    spacing: tuple[float, ...],
    settings: TaughtSettings,
    rng: np.random.Generator,
) -> tuple[np.ndarray, list[PackedCase]]:
    """A piece of the first scan, distorted, sometimes with the second one in it.

    Parameters
    ----------
    folder
        Packed folder of the scans.
    spacing
        (k, j, i) mm of both.

    Returns
    -------
    image, origins
        (k, j, i) int16 HU, and the scans that it shows.
    """
    length = round(rng.uniform(*settings.length_mm) / spacing[0])
    cut = _cut(folder, scans[0], spacing, settings, rng, length=length)
    image, labels, origins = cut.image, cut.labels, [scans[0]]
    kind = rng.random()
    if kind < settings.blended + settings.mixed:
        other = _cut(folder, scans[1], spacing, settings, rng, beside=cut)
        weight = (
            torch.full(image.shape, rng.uniform(0.1, 0.45))
            if kind < settings.blended
            else _patches(image.shape, spacing, rng)
        )
        image = torch.lerp(image, other.image, weight)
        labels = torch.where(weight > 0.5, other.labels, labels)
        origins = list(dict.fromkeys((*origins, scans[1])))
    image = change_intensity(image, labels, rng, settings.distortion, spacing)
    if rng.random() < settings.coarse:
        image = coarsened(image, [rng.uniform(1, most) for most in COARSEST])
    return image.round().clamp(-1024, 3071).numpy().astype(np.int16), origins


def _cut(
    folder: Path,
    case: PackedCase,
    spacing: tuple[float, ...],
    settings: TaughtSettings,
    rng: np.random.Generator,
    length: int = 0,
    beside: _Cut | None = None,
) -> _Cut:
    """Cut out a distorted piece of `length` slices, or one for a mixture with `beside`."""
    image, labels = (torch.from_numpy(array) for array in read_case(folder, case.name))
    shape = np.asarray(image.shape)
    low, high = _organs(labels)
    middle = (low + high) / 2
    if beside is not None:
        size = tuple(beside.image.shape)
        centre = middle + beside.ahead
    else:
        size = (min(length, shape[0]), *np.minimum(shape[1:], LARGEST))
        half = (np.asarray(size) - 1) / 2
        centre = middle.copy()
        # Between a piece that begins above the lowest organs and one that ends below the highest.
        centre[0] = rng.uniform(*sorted((low[0] + half[0] / 2, high[0] - half[0] / 2)))
        centre = np.clip(centre, half, shape - 1 - half)
    size = (int(size[0]), int(size[1]), int(size[2]))
    nodes = [max(4, round(n * s / NODE_MM)) for n, s in zip(size, spacing, strict=True)]
    matrix = random_matrix(rng, settings.distortion, spacing)
    field = random_displacement(rng, settings.distortion, spacing, nodes)
    warped, moved = warp(image, labels, centre, size, matrix, field)
    return _Cut(warped, moved, centre - middle)


def _organs(labels: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """First and last voxel (k, j, i) with a target; those of the whole scan without any."""
    organs = (labels > 0) & (labels != IGNORE)
    if not bool(organs.any()):
        return np.zeros(3), np.asarray(labels.shape, float) - 1
    ends = []
    for axis in range(3):
        hits = torch.nonzero(organs.movedim(axis, 0).flatten(1).any(1))
        ends.append((float(hits[0]), float(hits[-1])))
    low, high = np.asarray(ends).T
    return low, high


def _patches(shape: Sequence[int], spacing: Sequence[float], rng: np.random.Generator) -> Tensor:
    """Weights (k, j, i) between 0 and 1, most near one of both, that change every `NODE_MM`."""
    nodes = [max(2, round(n * s / NODE_MM)) for n, s in zip(shape, spacing, strict=True)]
    return torch.sigmoid((random_field(shape, nodes, rng) - rng.uniform(0.0, 0.6)) * BORDER)
