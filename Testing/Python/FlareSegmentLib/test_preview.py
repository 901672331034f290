"""The preview shows the right organs, on the right side, in the right proportions."""

from __future__ import annotations

from itertools import pairwise, permutations, product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from FlareSegmentLib.errors import InputError, OutputError
from FlareSegmentLib.labels import target_by_key
from FlareSegmentLib.preview import best_slices, render_preview
from FlareSegmentLib.volume import Volume

LPS = np.diag([-2.0, -2.0, 5.0, 1.0])  # i to the left, j to the back, k to the head; 5 mm slices


@pytest.fixture
def scan() -> tuple[Volume, np.ndarray]:
    """Soft tissue with a liver on the patient's right and a spleen on the left, both in front."""
    array = np.full((20, 50, 60), 40, np.int16)
    labels = np.zeros(array.shape, np.uint8)
    labels[5:15, 8:20, 6:20] = target_by_key("liver").id
    labels[8:15, 8:20, 44:54] = target_by_key("spleen").id
    return Volume(array, LPS, "case"), labels


def _pixels(path: Path, key: str) -> np.ndarray:
    """Rows (y, x) of the pixels that have exactly a target's color: outlines and legend."""
    return np.argwhere((np.asarray(Image.open(path)) == target_by_key(key).color).all(axis=2))


def _axial_outline(path: Path, key: str) -> np.ndarray:
    """Pixels of a target's outline in the axial panel, which starts at 14, 46 and is 552 wide."""
    found = _pixels(path, key)
    return found[found[:, 1] < 14 + 552]


def test_patients_right_is_on_the_left(scan, tmp_path: Path) -> None:
    render_preview(*scan, tmp_path / "p.png")
    liver = _axial_outline(tmp_path / "p.png", "liver")
    spleen = _axial_outline(tmp_path / "p.png", "spleen")
    assert min(len(liver), len(spleen)) > 50
    assert liver[:, 1].max() < spleen[:, 1].min()
    # Both lie in front, and the front is up: panel from row 46, 460 high.
    assert max(liver[:, 0].max(), spleen[:, 0].max()) < 46 + 230


def test_every_axis_order_gives_the_same_picture(scan, tmp_path: Path) -> None:
    volume, labels = scan
    render_preview(volume, labels, tmp_path / "straight.png")
    straight = np.asarray(Image.open(tmp_path / "straight.png"))
    for order in permutations(range(3)):
        for flips in product((False, True), repeat=3):
            array, moved, affine = volume.array, labels, volume.affine.copy()
            for axis, flip in enumerate(flips):
                if flip:
                    array, moved = np.flip(array, axis), np.flip(moved, axis)
                    column = 2 - axis
                    affine[:, 3] += affine[:, column] * (array.shape[axis] - 1)
                    affine[:, column] *= -1
            array, moved = array.transpose(order), moved.transpose(order)
            columns = [2 - order[2 - c] for c in range(3)]
            affine[:, :3] = affine[:, columns]
            render_preview(Volume(array, affine, "case"), moved, tmp_path / "other.png")
            assert np.array_equal(np.asarray(Image.open(tmp_path / "other.png")), straight)


def test_millimeters_keep_their_aspect(scan, tmp_path: Path) -> None:
    """A cube of 20 mm is as high as wide in every panel, with slices of 5 mm and pixels of 2."""
    volume, labels = scan
    labels[:] = 0
    labels[8:12, 20:30, 25:35] = target_by_key("spleen").id
    render_preview(volume, labels, tmp_path / "p.png")
    found = _pixels(tmp_path / "p.png", "spleen")
    scale = 460 / 100  # pixels per mm: 50 rows and 20 slices are both 100 mm
    lefts = (14, 14 + 552 + 14, 14 + 2 * (552 + 14), 14 + 2 * (552 + 14) + 460)
    for left, right in pairwise(lefts):
        part = found[(found[:, 1] >= left) & (found[:, 1] < right)]
        height, width = np.ptp(part, axis=0) + 1
        assert height == pytest.approx(20 * scale, abs=3)
        assert width == pytest.approx(20 * scale, abs=3)


def test_empty_result_says_so(scan, tmp_path: Path) -> None:
    volume, labels = scan
    render_preview(volume, np.zeros_like(labels), tmp_path / "empty.png")
    render_preview(volume, labels, tmp_path / "full.png")
    warning = (255, 196, 64)
    count = [
        int((np.asarray(Image.open(tmp_path / name)) == warning).all(axis=2).sum())
        for name in ("empty.png", "full.png")
    ]
    assert count[0] > 500
    assert count[1] == 0


def test_slices_are_chosen_where_most_targets_are_in_view() -> None:
    labels = np.zeros((30, 40, 50), np.uint8)
    labels[2:20, 5:30, 5:30] = 1  # large
    labels[18, 30:33, 40:43] = 7  # small, only here
    k, j, _ = best_slices(labels)
    assert k == 18
    assert 5 <= j < 33


def test_labels_of_another_grid_are_refused(scan, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="own grid"):
        render_preview(scan[0], scan[1][:-1], tmp_path / "p.png")


def test_unwritable_place_is_an_output_error_and_leaves_nothing(scan, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="could not be written"):
        render_preview(*scan, tmp_path / "missing" / "p.png")
    render_preview(*scan, tmp_path / "päth with spaces.png")
    assert [p.name for p in tmp_path.iterdir()] == ["päth with spaces.png"]


def test_real_scan_fills_all_three_panels(shared_data: Path, tmp_path: Path) -> None:
    from FlareSegmentLib.reading import read_label_map, read_volume

    volume = read_volume(shared_data / "ct" / "chaos_ct03.nii.gz")
    labels, _ = read_label_map(shared_data / "pseudo" / "flare25_mean" / "chaos_ct03.nii.gz")
    render_preview(volume, labels.astype(np.uint8), tmp_path / "p.png")
    picture = Image.open(tmp_path / "p.png")
    assert picture.width > 1200
    liver = _pixels(tmp_path / "p.png", "liver")
    assert (liver[:, 1] < 300).sum() > 100  # the liver on the picture's left in the axial panel
