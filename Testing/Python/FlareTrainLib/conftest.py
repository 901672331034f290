"""Tiny synthetic patients for the tests of training: coarse, with all 14 targets."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from FlareSegmentLib.labels import targets
from FlareSegmentLib.writing import write_label_map

sys.path.insert(0, str(Path(__file__).parent))  # what tests share

SPACING = 8.0
SHAPE = (24, 32, 36)

# id: centre (k up, j to the back, i to the left) and half axes, as shares of the half size; HU.
# Patient's left is towards larger i, as in the canonical axis order.
_ORGANS: dict[int, tuple[tuple[float, float, float], tuple[float, float, float], float]] = {
    1: ((0.35, -0.05, -0.4), (0.4, 0.45, 0.35), 110),
    2: ((-0.35, 0.35, -0.4), (0.3, 0.2, 0.16), 160),
    3: ((0.45, 0.3, 0.55), (0.3, 0.25, 0.2), 130),
    4: ((0.0, -0.1, 0.15), (0.15, 0.14, 0.25), 90),
    5: ((0.0, 0.3, 0.12), (1.2, 0.1, 0.1), 230),
    6: ((0.0, 0.2, -0.12), (1.2, 0.1, 0.1), 150),
    7: ((0.1, 0.32, -0.3), (0.12, 0.1, 0.08), 75),
    8: ((0.1, 0.32, 0.32), (0.12, 0.1, 0.08), 75),
    9: ((-0.1, -0.3, -0.3), (0.15, 0.15, 0.12), 10),
    10: ((0.85, 0.12, 0.05), (0.3, 0.09, 0.09), 50),
    11: ((0.5, -0.3, 0.35), (0.25, 0.22, 0.22), 30),
    12: ((-0.25, -0.2, 0.0), (0.15, 0.13, 0.2), 45),
    13: ((-0.35, 0.35, 0.42), (0.3, 0.2, 0.16), 160),
    14: ((0.4, -0.15, -0.4), (0.14, 0.12, 0.12), 50),
}

MakePatient = Callable[..., tuple[np.ndarray, np.ndarray]]


def affine() -> np.ndarray:
    """Axial LPS scan: i to the left, j to the back, k up, in RAS millimetres."""
    return np.diag([-SPACING, -SPACING, SPACING, 1.0])


def patient(
    seed: int, tumor: bool = True, shape: tuple[int, int, int] = SHAPE
) -> tuple[np.ndarray, np.ndarray]:
    """Image (int16 HU) and labels (uint8) of a synthetic patient, canonical axes."""
    rng = np.random.default_rng(seed)
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    image = np.full(shape, -1000.0)
    image[(grid[1] / 0.8) ** 2 + (grid[2] / 0.95) ** 2 < 1] = -70
    labels = np.zeros(shape, np.uint8)
    shift = rng.uniform(-0.04, 0.04, 3)
    for label, (centre, axes, hu) in _ORGANS.items():
        if label == 14 and not tumor:
            continue
        parts = zip(grid, centre, axes, shift, strict=True)
        inside = sum(((g - c - s) / a) ** 2 for g, c, a, s in parts) < 1
        labels[inside] = label
        image[inside] = hu
    image += rng.normal(0, 8, shape)
    return np.clip(image, -1024, 3071).astype(np.int16), labels


def write_volume(path: Path, array: np.ndarray) -> Path:
    """Write an image of any type on the test grid."""
    import SimpleITK as sitk

    from FlareSegmentLib.geometry import set_image_affine

    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    set_image_affine(image, affine())
    sitk.WriteImage(image, str(path))
    return path


def write_labels(path: Path, array: np.ndarray) -> Path:
    """Write a label map on the test grid; other values than ids are allowed."""
    if array.max(initial=0) <= 14 and array.dtype == np.uint8:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_label_map(path, array, affine(), targets())
        return path
    return write_volume(path, array)


@pytest.fixture(scope="session")
def make_patient() -> MakePatient:
    """Function that gives image and labels for a seed."""
    return patient


@pytest.fixture
def reference_layout(tmp_path: Path) -> Path:
    """The layout of the project's own data: ct, manual, pseudo, validation."""
    import json

    folder = tmp_path / "data"
    rng = np.random.default_rng(7)
    annotated = {}
    for n in range(3):
        image, labels = patient(n, tumor=n == 0)
        name = f"case_{n}"
        write_volume(folder / "ct" / f"{name}.nii.gz", image)
        pseudo = np.where(labels == 14, 1, labels).astype(np.uint8)
        for source in ("flare25_mean", "flare25_a", "flare25_b", "flare25_c"):
            variant = pseudo.copy()
            variant[rng.random(variant.shape) < 0.002] = 0
            write_labels(folder / "pseudo" / source / f"{name}.nii.gz", variant)
        if n == 0:
            annotated[name] = [1, 14]
            manual = np.where(np.isin(labels, (1, 14)), labels, 0).astype(np.uint8)
            write_labels(folder / "manual" / f"{name}.nii.gz", manual)
    (folder / "manual" / "annotated.json").write_text(json.dumps(annotated))
    image, labels = patient(11)
    write_volume(folder / "validation" / "held_out_ct.nii.gz", image)
    write_labels(folder / "validation" / "held_out_label.nii.gz", labels)
    validation = {"held_out": {"annotated": list(range(1, 15))}}
    (folder / "validation" / "annotated.json").write_text(json.dumps(validation))
    return folder


