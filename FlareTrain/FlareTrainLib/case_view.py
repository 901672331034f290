"""A case made ready to be shown: arrays on the scan's grid that an application only has to copy.

Reading and unpacking a scan takes seconds, which a process does (see `task`), not the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from FlareSegmentLib.errors import InputError, OutputError
from FlareSegmentLib.labels import targets
from FlareSegmentLib.reading import read_volume
from FlareSegmentLib.volume import Volume

from .case_files import label_files
from .dataset import Dataset, DatasetCase, read_dataset
from .label_maps import read_labels_on
from .label_values import IGNORE
from .settings import read_json, write_json

SCAN, VIEW = "scan.npy", "view.json"


@dataclass(frozen=True)
class Layer:
    """A label map to lay over the scan.

    Attributes
    ----------
    name
        For people.
    file
        Its voxels within `extent`, (k, j, i) uint8, ``.npy``.
    extent
        First and last but one voxel along k, j, i of the part that is not background.
    ids
        Target ids in it; empty for a mask.
    is_mask
        Whether it only says where something is.
    """

    name: str
    file: str
    extent: tuple[tuple[int, int], ...]
    ids: tuple[int, ...]
    is_mask: bool = False


@dataclass(frozen=True)
class CaseView:
    """What is to be shown: the scan's affine (voxel i, j, k to RAS mm) and its layers."""

    name: str
    affine: np.ndarray
    layers: tuple[Layer, ...]


def prepare_view(folder: Path, wanted: dict[str, Any]) -> str:
    """Read a case and leave its arrays in `folder`; a sentence.

    Parameters
    ----------
    wanted
        "data", "case"; "run" to add what that run predicted; "disagreement" to show the first
        source and where the sources differ instead.

    Raises
    ------
    InputError
        When the case is not there, or one of its files cannot be used.
    OutputError
        When `folder` cannot be written.
    """
    dataset = read_dataset(Path(wanted["data"]))
    case = find_case(dataset, wanted["case"])
    volume = replace(read_volume(case.scan), name=case.name)
    if wanted.get("disagreement"):
        shown = _disagreement(dataset, case, volume)
    else:
        shown = _labels(dataset, case, volume, wanted.get("run"))
    try:
        np.save(folder / SCAN, np.ascontiguousarray(volume.array))
        layers = [_write_layer(folder, number, layer) for number, layer in enumerate(shown)]
    except OSError as error:
        raise OutputError(
            f"{case.name} cannot be shown: {folder} is not writable ({error.strerror or error}). "
            "Make room on that disk."
        ) from error
    write_json(
        folder / VIEW,
        {
            "name": case.name,
            "affine": volume.affine.tolist(),
            "layers": [asdict(layer) for layer in layers],
        },
    )
    return f"{case.name} is ready."


def read_view(folder: Path) -> CaseView:
    """Give what `prepare_view` left."""
    content = read_json(folder / VIEW)
    layers = tuple(
        Layer(
            entry["name"],
            entry["file"],
            tuple((first, end) for first, end in entry["extent"]),
            tuple(entry["ids"]),
            entry["is_mask"],
        )
        for entry in content["layers"]
    )
    return CaseView(content["name"], np.array(content["affine"]), layers)


def find_case(dataset: Dataset, name: str) -> DatasetCase:
    """Give the case of this name.

    Raises
    ------
    InputError
        When there is none.
    """
    for case in (*dataset.cases, *dataset.validation):
        if case.name == name:
            return case
    raise InputError(f"The case {name} is not in {dataset.folder} any more. Look at the table.")


@dataclass(frozen=True)
class _Shown:
    """A label map (k, j, i) on the scan's grid; a mask says "here", not what."""

    name: str
    array: np.ndarray
    is_mask: bool = False


def _labels(
    dataset: Dataset, case: DatasetCase, volume: Volume, run: str | None
) -> Sequence[_Shown]:
    """Give what is annotated, and what a run's newest model predicted."""
    layers = []
    if case.labels is not None:
        array = read_labels_on(volume, case.labels, dataset.values)
        layers.append(_Shown(f"{case.name} annotated", array))
    predicted = Path(run) / "latest" / "predictions" / f"{case.name}_seg.nii.gz" if run else None
    if predicted is not None and predicted.is_file():
        array = read_labels_on(volume, predicted, _same_ids())
        layers.append(_Shown(f"{case.name} {predicted.parents[2].name}", array))
    return layers


def _disagreement(dataset: Dataset, case: DatasetCase, volume: Volume) -> Sequence[_Shown]:
    """Give the first source's labels, and where not all sources say the same.

    A voxel of which a source says nothing is no disagreement.

    Raises
    ------
    InputError
        When fewer than two sources labeled the case, or a label map is on another grid.
    """
    files = {name: label_files(folder).get(case.name) for name, folder in dataset.sources.items()}
    found = {name: path for name, path in files.items() if path is not None}
    if len(found) < 2:
        raise InputError(
            f"{case.name} was labeled by one source only: there is nothing to compare. Label it "
            "with a second model, or add a folder of label maps."
        )
    first: np.ndarray | None = None
    differs = np.zeros(volume.array.shape, bool)
    for path in found.values():
        array = read_labels_on(volume, path, _same_ids())
        if first is None:
            first = array
        differs |= (array != first) & (array != IGNORE) & (first != IGNORE)
    assert first is not None
    return [
        _Shown(f"{case.name} {next(iter(found))}", first),
        _Shown(f"{case.name} disagreement", differs.astype(np.uint8), is_mask=True),
    ]


def _same_ids() -> dict[int, int]:
    return {target.id: target.id for target in targets()}


def _write_layer(folder: Path, number: int, shown: _Shown) -> Layer:
    """Write the part of a label map that is not background; unknown voxels are background."""
    known = np.where(shown.array == IGNORE, 0, shown.array).astype(np.uint8)
    boxes = ndimage.find_objects((known > 0).view(np.uint8))
    box = boxes[0] if boxes else (slice(0, 0),) * 3
    file = f"layer_{number}.npy"
    np.save(folder / file, np.ascontiguousarray(known[box]))
    ids = () if shown.is_mask else tuple(int(v) for v in np.unique(known[box]) if v)
    extent = tuple((part.start, part.stop) for part in box)
    return Layer(shown.name, file, extent, ids, shown.is_mask)
