"""Refined cases are brought to the grid that a network works on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_labels import labels_of

from FlareTrainLib.dataset import read_dataset
from FlareTrainLib.grid import PackSettings
from FlareTrainLib.pack_dataset import organ_box, pack_refined
from FlareTrainLib.packing import read_case, read_index
from FlareTrainLib.refine_settings import RefineSettings
from FlareTrainLib.refinement import refine_dataset


def test_packed_cases_know_what_is_annotated(raw_dataset: Path, tmp_path: Path) -> None:
    dataset = read_dataset(raw_dataset)
    refined = refine_dataset(
        dataset, dataset.sources, RefineSettings(sources=("a",)), tmp_path / "refined"
    )
    packed = tmp_path / "packed"
    pack_refined(dataset, refined, tmp_path / "refined", packed, PackSettings((12, 16, 16)))
    cases, spacing = read_index(packed)
    assert spacing == (12, 16, 16)
    assert {c.name: c.annotated for c in cases}["case_2"] == (1, 3)
    image, labels = read_case(packed, "case_0")
    assert image.shape == labels.shape == (16, 16, 18)
    # The liver keeps its volume: half the voxels per axis and so on.
    fine = labels_of(tmp_path / "refined", "case_0")
    ratio = (labels == 1).sum() * (12 * 16 * 16) / ((fine == 1).sum() * 8**3)
    assert ratio == pytest.approx(1, abs=0.1)


def test_volumes_without_abdomen_are_packed_once(raw_dataset: Path, tmp_path: Path) -> None:
    dataset = read_dataset(raw_dataset)
    refined_folder, packed = tmp_path / "refined", tmp_path / "packed"
    refined = refine_dataset(dataset, dataset.sources, RefineSettings(), refined_folder)
    grid = PackSettings((24.0, 24.0, 24.0), negatives=1)
    pack_refined(dataset, refined, refined_folder, packed, grid)
    times = {path: path.stat().st_mtime_ns for path in packed.glob("*.npz")}
    kinds = [case.kind for case in read_index(packed)[0]]
    assert kinds.count("negative") == 3
    pack_refined(dataset, refined, refined_folder, packed, grid)
    assert [case.kind for case in read_index(packed)[0]] == kinds
    assert {path: path.stat().st_mtime_ns for path in packed.glob("*.npz")} == times


def test_two_stage_packing_has_one_size_and_each_case_its_spacing(
    raw_dataset: Path, tmp_path: Path
) -> None:
    dataset = read_dataset(raw_dataset)
    refined = refine_dataset(
        dataset, dataset.sources, RefineSettings(sources=("a",)), tmp_path / "refined"
    )
    packed = tmp_path / "packed"
    grid = PackSettings(fixed_size=(16, 16, 16), crop_margin_mm=(8, 8, 8))
    pack_refined(dataset, refined, tmp_path / "refined", packed, grid)
    cases, _ = read_index(packed)
    for case in cases:
        assert read_case(packed, case.name)[0].shape == (16, 16, 16)
        box = organ_box(labels_of(tmp_path / "refined", case.name), (8, 8, 8), (8, 8, 8))
        extent = [8 * (part.stop - part.start) for part in box]
        assert np.allclose(np.array(case.spacing) * 16, extent)
    assert extent != [8 * n for n in (24, 32, 36)], "the crop is smaller than the scan"
