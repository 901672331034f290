"""Packed cases as a training sees them: mapped from disk, a bounded number at a time.

A training on thousands of cases needs no more memory than one on a hundred: what is read stays
in the operating system's cache as long as there is room. Nothing depends on what is open.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from FlareSegmentLib.errors import InputError

from .label_values import IGNORE, TUMOR
from .mapped_npz import map_npz
from .packing import PackedCase, SoftLabels, read_case, read_index

VOXELS_PER_CLASS = 4000
"""Positions remembered per class and scan for foreground sampling."""

MOST_OPEN = 64
"""Cases mapped at the same time; each takes some file handles, of which a process has few."""


@dataclass(frozen=True)
class OpenCase:
    """What is mapped of a case.

    Attributes
    ----------
    image, labels
        (k, j, i) int16 HU and uint8 labels, on the CPU.
    soft
        Its soft labels, None for most cases.
    places
        (n, 4) int16: label, k, j, i of some voxels of every label, by label.
    """

    image: Tensor
    labels: Tensor
    soft: SoftLabels | None
    places: np.ndarray


class CaseStore:
    """The cases of a packed folder, of which the last used are open.

    Parameters
    ----------
    folder
        Packed folder.
    most_open
        How many are.
    """

    def __init__(self, folder: Path, most_open: int = MOST_OPEN) -> None:
        self.folder = folder
        self.most_open = most_open
        self._open: OrderedDict[str, OpenCase] = OrderedDict()
        # Batches are drawn in a thread while the loop may ask for cases too.
        self._lock = Lock()

    @property
    def opened(self) -> list[str]:
        """Names of the open cases, the one used last at the end."""
        with self._lock:
            return list(self._open)

    def get(self, name: str) -> OpenCase:
        """Give a case, open or opened now.

        Raises
        ------
        InputError
            When its file is missing or damaged.
        """
        with self._lock:
            if name not in self._open:
                self._open[name] = self._read(name)
                if len(self._open) > self.most_open:
                    # Whoever still computes with it keeps it; it goes when they are done.
                    self._open.popitem(last=False)
            self._open.move_to_end(name)
            return self._open[name]

    def _read(self, name: str) -> OpenCase:
        path = self.folder / f"{name}.npz"
        try:
            arrays = map_npz(path)
            if arrays is None:
                # Packed by an earlier version, compressed: read whole, but not kept for long.
                arrays = dict(zip(("image", "labels"), read_case(self.folder, name), strict=True))
            image, labels = arrays["image"], arrays["labels"]
            soft = SoftLabels(arrays["second"], arrays["share"]) if "second" in arrays else None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                f"The packed case {path} cannot be read ({error}). Remove the folder "
                f"{self.folder}; the same command packs the cases again."
            ) from error
        places = _places(path, labels)
        return OpenCase(torch.from_numpy(image), torch.from_numpy(labels), soft, places)


@dataclass(frozen=True)
class LoadedCase:
    """A packed case: what is known of it, and its voxels when they are asked for.

    Attributes
    ----------
    case
        Its entry in the index.
    shape
        (k, j, i) voxels.
    classes
        Labels that occur in it, neither background nor unknown.
    store
        Where its voxels come from.
    taught
        Whether a teacher gave it soft labels.
    """

    case: PackedCase
    shape: tuple[int, ...]
    classes: frozenset[int]
    store: CaseStore
    taught: bool = False

    @property
    def image(self) -> Tensor:
        """(k, j, i) int16 HU, mapped, on the CPU."""
        return self.store.get(self.case.name).image

    @property
    def labels(self) -> Tensor:
        """(k, j, i) uint8 labels, mapped, on the CPU."""
        return self.store.get(self.case.name).labels

    def drawn_labels(self, rng: np.random.Generator) -> Tensor:
        """(k, j, i) uint8 labels; soft ones are drawn voxel by voxel with their probabilities.

        So the mean of the cross-entropy over many draws is that with the probabilities themselves,
        and every loss takes soft labels.
        """
        opened = self.store.get(self.case.name)
        if opened.soft is None:
            return opened.labels
        drawn = rng.integers(0, 255, opened.soft.share.shape, np.uint8) < opened.soft.share
        return torch.from_numpy(np.where(drawn, opened.labels.numpy(), opened.soft.second))

    def places(self, label: int) -> np.ndarray:
        """(n, 3) positions k, j, i of some voxels of a label."""
        places = self.store.get(self.case.name).places
        start, stop = np.searchsorted(places[:, 0], (label, label + 1))
        return places[start:stop, 1:]

    @property
    def known(self) -> frozenset[int]:
        """Target ids that are labelled in the whole case, by hand or by pseudo-labels."""
        case = self.case
        if case.kind == "negative":
            return frozenset(range(1, TUMOR + 1))
        organs = {*case.annotated, *case.pseudo} - {TUMOR}
        return frozenset(organs | ({TUMOR} if case.tumor != "unknown" else set()))


def load_cases(folder: Path, most_open: int = MOST_OPEN) -> list[LoadedCase]:
    """All packed cases of `folder`.

    Raises
    ------
    InputError
        If the folder holds no packed scan, or a damaged one.
    """
    if not (folder / "index.json").is_file():
        raise InputError(f"'{folder}' holds no packed cases: index.json is missing.")
    cases, _ = read_index(folder)
    if not any(case.kind == "scan" for case in cases):
        raise InputError(f"'{folder}' holds no scan to train with. Add at least one.")
    store = CaseStore(folder, most_open)
    loaded = []
    for case in cases:
        opened = store.get(case.name)
        classes = frozenset(np.unique(opened.places[:, 0]).tolist())
        shape, taught = tuple(opened.image.shape), opened.soft is not None
        loaded.append(LoadedCase(case, shape, classes, store, taught))
    return loaded


def _places(path: Path, labels: np.ndarray) -> np.ndarray:
    """Positions of some voxels of each label, found once and kept beside the case."""
    kept = path.with_suffix(".places.npy")
    if kept.exists() and kept.stat().st_mtime_ns >= path.stat().st_mtime_ns:
        try:
            places: np.ndarray = np.load(kept, mmap_mode="r")
            return places
        except (OSError, ValueError):
            pass  # half written by a computer that was switched off; found anew
    places = find_places(labels, path.stem)
    part = kept.with_name(f".{kept.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            np.save(file, places)
        part.replace(kept)
    except OSError:
        part.unlink(missing_ok=True)  # a folder that only others can write: found at every start
    return places


def find_places(labels: np.ndarray, name: str) -> np.ndarray:
    """Choose at most `VOXELS_PER_CLASS` voxels of every label, by the case's name alone.

    Returns
    -------
    (n, 4) int16: label, k, j, i, by label.
    """
    rng = np.random.default_rng([0, zlib.crc32(name.encode())])
    parts = [np.zeros((0, 4), np.int16)]
    for label in np.unique(labels).tolist():
        if label in (0, IGNORE):
            continue
        flat = np.flatnonzero(labels.ravel() == label)
        flat = rng.choice(flat, min(len(flat), VOXELS_PER_CLASS), replace=False)
        columns = (np.full(len(flat), label), *np.unravel_index(flat, labels.shape))
        parts.append(np.stack(columns, axis=1).astype(np.int16))
    return np.concatenate(parts)
