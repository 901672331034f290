"""What the model finds where nothing is: phantoms, parts of real scans, sides of the body.

.venv-bench/bin/python Testing/Benchmarks/negatives.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import inputs
import numpy as np
from fields_of_view import TUBES, main_parts, organs_near, pieces
from inputs import MissingInputError, Options
from measuring import ScriptFailedError, markdown_table
from segmenting import emptied, segment_folder, write_scan
from sides import body_middle, on_wrong_side, taken_for_other

if TYPE_CHECKING:
    from FlareSegmentLib.volume import Volume

SEEDS = range(1, 9)
REACH_MM = 10.0
"""An organ this near to the end of a piece may be drawn into it."""

SEEN_ML = 0.5
"""From this volume on an organ counts as found."""

WHOLE = "whole scan"
TUMOR = 14
PSEUDO = "flare25_mean"

Swapped = dict[str, dict[int, float]]
"""ml per organ id on the wrong ``"side"`` of the body, and inside the ``"other"`` organ."""


@dataclass(frozen=True)
class Asked:
    """A volume that was segmented, and what may be found in it.

    Attributes
    ----------
    name
        Of the file.
    group
        Row of the table.
    allowed
        Organ ids that are there, or may be: what else is found is false.
    """

    name: str
    group: str
    allowed: frozenset[int]


@dataclass(frozen=True)
class Found:
    """False volume of one segmentation: ml per organ id; None when the scan was refused."""

    asked: Asked
    false_ml: dict[int, float] | None


def section(chosen: Options) -> str:
    """Measure and give the part of the report."""
    inputs.model(chosen)
    found = _on_phantoms(chosen)
    sentences = []
    try:
        folder = inputs.training_folder(chosen)
    except MissingInputError as missing:
        sentences.append(str(missing))
        swapped = ""
    else:
        parts, wrong = _on_real_scans(chosen, folder)
        found += parts
        swapped = _sides_sentence(wrong)
    return "\n\n".join(
        [
            "Volume found of organs that are not there, by `flare-segment`. Phantoms have no organ "
            f"of the model but, in a chest, {_names(TUBES)}. Parts of the training scans are cut "
            "from the scan and segmented alone; an organ is false there when the pseudo-label of "
            f"the same scan ({PSEUDO}, specks left out) does not have it in the "
            f"part or within {REACH_MM:.0f} mm of it, {_names(TUBES)} left out above and below the "
            "organs, tumor left out where organs are. A pseudo-label may lack an organ that is "
            f"there. Found: {SEEN_ML} ml or more of an organ.",
            *sentences,
            _table(found),
            *([swapped] if swapped else []),
        ]
    )


def _on_phantoms(chosen: Options) -> list[Found]:
    from FlareSegmentLib.phantom import negatives

    makers = {
        "synthetic head": (negatives.make_head, ()),
        "synthetic legs": (negatives.make_legs, ()),
        "synthetic noise and shapes": (negatives.make_noise, ()),
        "synthetic chest": (negatives.make_chest_only, TUBES),
    }
    work = emptied(chosen.work / "negatives" / "phantoms")
    (work / "scans").mkdir()
    asked = []
    for group, (make, allowed) in makers.items():
        for seed in SEEDS:
            name = f"{group.replace(' ', '_')}_{seed}"
            write_scan(work / "scans", name, make(seed)[0])
            asked.append(Asked(name, group, frozenset(allowed)))
    return _segmented(chosen, work, asked)


def _on_real_scans(chosen: Options, folder: Path) -> tuple[list[Found], dict[str, Swapped]]:
    """Give what is false in the scans and their parts, and what lies on the wrong side."""
    work = emptied(chosen.work / "negatives" / "real")
    (work / "scans").mkdir()
    asked: list[Asked] = []
    whole: dict[str, tuple[Volume, np.ndarray]] = {}
    for case, volume, labels in _training_scans(chosen, folder):
        asked += _write_parts(work / "scans", case, volume, labels)
        whole[case] = volume, labels
    for case, volume, labels in _validation_scans(chosen):
        write_scan(work / "scans", _whole(case), volume)
        whole[case] = volume, labels
    found = _segmented(chosen, work, asked)
    wrong = {}
    for case, (volume, labels) in whole.items():
        segmentation = work / "segmentations" / f"{_whole(case)}_seg.nii.gz"
        if segmentation.is_file():
            wrong[case] = _swapped(volume, segmentation, labels)
    emptied(work)  # up to a gigabyte
    return found, wrong


def _whole(case: str) -> str:
    return f"{case}_whole"


def _training_scans(chosen: Options, folder: Path) -> Iterator[tuple[str, Volume, np.ndarray]]:
    for path in sorted((folder / "ct").glob("*.nii.gz")):
        case = path.name.removesuffix(".nii.gz")
        pseudo = folder / "pseudo" / PSEUDO / path.name
        if pseudo.is_file() and (not chosen.cases or case in chosen.cases):
            volume, labels = _canonical(path, pseudo)
            yield case, volume, main_parts(labels)


def _validation_scans(chosen: Options) -> Iterator[tuple[str, Volume, np.ndarray]]:
    folder = inputs.validation_folder(chosen)
    for case in inputs.validation_cases(chosen):
        scan = inputs.scan_of(folder, case)
        yield case, *_canonical(scan, folder / f"{case}_label.nii.gz")


def _canonical(scan: Path, labels: Path) -> tuple[Volume, np.ndarray]:
    from FlareSegmentLib.geometry import canonical_volume
    from FlareSegmentLib.reading import read_label_map, read_volume

    volume, order = canonical_volume(read_volume(scan))
    return volume, order.apply(read_label_map(labels)[0])


def _write_parts(folder: Path, case: str, volume: Volume, labels: np.ndarray) -> list[Asked]:
    """Write a scan and its parts; give what is there in each."""
    slice_mm = volume.spacing[0]
    write_scan(folder, _whole(case), volume)
    present = frozenset(np.unique(labels).tolist()) | {TUMOR}
    asked = [Asked(_whole(case), WHOLE, present)]
    for number, piece in enumerate(pieces(labels, slice_mm)):
        name = f"{case}_{number}"
        affine = volume.affine.copy()
        affine[:3, 3] += affine[:3, 2] * piece.slices.start
        write_scan(folder, name, replace(volume, array=volume.array[piece.slices], affine=affine))
        allowed = organs_near(labels, piece.slices, slice_mm, REACH_MM)
        beyond_organs = piece.group.endswith("the organs")
        allowed |= set(TUBES) if beyond_organs else {TUMOR}
        asked.append(Asked(name, piece.group, frozenset(allowed)))
    return asked


def _segmented(chosen: Options, work: Path, asked: list[Asked]) -> list[Found]:
    refused = set(segment_folder(chosen, work / "scans", work / "segmentations"))
    return [Found(each, None if each.name in refused else _false_ml(work, each)) for each in asked]


def _false_ml(work: Path, asked: Asked) -> dict[int, float]:
    from FlareSegmentLib.reading import read_label_map

    labels, affine = read_label_map(work / "segmentations" / f"{asked.name}_seg.nii.gz")
    voxel_ml = float(abs(np.linalg.det(affine[:3, :3]))) / 1000
    counts = np.bincount(labels.ravel(), minlength=TUMOR + 1)
    return {
        organ: float(counts[organ]) * voxel_ml
        for organ in range(1, TUMOR + 1)
        if counts[organ] and organ not in asked.allowed
    }


def _swapped(volume: Volume, segmentation: Path, reference: np.ndarray) -> Swapped:
    from FlareSegmentLib.reading import read_label_map

    labels, _ = read_label_map(segmentation)  # in canonical order, as the scan was written
    voxel_ml = volume.voxel_volume_ml
    middle = body_middle(volume.array)
    return {
        "side": on_wrong_side(labels, middle, volume.spacing[2], voxel_ml),
        "other": taken_for_other(labels, reference, voxel_ml),
    }


def _table(found: list[Found]) -> str:
    groups = list(dict.fromkeys(each.asked.group for each in found))
    rows = []
    for group in sorted(groups, key=lambda g: (g == WHOLE, g.startswith("slab"))):
        of_group = [each for each in found if each.asked.group == group]
        measured = [each for each in of_group if each.false_ml is not None]
        totals = [sum((each.false_ml or {}).values()) for each in measured]
        hits = [each for each in measured if _seen(each)]
        rows.append(
            (
                group,
                str(len(of_group)),
                str(len(of_group) - len(measured)),
                str(len(hits)),
                f"{median(totals):.1f}" if totals else "-",
                f"{max(totals):.1f}" if totals else "-",
                _worst(hits),
            )
        )
    head = ("", "volumes", "refused", "with false organs", "median ml", "most ml", "which")
    return markdown_table(head, rows)


def _seen(found: Found) -> dict[int, float]:
    return {organ: ml for organ, ml in (found.false_ml or {}).items() if ml >= SEEN_ML}


def _worst(hits: list[Found]) -> str:
    """Name the three volumes with most, and their organs."""
    ordered = sorted(hits, key=lambda each: -sum(_seen(each).values()))[:3]
    return "; ".join(f"{each.asked.name}: {_organs(_seen(each))}" for each in ordered)


def _sides_sentence(wrong: dict[str, Swapped]) -> str:
    bad = {case: kinds for case, kinds in wrong.items() if kinds["side"] or kinds["other"]}
    start = (
        f"Left and right, kidneys and adrenal glands in {len(wrong)} whole scans: pieces of 0.1 ml "
        "or more whose center lies beyond the middle of the body, and volume inside what the "
        "reference or pseudo-label calls the organ of the other side: "
    )
    if not bad:
        return start + "none in any scan."
    words = []
    for case, kinds in bad.items():
        if kinds["side"]:
            words.append(f"{case}: on the wrong side {_organs(kinds['side'])}")
        if kinds["other"]:
            words.append(f"{case}: inside the other organ {_organs(kinds['other'])}")
    return start + "; ".join(words) + "."


def _organs(ml: dict[int, float]) -> str:
    from FlareSegmentLib.labels import target_by_id

    ordered = sorted(ml.items(), key=lambda item: -item[1])
    return ", ".join(
        f"{target_by_id(organ).name.lower()} {value:.1f} ml" for organ, value in ordered
    )


def _names(ids: tuple[int, ...]) -> str:
    from FlareSegmentLib.labels import target_by_id

    *first, last = (target_by_id(organ).name.lower() for organ in ids)
    return ", ".join(first) + " and " + last


if __name__ == "__main__":
    try:
        print(section(inputs.options(inputs.parser(__doc__).parse_args())))
    except (MissingInputError, ScriptFailedError) as problem:
        sys.exit(str(problem))