@pytest.fixture(scope="session")
def packed_patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four packed cases: all annotated, three organs, no tumor, and a volume without organs."""
    from FlareTrainLib.packing import PackedCase, pack_case, write_index

    folder = tmp_path_factory.mktemp("packed")
    spacing = (SPACING,) * 3
    organs = tuple(range(1, 14))
    cases = [
        PackedCase("all", (*organs, 14), (), "annotated"),
        PackedCase("three", (1, 2, 3), (), "unknown"),
        PackedCase("healthy", (), organs, "absent"),
        PackedCase("empty", tuple(range(1, 15)), (), "absent", "negative"),
    ]
    for number, case in enumerate(cases):
        image, labels = patient(number, tumor=case.name == "all")
        if case.name == "three":
            labels[labels > 3] = 0
        if case.kind == "negative":
            image, labels = np.full_like(image, 40), np.zeros_like(labels)
        pack_case(folder, case, image, labels, spacing, spacing)
    write_index(folder, cases, spacing)
    return folder


@pytest.fixture
def raw_dataset(tmp_path: Path) -> Path:
    """A dataset in nnU-Net's layout: full, partly labeled, unlabeled, and one for validation."""
    import json

    folder = tmp_path / "dataset"
    annotated = {}
    everything = list(range(1, 15))
    for n, ids in enumerate((everything, everything, [1, 3], [])):
        name = f"case_{n}"
        image, labels = patient(n)
        write_volume(folder / "imagesTr" / f"{name}_0000.nii.gz", image)
        if ids:
            drawn = np.where(np.isin(labels, ids), labels, 0).astype(np.uint8)
            write_labels(folder / "labelsTr" / f"{name}.nii.gz", drawn)
            annotated[name] = {"annotated": ids}
        for source in ("a", "b", "c"):
            write_labels(folder / "pseudo" / source / f"{name}.nii.gz", labels)
    image, labels = patient(11)
    write_volume(folder / "imagesTs" / "held_out_0000.nii.gz", image)
    write_labels(folder / "labelsTs" / "held_out.nii.gz", labels)
    annotated["held_out"] = {"annotated": everything}
    (folder / "annotated.json").write_text(json.dumps(annotated))
    return folder


@pytest.fixture(scope="session")
def whole(packed_patients: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps without interruption, batches drawn ahead."""
    from training_parts import tiny

    from FlareTrainLib.fit import fit_run

    run = tmp_path_factory.mktemp("runs") / "whole"
    result = fit_run(run, packed_patients, tiny(), device="cpu")
    assert (result.step, result.finished, result.stopped) == (6, True, False)
    return run
