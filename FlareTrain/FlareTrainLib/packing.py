"""Training input: every case resampled once to the working grid and kept in a file.

A packed case is an uncompressed `.npz`, which a training maps into memory, with `image` (int16
HU, (k, j, i), canonical axes) and `labels` (uint8, same grid; 255 where nothing is known), and an
entry in `index.json` that says which targets were annotated by hand, which come from pseudo-labels
and whether tumors are known. A case may have soft labels besides, see `SoftLabels`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from FlareSegmentLib.resampling import grid_size, resample_labels, resample_volume

from .mapped_npz import write_npz
from .whole_files import whole_file, write_text

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PackedCase:
    """One entry of `index.json`.

    Attributes
    ----------
    name
        Case name; the file is `<name>.npz`.
    annotated
        Target ids annotated by hand in the whole case (case level).
    pseudo
        Target ids taken from pseudo-labels.
    tumor
        "absent" (none in the scan), "annotated", "pseudo" (from pseudo-labels), or "unknown" (may
        hold unlabelled tumors).
    kind
        "scan", or "negative" for a volume that holds none of the targets.
    spacing
        Spacing (k, j, i) mm of this case when it is not the folder's, e.g. when every case is
        resampled to one number of voxels (P4); empty otherwise.
    """

    name: str
    annotated: tuple[int, ...] = ()
    pseudo: tuple[int, ...] = ()
    tumor: str = "absent"
    kind: str = "scan"
    spacing: tuple[float, ...] = ()


@dataclass(frozen=True)
class SoftLabels:
    """How sure a teacher was of the labels of a case, and what else it thought of.

    Attributes
    ----------
    second
        (k, j, i) uint8, the label it would have given otherwise.
    share
        (k, j, i) uint8, 255 times the first label's probability among the two.
    """

    second: np.ndarray
    share: np.ndarray

    def slices(self, kept: slice) -> SoftLabels:
        """Those of some slices."""
        return SoftLabels(self.second[kept], self.share[kept])


def pack_case(
    folder: Path,
    case: PackedCase,
    image: np.ndarray,
    labels: np.ndarray,
    spacing: Sequence[float],
    working_spacing: Sequence[float],
    fixed_size: Sequence[int] = (),
) -> None:
    """Resample one case to the working grid and write it.

    Parameters
    ----------
    image
        (k, j, i) HU in canonical axes.
    labels
        (k, j, i) uint8 on the same grid, 255 = unknown.
    spacing, working_spacing
        (k, j, i) mm.
    fixed_size
        Voxels (k, j, i) of every packed case, whatever its extent (P4); empty for the working
        spacing.
    """
    size = tuple(fixed_size) or grid_size(image.shape, spacing, working_spacing)
    resampled = resample_volume(image, size).round().clamp(-1024, 3071)
    write_case(folder, case.name, resampled.numpy().astype(np.int16), resample_labels(labels, size))
    logger.info("packed %s: %s voxels", case.name, " x ".join(map(str, size[::-1])))


def write_case(
    folder: Path,
    name: str,
    image: np.ndarray,
    labels: np.ndarray,
    soft: SoftLabels | None = None,
) -> None:
    """Write a case that is on the working grid: int16 HU and uint8 labels, (k, j, i).

    Raises
    ------
    OutputError
        When it cannot be written; a case that was there before stays.
    """
    with whole_file(folder / f"{name}.npz") as part:
        # Not compressed, so that a training can map it instead of holding it in memory.
        write_npz(part, {"image": image, "labels": labels} | ({} if soft is None else vars(soft)))


def write_index(folder: Path, cases: Sequence[PackedCase], spacing: Sequence[float]) -> None:
    """Write `index.json` last, so that a folder with an index is a complete one."""
    content = {"spacing": list(spacing), "cases": [asdict(case) for case in cases]}
    write_text(folder / "index.json", json.dumps(content, indent=1))


def read_index(folder: Path) -> tuple[list[PackedCase], tuple[float, ...]]:
    """Cases and working spacing (k, j, i) mm of a packed folder."""
    content = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    cases = [
        PackedCase(
            entry["name"],
            tuple(entry["annotated"]),
            tuple(entry["pseudo"]),
            entry["tumor"],
            entry["kind"],
            tuple(entry.get("spacing", ())),
        )
        for entry in content["cases"]
    ]
    return cases, tuple(content["spacing"])


def read_case(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Image (int16 HU) and labels (uint8) of a packed case, (k, j, i)."""
    with np.load(folder / f"{name}.npz") as content:
        return content["image"], content["labels"]
