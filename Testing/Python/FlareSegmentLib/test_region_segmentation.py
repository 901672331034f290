"""A box that limits a segmentation: what the engine makes of it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from FlareSegmentLib.bundle import ModelBundle, bundled_model
from FlareSegmentLib.geometry import AxisOrder
from FlareSegmentLib.phantom.generate import PhantomSettings, make_phantom
from FlareSegmentLib.segmenter import InferenceSettings, Segmenter
from FlareSegmentLib.volume import Volume
from FlareSegmentLib.windows import Box

StoredAs = Callable[[Volume, AxisOrder], Volume]

ORDERS = [
    AxisOrder(permutation, flips)
    for permutation in permutations(range(3))
    for flips in product((False, True), repeat=3)
]

REGION: Box = (slice(5, 15), slice(8, 20), slice(10, 30))


@pytest.fixture(scope="module")
def limited(segmenter: Segmenter, body: Volume) -> np.ndarray:
    return segmenter.segment(body, region=REGION).array


def test_nothing_is_given_outside_of_the_region(limited: np.ndarray, body: Volume) -> None:
    assert limited.shape == body.array.shape
    assert len(np.unique(limited[REGION])) > 3
    outside = limited.copy()
    outside[REGION] = 0
    assert not outside.any()


def test_windows_beside_the_region_are_left_out(tiny_bundle: Path, body: Volume) -> None:
    """The others give what they give without a region, bit for bit."""
    settings = InferenceSettings(cleanup=None, precision="float32", patch=(8, 8, 8))
    segmenter = Segmenter(ModelBundle.load(tiny_bundle), "cpu", settings)
    whole, part = segmenter.segment(body), segmenter.segment(body, region=REGION)
    assert part.report["windows"] < whole.report["windows"]
    assert part.report["region"] == [[5, 15], [8, 20], [10, 30]]
    np.testing.assert_array_equal(part.array[REGION], whole.array[REGION])


def test_region_of_the_whole_scan_changes_nothing(segmenter: Segmenter, body: Volume) -> None:
    whole = tuple(slice(0, n) for n in body.array.shape)
    assert len(whole) == 3
    given = segmenter.segment(body, region=whole).array
    np.testing.assert_array_equal(given, segmenter.segment(body).array)


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_axis_order_does_not_change_what_is_found_in_a_region(
    segmenter: Segmenter, body: Volume, limited: np.ndarray, stored_as: StoredAs, order: AxisOrder
) -> None:
    volume = stored_as(body, order)
    marked = np.zeros(body.array.shape, bool)
    marked[REGION] = True
    hits = np.argwhere(order.undo(marked))
    k, j, i = (slice(int(a), int(b) + 1) for a, b in zip(hits.min(0), hits.max(0), strict=True))
    result = segmenter.segment(volume, region=(k, j, i))
    np.testing.assert_array_equal(result.affine, volume.affine)
    np.testing.assert_array_equal(result.array, order.undo(limited))


# --- the bundled model ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def phantom() -> tuple[Volume, np.ndarray]:
    settings = PhantomSettings(seed=1, spacing=(5.0, 3.0, 3.0), bottom_mm=-60, top_mm=130)
    return make_phantom(settings)


@pytest.fixture(scope="module")
def product_model() -> Segmenter:
    return Segmenter(ModelBundle.load(bundled_model()), "cpu")


@pytest.fixture(scope="module")
def whole(product_model: Segmenter, phantom: tuple[Volume, np.ndarray]) -> np.ndarray:
    return product_model.segment(phantom[0]).array


def voxel(k: int, j: int, i: int) -> Box:
    """The region of a single voxel."""
    return slice(k, k + 1), slice(j, j + 1), slice(i, i + 1)


@pytest.mark.parametrize(
    "region",
    [
        (slice(8, 35), slice(37, 77), slice(84, 114)),  # about the spleen
        (slice(0, 4), slice(20, 90), slice(20, 120)),  # the lower ends of many organs
        (slice(19, 20), slice(51, 52), slice(65, 66)),  # a voxel of the aorta
    ],
    ids=str,
)
def test_inside_the_region_all_is_as_without_it(
    product_model: Segmenter, phantom: tuple[Volume, np.ndarray], whole: np.ndarray, region: Box
) -> None:
    """A network that saw the region only would find organs less well."""
    result = product_model.segment(phantom[0], region=region)
    assert whole[region].any()
    np.testing.assert_array_equal(result.array[region], whole[region])


@pytest.mark.parametrize("corner", [(0, 0, 0), (20, 1, 1)], ids=str)
def test_nothing_in_the_region_is_said(
    product_model: Segmenter, phantom: tuple[Volume, np.ndarray], corner: tuple[int, int, int]
) -> None:
    scan, _truth = phantom
    result = product_model.segment(scan, region=voxel(*corner))
    assert not result.array.any()
    assert any("found in the box of interest" in note for note in result.report["notes"])


def test_a_scan_without_abdomen_is_said_with_a_region_too(
    product_model: Segmenter, tiny_ct: np.ndarray
) -> None:
    small = Volume(tiny_ct, np.diag([-1.5, -1.5, 1.5, 1.0]), "a leg")
    result = product_model.segment(small, region=REGION)
    assert not result.array.any()
    assert any(note.startswith("No organ found") for note in result.report["notes"])
