"""Packs the project's own training data: scans with several pseudo-label sources.

The folder has `ct/<case>.nii.gz`, `manual/<case>.nii.gz` with `manual/annotated.json`, and
`pseudo/<source>/<case>.nii.gz`. Labels of a case are the mean source's, corrected by every
annotated target; voxels where the sources differ by more than a boundary are unknown.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .packing import IGNORE, PackedCase, pack_case, read_index, write_index

logger = logging.getLogger(__name__)

MEAN_SOURCE = "flare25_mean"
VARIANTS = ("flare25_a", "flare25_b", "flare25_c")
TUMOR_UNKNOWN = (
    "crlm_1004",
    "cptac_C3L-00189",
    "medimagesjl_LCXXEJ",
    "panccbct_CB_001",
)
"""Scans of cancer patients whose abdominal tumors nobody annotated."""

AGREEMENT = 0.6
"""An organ whose variants overlap less than this (DSC) is left unknown in that scan."""


def _read(path: Path) -> tuple[np.ndarray, tuple[float, ...]]:
    image = sitk.ReadImage(str(path))
    if not np.allclose(image.GetDirection(), np.eye(3).ravel(), atol=1e-3):
        image = sitk.DICOMOrient(image, "LPS")
    return sitk.GetArrayFromImage(image), tuple(reversed(image.GetSpacing()))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """DSC of two masks; one when both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 1.0 if total == 0 else 2.0 * int((a & b).sum()) / total


def merge_sources(
    mean: np.ndarray, variants: list[np.ndarray], truth: np.ndarray | None, annotated: set[int]
) -> np.ndarray:
    """Labels of one case: mean source, doubtful voxels unknown, annotated targets as annotated.

    All arrays are (k, j, i) uint8 on one grid.
    """
    labels = mean.copy()
    doubtful = np.zeros(mean.shape, bool)
    for variant in variants:
        doubtful |= variant != mean
    # Sources differ by a voxel at every boundary; only thicker disagreement is doubt.
    doubtful = ndimage.binary_opening(doubtful, np.ones((1, 3, 3), bool))
    labels[doubtful] = IGNORE
    for organ in range(1, 14):
        masks = [v == organ for v in variants]
        worst = min(overlap(masks[a], masks[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
        if worst < AGREEMENT:
            labels[masks[0] | masks[1] | masks[2]] = IGNORE
    if truth is not None:
        for organ in annotated:
            labels[labels == organ] = IGNORE if organ != 14 else 0
            labels[(mean == organ) & (truth != organ)] = 0
            labels[truth == organ] = organ
    return labels


def pack_reference_data(data: Path, folder: Path, spacing: tuple[float, float, float]) -> None:
    """Pack every scan of the data folder that is not packed yet.

    Parameters
    ----------
    data
        Folder with `ct`, `manual` and `pseudo`.
    folder
        Where the packed cases go.
    spacing
        Working spacing (k, j, i) mm.
    """
    folder.mkdir(parents=True, exist_ok=True)
    annotated_in = json.loads((data / "manual" / "annotated.json").read_text(encoding="utf-8"))
    cases = []
    for path in sorted((data / "ct").glob("*.nii.gz")):
        name = path.name.removesuffix(".nii.gz")
        annotated = set(annotated_in.get(name, []))
        case = PackedCase(
            name,
            tuple(sorted(annotated)),
            tuple(sorted(set(range(1, 14)) - annotated)),
            "unknown" if name in TUMOR_UNKNOWN else "absent",
        )
        cases.append(case)
        if (folder / f"{name}.npz").exists():
            continue
        image, old_spacing = _read(path)
        mean, _ = _read(data / "pseudo" / MEAN_SOURCE / path.name)
        variants = [_read(data / "pseudo" / v / path.name)[0] for v in VARIANTS]
        truth = _read(data / "manual" / path.name)[0] if annotated else None
        labels = merge_sources(mean, variants, truth, annotated)
        pack_case(folder, case, image, labels, old_spacing, spacing)
    if (folder / "index.json").exists():
        known = {case.name for case in cases}
        cases += [case for case in read_index(folder)[0] if case.name not in known]
    write_index(folder, cases, spacing)
