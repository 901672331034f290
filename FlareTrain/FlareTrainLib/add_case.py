"""A scan and its segmentation become a training case of a dataset."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from FlareSegmentLib.errors import InputError, OutputError
from FlareSegmentLib.labels import targets
from FlareSegmentLib.nifti_header import label_header
from FlareSegmentLib.volume import Volume
from FlareSegmentLib.writing import replaced_file, write_label_map

from .annotations import read_annotations
from .settings import read_json, write_json
from .staged_layers import StagedLayer, merged
from .whole_files import made_folder

SCAN = "scan.npy"
_NIFTI_TYPES = {"i2": 4, "i4": 8, "f4": 16, "u2": 512}
_INTENT_OFFSET, _DESCRIPTION_OFFSET = 68, 148
"""Of intent, data type and bits, and of the description, in a NIfTI-1 header."""
_FORBIDDEN = '/\\:*?"<>| '


@dataclass(frozen=True)
class NewCase:
    """What is to be added.

    Attributes
    ----------
    name
        Case name, a plain file name.
    annotated
        Target ids that were drawn completely, or looked for and are not there.
    replace
        Whether a case that has this name may be replaced; its files are kept in ``replaced/``.
    """

    name: str
    annotated: tuple[int, ...]
    replace: bool = False


def make_dataset(folder: Path) -> None:
    """Make an empty dataset, or leave the one that is there.

    Raises
    ------
    OutputError
        When the folder cannot be written.
    """
    names = {target.key: target.id for target in targets()}
    for name in ("imagesTr", "labelsTr"):
        made_folder(folder / name)
    if not (folder / "dataset.json").exists():
        write_json(
            folder / "dataset.json",
            {
                "channel_names": {"0": "CT"},
                "labels": {"background": 0, **names},
                "file_ending": ".nii.gz",
            },
        )
    if not (folder / "annotated.json").exists() and not any((folder / "labelsTr").iterdir()):
        write_json(folder / "annotated.json", {})


def case_exists(folder: Path, name: str) -> bool:
    """Whether the dataset has a scan or a label map of this name, for training or validation."""
    places = ("imagesTr", "imagesTs", "labelsTr", "labelsTs")
    stems = {name, f"{name}_0000"}
    return any(
        path.name.split(".")[0] in stems
        for place in places
        if (folder / place).is_dir()
        for path in (folder / place).iterdir()
    )


def check_name(folder: Path, case: NewCase) -> None:
    """Refuse a name that cannot be used.

    Raises
    ------
    InputError
        When it is no plain file name, or is taken and must not be replaced.
    """
    name = case.name
    if not name or name.startswith(".") or any(c in _FORBIDDEN for c in name):
        raise InputError(
            f"'{name}' cannot be the name of a case: use letters, digits, - and _ only."
        )
    if not case.replace and case_exists(folder, name):
        raise InputError(f"There is a case '{name}' already. Choose another name.")


def add_case(folder: Path, case: NewCase, volume: Volume, labels: np.ndarray) -> None:
    """Write a case into the dataset; listed in annotated.json only when both files are whole.

    Parameters
    ----------
    volume
        The scan, HU (k, j, i).
    labels
        Target ids (k, j, i) uint8 on the grid of the scan.

    Raises
    ------
    InputError
        When the name cannot be used, or something drawn is not among the targets.
    OutputError
        When a file cannot be written; the dataset is then as before.
    """
    check_name(folder, case)
    if labels.shape != volume.array.shape:
        raise InputError("Scan and segmentation lie on different grids.")
    make_dataset(folder)
    entries = _entries(folder)
    found = {int(v) for v in np.unique(labels)} - {0}
    drawn = np.where(np.isin(labels, sorted(case.annotated)), labels, 0).astype(np.uint8)
    annotated = sorted(found & set(case.annotated))
    absent = sorted(set(case.annotated) - found)
    scan_path = folder / "imagesTr" / f"{case.name}_0000.nii.gz"
    label_path = folder / "labelsTr" / f"{case.name}.nii.gz"
    staged = _write_scan(scan_path, volume)
    try:
        _keep_replaced(folder, case.name)
        if annotated:
            write_label_map(label_path, drawn, volume.affine, targets())
        staged.replace(scan_path)
    except OSError as error:
        raise OutputError(
            f"The case {case.name} cannot be written ({error.strerror or error}). Make room, and "
            "add it again."
        ) from error
    finally:
        staged.unlink(missing_ok=True)
    entries[case.name] = {"annotated": annotated, "absent": absent}
    write_json(folder / "annotated.json", entries)


def staged_arguments(
    data: Path, case: NewCase, affine: np.ndarray, layers: Sequence[StagedLayer]
) -> dict[str, Any]:
    """Arguments for `add_staged_case`: the arrays lie in its folder.

    Compressing a scan takes many seconds, which the window of an application does not have.
    """
    return {
        "data": str(data.resolve()),
        "name": case.name,
        "annotated": list(case.annotated),
        "replace": case.replace,
        "affine": affine.tolist(),
        "layers": [asdict(layer) for layer in layers],
    }


def add_staged_case(folder: Path, wanted: dict[str, Any]) -> str:
    """Add the case whose arrays are in `folder`; they are removed then.

    Raises
    ------
    InputError, OutputError
        As `add_case`.
    """
    case = NewCase(wanted["name"], tuple(wanted["annotated"]), wanted["replace"])
    scan = np.load(folder / SCAN)
    layers = [StagedLayer(**layer) for layer in wanted["layers"]]
    volume = Volume(scan, np.array(wanted["affine"]))
    add_case(Path(wanted["data"]), case, volume, merged(folder, scan.shape, volume.affine, layers))
    for name in {SCAN, *(name for layer in layers for name in (layer.file, layer.polygons))}:
        if name:
            (folder / name).unlink(missing_ok=True)
    return f"Added {case.name}."


def _entries(folder: Path) -> dict[str, Any]:
    """Give annotated.json as it is; refuse to make one where it would silence other labels."""
    path = folder / "annotated.json"
    if path.is_file():
        read_annotations(path)
        return dict(read_json(path))
    raise InputError(
        f"{folder} has label maps but no annotated.json, so nobody knows what was annotated in "
        'them. Write one first, like {"case": {"annotated": [1, 2]}}; then add cases.'
    )


def _write_scan(path: Path, volume: Volume) -> Path:
    """Write a scan beside its place; the temporary file.

    Not with ITK, which bends the affine of a tilted gantry to the nearest rotation.
    """
    array = np.ascontiguousarray(volume.array)
    if array.dtype.newbyteorder("=").str[1:] not in _NIFTI_TYPES:
        array = array.astype(np.float32)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    header = bytearray(label_header(array.shape, volume.affine))
    code = _NIFTI_TYPES[array.dtype.str[1:]]
    no_intent, bits = 0, 8 * array.itemsize
    struct.pack_into("<hhh", header, _INTENT_OFFSET, no_intent, code, bits)
    struct.pack_into("80s", header, _DESCRIPTION_OFFSET, b"FlareTrain scan")
    staged = path.with_name(f".{path.name.removesuffix('.nii.gz')}.part.nii.gz")
    with (
        replaced_file(staged) as file,
        gzip.GzipFile(fileobj=file, mode="wb", compresslevel=3, mtime=0, filename="") as packed,
    ):
        packed.write(header)
        for slice_ in array:
            packed.write(slice_.data)
    return staged


def _keep_replaced(folder: Path, name: str) -> None:
    """Move the files of a case that is replaced to ``replaced/<number>/``."""
    old = [
        path
        for place in ("imagesTr", "labelsTr", "imagesTs", "labelsTs")
        if (folder / place).is_dir()
        for path in (folder / place).iterdir()
        if path.name.split(".")[0] in (name, f"{name}_0000") and not path.name.startswith(".")
    ]
    if not old:
        return
    number = 1
    while (folder / "replaced" / f"{number}").exists():
        number += 1
    keep = folder / "replaced" / f"{number}"
    for path in old:
        (keep / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.move(path, keep / path.parent.name / path.name)
    entry = json.loads((folder / "annotated.json").read_text(encoding="utf-8")).get(name)
    write_json(keep / "annotated.json", {name: entry})


def target_ids_of(keys: Collection[str]) -> tuple[int, ...]:
    """Target ids of keys, in order."""
    return tuple(target.id for target in targets() if target.key in set(keys))
