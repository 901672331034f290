"""What a script or the console uses: names of the package itself, few lines, no torch early."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import FlareSegmentLib
from FlareSegmentLib import InferenceSettings, LabelMap, Segmenter, Volume, read_label_map
from FlareSegmentLib.errors import InputError, OutputError


@pytest.fixture(scope="module")
def volume(tiny_ct: np.ndarray) -> Volume:
    return Volume(tiny_ct, np.diag([-9.0, -9.0, 9.0, 1.0]), "scan")


@pytest.fixture(scope="module")
def segmenter(tiny_bundle: Path) -> Segmenter:
    """From the folder of a bundle, given as text."""
    return Segmenter(str(tiny_bundle), "cpu", InferenceSettings(cleanup=None))


@pytest.fixture(scope="module")
def label_map(segmenter: Segmenter, volume: Volume) -> LabelMap:
    return segmenter.segment(volume)


def test_every_public_name_is_there() -> None:
    for name in FlareSegmentLib.__all__:
        assert getattr(FlareSegmentLib, name) is not None
    with pytest.raises(AttributeError, match="Segmentor"):
        FlareSegmentLib.Segmentor  # noqa: B018


def test_the_package_imports_nothing_slow() -> None:
    code = "import sys, FlareSegmentLib; sys.exit(bool({'torch', 'numpy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_targets_may_be_one_text(segmenter: Segmenter, volume: Volume, label_map: LabelMap) -> None:
    some = segmenter.segment(volume, "Spleen, left kidney")
    assert some.targets == ("spleen", "left_kidney")
    np.testing.assert_array_equal(some.array == 3, label_map.array == 3)
    assert segmenter.segment(volume, "all").targets == label_map.targets


def test_no_target_is_a_sentence_not_an_empty_result(segmenter: Segmenter, volume: Volume) -> None:
    with pytest.raises(InputError, match="No target is wanted"):
        segmenter.segment(volume, [])


@pytest.mark.parametrize("name", ["a.nii.gz", "b.seg.nrrd"])
def test_saved_label_map_is_read_back(tmp_path: Path, label_map: LabelMap, name: str) -> None:
    label_map.save(tmp_path / name)
    array, affine = read_label_map(str(tmp_path / name))
    np.testing.assert_array_equal(array, label_map.array)
    np.testing.assert_allclose(affine, label_map.affine, atol=1e-5)


def test_saving_replaces_nothing_unasked(tmp_path: Path, label_map: LabelMap) -> None:
    scan = tmp_path / "scan.nii.gz"
    scan.write_text("the scan itself")
    with pytest.raises(OutputError, match="is there already"):
        label_map.save(scan)
    assert scan.read_text() == "the scan itself"
    label_map.save(scan, overwrite=True)
    assert read_label_map(scan)[0].shape == label_map.array.shape


def test_measures_are_those_of_the_voxels(label_map: LabelMap, volume: Volume) -> None:
    rows = {row["key"]: row for row in label_map.measure(volume)}
    assert rows.keys() == set(label_map.targets)
    found = max(rows.values(), key=lambda row: row["voxels"])
    inside = label_map.array == label_map.targets.index(found["key"]) + 1
    assert found["voxels"] == inside.sum()
    assert found["volume_ml"] == pytest.approx(inside.sum() * 0.729)
    assert found["mean_hu"] == pytest.approx(volume.array[inside].mean())
