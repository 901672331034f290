"""A folder of training scans in nnU-Net's raw layout, and what was annotated in each of them.

::

    imagesTr/<case>_0000.nii.gz     scans (one channel; <case>.nii.gz is fine too)
    labelsTr/<case>.nii.gz          label maps; not every case needs one
    imagesTs/, labelsTs/            validation cases, the same way (optional)
    dataset.json                    nnU-Net's; "labels" says which value is which target
    annotated.json                  {"case": {"annotated": [1, 14], "absent": [9]}}
    pseudo/<source>/<case>.nii.gz   label maps of other people's models (optional)

Annotation is known per case: in a case annotated for tumor, tumor-free voxels are negative
examples even if there is no tumor at all; a case not annotated for tumor says nothing about it.
"absent" lists targets that are known not to be in the scan without a label map saying so.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import targets

from .annotations import derive_annotated, read_annotations
from .case_files import CHANNEL, files_by_case, strangers
from .case_split import SPLIT, moved, read_moves
from .settings import read_json


@dataclass(frozen=True)
class DatasetCase:
    """One scan.

    Attributes
    ----------
    name
        Case name.
    scan, labels
        Files; `labels` None where nothing was drawn.
    annotated
        Target ids annotated in the whole scan.
    absent
        Target ids known not to be in the scan.
    """

    name: str
    scan: Path
    labels: Path | None = None
    annotated: tuple[int, ...] = ()
    absent: tuple[int, ...] = ()

    @property
    def known(self) -> frozenset[int]:
        """Targets of which this case says something."""
        return frozenset(self.annotated) | frozenset(self.absent)


@dataclass(frozen=True)
class Dataset:
    """What a dataset folder holds.

    Attributes
    ----------
    folder
        The folder.
    cases, validation
        Training and validation cases, by name.
    values
        Target id by value in the label maps; values that are not in it are errors.
    sources
        Folders of pseudo-labels by name.
    notes
        Sentences about what was assumed.
    """

    folder: Path
    cases: tuple[DatasetCase, ...]
    validation: tuple[DatasetCase, ...]
    values: Mapping[int, int]
    sources: Mapping[str, Path]
    notes: tuple[str, ...] = ()


def read_dataset(folder: Path) -> Dataset:
    """Find out what a dataset folder holds; label maps are read only to derive annotations.

    Raises
    ------
    InputError
        For each way in which the folder can be wrong, with what to do about it.
    """
    if not folder.is_dir():
        raise InputError(f"There is no dataset folder {folder}. Check the path.")
    if not (folder / "imagesTr").is_dir():
        from .reference_data import is_reference_layout, read_reference_layout

        if is_reference_layout(folder):
            return read_reference_layout(folder)
        raise InputError(
            f"{folder} is not a dataset: it has no folder imagesTr. Put the scans into "
            "imagesTr/<case>_0000.nii.gz and their label maps into labelsTr/<case>.nii.gz."
        )
    values = _label_values(folder / "dataset.json")
    cases = _cases(folder, "imagesTr", "labelsTr")
    if not cases:
        raise InputError(
            f"{folder / 'imagesTr'} holds no scan. Put scans into it as <case>_0000.nii.gz."
        )
    validation = _cases(folder, "imagesTs", "labelsTs") if (folder / "imagesTs").is_dir() else []
    validation = [case for case in validation if case.labels is not None]
    twice = {case.name for case in cases} & {case.name for case in validation}
    if twice:
        raise InputError(
            f"Case {min(twice)} is in imagesTr and in imagesTs: a case cannot be trained on and "
            "judged by. Remove it from one of them."
        )
    cases, validation, notes = _with_annotations(folder, cases, validation, values)
    moves = read_moves(folder)
    notes += _overlooked(folder, {case.name for case in (*cases, *validation)}, moves)
    cases, validation = moved(cases, validation, moves)
    if not validation:
        notes.append("There are no validation cases (imagesTs with labelsTs).")
    return Dataset(folder, tuple(cases), tuple(validation), values, _sources(folder), tuple(notes))


def check_trainable(dataset: Dataset) -> None:
    """Refuse a dataset from which nothing can be learned.

    Raises
    ------
    InputError
        When no case has a label, or there is one case only.
    """
    if len(dataset.cases) < 2:
        raise InputError(
            f"{dataset.folder} holds one case only ({dataset.cases[0].name}). A network that saw "
            "one patient knows nothing of others: add scans; unlabeled ones help too."
        )
    if not dataset.sources and not any(case.annotated for case in dataset.cases):
        raise InputError(
            f"{dataset.folder} has no labels at all: labelsTr is empty, and there is no folder "
            "pseudo/<source>. Label the scans with a model first: flare-train pseudo."
        )


def _overlooked(folder: Path, names: Collection[str], moves: Collection[str]) -> list[str]:
    """Sentences about files that are not read, and moves of cases that are not there."""
    notes = strangers(folder / "imagesTr") + strangers(folder / "imagesTs")
    gone = sorted(set(moves) - set(names))
    if gone:
        notes.append(f"{SPLIT} names the case {gone[0]}, which is not there: it is left out.")
    return notes


def _sources(folder: Path) -> dict[str, Path]:
    pseudo = folder / "pseudo"
    if not pseudo.is_dir():
        return {}
    return {
        path.name: path
        for path in sorted(pseudo.iterdir())
        if path.is_dir() and not path.name.startswith(".")
    }


def _cases(folder: Path, images: str, labels: str) -> list[DatasetCase]:
    scans = files_by_case(folder / images, CHANNEL, ("_0001", "_0002"))
    maps = files_by_case(folder / labels) if (folder / labels).is_dir() else {}
    alone = sorted(maps.keys() - scans.keys())
    if alone:
        raise InputError(
            f"{folder / labels / maps[alone[0]].name} has no scan in {images}: "
            f"{alone[0]}_0000.nii.gz is missing. Add the scan, or take the label map out."
        )
    return [DatasetCase(name, scan, maps.get(name)) for name, scan in sorted(scans.items())]


def _label_values(path: Path) -> dict[int, int]:
    """Target id by stored value, from nnU-Net's dataset.json; FLARE's ids without one."""
    ids = {target.key: target.id for target in targets()}
    if not path.is_file():
        return {label: label for label in ids.values()}
    content = read_json(path)
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict):
        raise InputError(
            f'{path} does not say what the labels mean: "labels" must look like '
            '{"background": 0, "liver": 1}.'
        )
    values = {}
    for name, value in labels.items():
        key = str(name).strip().lower().replace(" ", "_")
        if key in ("background", "ignore", "unknown"):
            continue
        if key not in ids:
            raise InputError(
                f"{path} names a label '{name}' that is no target. The targets are: "
                f"{', '.join(ids)}. Rename it, or remove it from the label maps."
            )
        if type(value) is not int:
            raise InputError(
                f"{path} gives {json.dumps(value)} for '{name}', which is no whole number. Give "
                "the value that the target has in the label maps; regions of several values "
                "are not known here."
            )
        values[value] = ids[key]
    return values


def _with_annotations(
    folder: Path,
    cases: list[DatasetCase],
    validation: list[DatasetCase],
    values: Mapping[int, int],
) -> tuple[list[DatasetCase], list[DatasetCase], list[str]]:
    path = folder / "annotated.json"
    if path.is_file():
        entries = read_annotations(path)
        unknown = sorted(entries.keys() - {case.name for case in (*cases, *validation)})
        if unknown:
            raise InputError(
                f"{path} names the case {unknown[0]}, which has no scan. Correct the name, or add "
                "the scan to imagesTr."
            )
        both = [_annotated(case, entries.get(case.name), path) for case in (*cases, *validation)]
        silent = [case.name for case in both if case.labels is not None and not case.annotated]
        notes = [
            f"{name} has a label map, but annotated.json does not list it: it counts as unlabeled."
            for name in silent
        ]
    else:
        both = [
            replace(case, annotated=derive_annotated(case.labels, values))
            for case in (*cases, *validation)
        ]
        notes = [
            "annotated.json is missing. A target was taken as annotated in a case when it is in "
            "its label map; a target that is not there counts as unknown, not as absent. List "
            "cases that were looked through and hold none (no tumor, no gallbladder) in "
            "annotated.json."
        ]
    return both[: len(cases)], both[len(cases) :], notes


def _annotated(
    case: DatasetCase, entry: Mapping[str, Collection[int]] | None, path: Path
) -> DatasetCase:
    if entry is None:
        return case
    annotated, absent = tuple(entry["annotated"]), tuple(entry["absent"])
    if annotated and case.labels is None:
        raise InputError(
            f"{path} says that {case.name} was annotated, but there is no label map "
            f"labelsTr/{case.name}.nii.gz. Add it, or list targets that are known not to be in "
            'the scan as "absent".'
        )
    return replace(case, annotated=annotated, absent=absent)
