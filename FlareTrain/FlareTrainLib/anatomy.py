"""Real scans deformed towards other patients' anatomy, as further training cases.

A label map of another patient tells where organs can lie and what forms they take, without a
scan. A scan that is deformed until its organs lie like that keeps its own contrast, noise and
bones, and its labels follow. The other patient gives only geometry, so a label map drawn by
somebody else's rules never becomes a training label.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.reading import is_volume_file

from .anatomy_affine import NoCommonAnatomy
from .anatomy_registration import register
from .anatomy_settings import AnatomySettings
from .anatomy_shapes import held_tissue, nearest, read_shape, shape_of
from .anatomy_table import AnatomyRow, anatomy_csv, anatomy_summary
from .displacement import deform
from .label_values import IGNORE
from .packing import PackedCase, read_case, read_index, write_case
from .settings import read_json, settings_to_json, write_json
from .whole_files import made_folder, write_text

logger = logging.getLogger(__name__)

TABLE = "anatomy.csv"

AROUND_MM = 70.0
"""What is kept of a scan above and below its organs."""

STRAY = 0.001
"""Share of an abdomen's organ voxels at either end that may be mistakes of pseudo-labels."""

MOST_UNKNOWN = 0.03
"""Slices at the ends of a deformed scan of which a larger share comes from beyond it are cut."""


def add_anatomy_cases(
    folder: Path, output: Path, shapes: Path, settings: AnatomySettings
) -> list[PackedCase]:
    """Deform packed scans towards other patients' anatomies; what is there is not made again.

    Parameters
    ----------
    folder
        Packed folder with an index.
    output
        Packed folder the cases are written to; the same, or another one on the same grid.
    shapes
        Folder of label maps with FLARE ids.

    Returns
    -------
    cases
        The deformed cases, in the order of `planned_pairs`. Pairs that cannot be registered are
        left out, so there may be fewer than asked for. ``anatomy.csv`` tells what every pair
        reached, or why it was left out.

    Raises
    ------
    InputError
        When `shapes` holds no label map, or no scan shows enough of the abdomen.
    """
    cases, spacing = read_index(folder)
    pairs = planned_pairs(folder, cases, spacing, shapes, settings)
    made_folder(output)
    made, rows = [], []
    for case, shape in pairs:
        name = f"{case.name}_as_{shape.name.split('.')[0]}"
        note = output / f"{name}.json"
        wanted = _made_from(folder, case, shape, settings)
        if not (note.exists() and read_json(note)["made_from"] == wanted):
            facts = _deform(folder, case, spacing, shape, output, name, settings)
            write_json(note, {"made_from": wanted, **facts})
        reached = read_json(note)
        rows.append(AnatomyRow(case.name, shape.name.split(".")[0], reached))
        if "refused" not in reached:
            made.append(replace(case, name=name))
    write_text(output / TABLE, anatomy_csv(rows))
    logger.info(anatomy_summary(rows))
    return made


def planned_pairs(
    folder: Path,
    cases: Sequence[PackedCase],
    spacing: Sequence[float],
    shapes: Path,
    settings: AnatomySettings,
) -> list[tuple[PackedCase, Path]]:
    """Which scan gets which anatomy: every scan and every anatomy about equally often.

    Raises
    ------
    InputError
        When there is no label map, or no scan shows enough of the abdomen.
    """
    files = sorted(p for p in shapes.iterdir() if is_volume_file(p)) if shapes.is_dir() else []
    if not files:
        raise InputError(
            f"{shapes} holds no label map. Put label maps with FLARE ids there, or take "
            "'anatomy' out of the recipe."
        )
    suited = [
        case
        for case in cases
        if case.kind == "scan"
        and "_as_" not in case.name
        and _suits(folder, case, spacing, settings)
    ]
    if not suited:
        raise InputError(
            f"No scan in {folder} shows {len(settings.needed)} needed organs, so none can be "
            "deformed. Add a scan of the whole abdomen, or take 'anatomy' out of the recipe."
        )
    rng = np.random.default_rng(settings.seed)
    waiting: list[Path] = []
    pairs: list[tuple[PackedCase, Path]] = []
    for number in range(min(settings.cases, len(suited) * len(files))):
        if not waiting:
            waiting = [files[n] for n in rng.permutation(len(files))]
        case = suited[number % len(suited)]
        shape = next(
            (f for f in [*waiting, *files] if (case, f) not in pairs),
        )
        pairs.append((case, shape))
        waiting = [f for f in waiting if f != shape]
    return pairs


