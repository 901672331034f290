"""Volumes in ml and mean HU of organs."""

from __future__ import annotations

import numpy as np
import pytest

from FlareSegmentLib import statistics
from FlareSegmentLib.errors import InputError
from FlareSegmentLib.statistics import organ_statistics

AFFINE = np.diag([0.5, 0.5, 2.0, 1.0])  # 0.5 mm3, 0.0005 ml


def scan() -> tuple[np.ndarray, np.ndarray]:
    labels = np.zeros((10, 20, 30), dtype=np.uint8)
    labels[2:6, 5:15, 5:25] = 1
    labels[7:9, 5:10, 5:10] = 14
    ct = np.random.default_rng(0).integers(-1000, 1500, labels.shape).astype(np.int16)
    return labels, ct


def test_volume_mean_and_spread_are_those_of_the_voxels() -> None:
    labels, ct = scan()
    liver, tumor = organ_statistics(labels, ct, AFFINE, ["liver", "tumor"])
    assert (liver["key"], liver["name"], liver["voxels"]) == ("liver", "Liver", 800)
    assert liver["volume_ml"] == pytest.approx(0.4)
    assert liver["mean_hu"] == pytest.approx(ct[labels == 1].mean())
    assert liver["sd_hu"] == pytest.approx(ct[labels == 1].std())
    assert tumor["mean_hu"] == pytest.approx(ct[labels == 14].mean())


def test_slabs_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, ct = scan()
    whole = organ_statistics(labels, ct, AFFINE, ["liver", "tumor"])
    monkeypatch.setattr(statistics, "_SLAB_VOXELS", 1)
    assert organ_statistics(labels, ct, AFFINE, ["liver", "tumor"]) == whole


def test_an_absent_organ_has_no_volume_and_no_hu() -> None:
    labels, ct = scan()
    (row,) = organ_statistics(labels, ct, AFFINE, ["spleen"])
    assert (row["volume_ml"], row["voxels"]) == (0.0, 0)
    assert row["mean_hu"] is None
    assert row["sd_hu"] is None


def test_uniform_organ_has_no_spread_however_large_its_hu() -> None:
    labels, _ = scan()
    ct = np.full(labels.shape, 0.1 + 3000, dtype=np.float32)
    (row,) = organ_statistics(labels, ct, AFFINE, ["liver"])
    assert row["mean_hu"] == pytest.approx(3000.1, abs=1e-3)
    assert row["sd_hu"] < 1e-2


def test_tilted_grid_counts_its_true_voxel_volume() -> None:
    labels, ct = scan()
    tilted = AFFINE.copy()
    tilted[1, 2] = 1.0  # each slice is moved by 1 mm: the slabs of a voxel keep their volume
    (row,) = organ_statistics(labels, ct, tilted, ["liver"])
    assert row["volume_ml"] == pytest.approx(0.4)


def test_views_in_other_memory_order_give_the_same() -> None:
    labels, ct = scan()
    expected = organ_statistics(labels, ct, AFFINE, ["liver"])
    turned = organ_statistics(labels.T[::-1], ct.T[::-1], AFFINE, ["liver"])
    assert turned[0]["mean_hu"] == pytest.approx(expected[0]["mean_hu"])
    assert turned[0]["voxels"] == expected[0]["voxels"]


def test_ignored_and_unknown_labels_are_left_out() -> None:
    labels, ct = scan()
    before = organ_statistics(labels, ct, AFFINE, ["liver"])
    labels[0] = 255
    assert organ_statistics(labels, ct, AFFINE, ["liver"]) == before


def test_wrong_grid_and_unknown_key_are_refused() -> None:
    labels, ct = scan()
    with pytest.raises(InputError, match="same grid"):
        organ_statistics(labels, ct[:-1], AFFINE, ["liver"])
    with pytest.raises(InputError, match="lung"):
        organ_statistics(labels, ct, AFFINE, ["lung"])