def _is_deformed(folder: Path, name: str) -> bool:
    note = folder / f"{name}.json"
    return note.exists() and "shape" in read_json(note)["made_from"]


def _suits(
    folder: Path, case: PackedCase, spacing: Sequence[float], settings: AnatomySettings
) -> bool:
    _, labels = read_case(folder, case.name)
    ml = np.prod(case.spacing or spacing) / 1000
    counts = np.bincount(labels.ravel(), minlength=256)
    return all(counts[organ] * ml >= settings.least_ml for organ in settings.needed)


def _made_from(
    folder: Path, case: PackedCase, shape: Path, settings: AnatomySettings
) -> dict[str, Any]:
    content = settings_to_json(settings)
    # How many cases are made does not change one of them.
    for key in ("cases", "shapes", "needed", "least_ml"):
        content.pop(key)
    scan = (folder / f"{case.name}.npz").stat()
    return {
        "settings": content,
        "scan": [case.name, scan.st_size, scan.st_mtime_ns],
        "shape": [shape.name, shape.stat().st_size],
    }


def _deform(
    folder: Path,
    case: PackedCase,
    spacing: Sequence[float],
    shape: Path,
    output: Path,
    name: str,
    settings: AnatomySettings,
) -> dict[str, Any]:
    """Write one deformed case; what the registration reached, for the note."""
    own = case.spacing or tuple(spacing)
    image, labels = read_case(folder, case.name)
    kept = _abdomen(labels, own[0])
    image, labels = image[kept], labels[kept]
    scan = shape_of(case.name, labels, own)
    held = held_tissue(nearest(image, own), scan.labels)
    try:
        deformation = register(scan, held, read_shape(shape), settings)
    except NoCommonAnatomy as error:
        logger.warning("%s is left out: %s", name, error)
        return {"refused": str(error)}
    warped, moved = deform(image, labels, own, deformation.displacement)
    seen = _seen_slices(moved)
    write_case(output, name, warped[seen], moved[seen])
    overlap = {str(k): [round(a, 3), round(b, 3)] for k, (a, b) in deformation.overlap.items()}
    logger.info("deformed %s", name)
    return {
        "overlap": overlap,
        "jacobian": [round(value, 3) for value in deformation.jacobian],
        "strength": round(deformation.strength, 3),
    }


def _abdomen(labels: np.ndarray, step: float) -> slice:
    """Slices with organs other than tubes, and some around; a few stray voxels do not count."""
    organs = (labels > 0) & (labels != IGNORE) & ~np.isin(labels, (5, 6, 10))
    share = organs.sum((1, 2)).cumsum() / max(1, organs.sum())
    hits = np.flatnonzero((share > STRAY) & (share < 1 - STRAY))
    if not len(hits):
        return slice(0, len(labels))
    grow = int(np.ceil(AROUND_MM / step))
    return slice(max(0, int(hits[0]) - grow), int(hits[-1]) + grow + 1)


def _seen_slices(labels: np.ndarray) -> slice:
    """Slices between the first and the last that come from the scan."""
    seen = np.flatnonzero((labels == IGNORE).mean((1, 2)) <= MOST_UNKNOWN)
    return slice(int(seen[0]), int(seen[-1]) + 1) if len(seen) else slice(0, len(labels))
