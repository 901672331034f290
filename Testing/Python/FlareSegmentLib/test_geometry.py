from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.geometry import (
    AxisOrder,
    canonical_affine,
    canonical_axes,
    canonical_volume,
    image_affine,
    is_sheared,
    lps_to_ras,
    set_image_affine,
)
from FlareSegmentLib.volume import Volume

SHAPE = (4, 5, 6)
ORDERS = [
    (permutation, flips)
    for permutation in permutations(range(3))
    for flips in product((False, True), repeat=3)
]


def lps_affine(
    spacing: tuple[float, float, float] = (0.7, 0.8, 5.0),
    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0),
    tilt: float = 0.0,
) -> np.ndarray:
    """RAS affine of a scan stored left, posterior, superior; angles in degrees."""
    shear = np.eye(3)
    shear[1, 2] = np.tan(np.radians(tilt))
    turned = Rotation.from_euler("xyz", rotation, degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turned @ np.diag([-1.0, -1.0, 1.0]) @ shear @ np.diag(spacing)
    affine[:3, 3] = (12.0, -34.0, 56.0)
    return affine


AFFINES = {
    "isotropic": lps_affine((1.0, 1.0, 1.0)),
    "anisotropic": lps_affine(),
    "thick along i": lps_affine((9.0, 0.5, 0.5)),
    "oblique": lps_affine(rotation=(20.0, -15.0, 10.0)),
    "nearly 45 degrees": lps_affine(rotation=(44.0, 0.0, 0.0)),
    "exactly 45 degrees": lps_affine(rotation=(45.0, 0.0, 0.0)),
    "far from every axis": lps_affine(rotation=(35.0, 30.0, -40.0)),
    "tilted gantry": lps_affine(tilt=25.0),
    "tilted and oblique": lps_affine(rotation=(10.0, 5.0, -20.0), tilt=-20.0),
}


def anatomy(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A patient whose value tells the position: a linear function of RAS, no symmetry in it."""
    k, j, i = np.indices(shape)
    world = np.einsum("rc,c...->r...", affine, np.stack([i, j, k, np.ones(shape)]))
    return world[0] + 1000.0 * world[1] + 1_000_000.0 * world[2]


def stored(
    affine: np.ndarray, permutation: tuple[int, ...], flips: tuple[bool, ...]
) -> tuple[tuple[int, ...], np.ndarray]:
    """Shape and affine of the same voxels, stored in another axis order."""
    result = np.eye(4)
    origin = affine[:3, 3].copy()
    for axis, source in enumerate(permutation):
        step = affine[:3, 2 - source]
        if flips[axis]:
            origin += step * (SHAPE[source] - 1)
            step = -step
        result[:3, 2 - axis] = step
    result[:3, 3] = origin
    return tuple(SHAPE[source] for source in permutation), result


@pytest.mark.parametrize("name", AFFINES)
def test_all_48_orders_give_the_same_canonical_volume(name: str) -> None:
    original = Volume(anatomy(AFFINES[name], SHAPE), AFFINES[name])
    expected, _ = canonical_volume(original)
    for permutation, flips in ORDERS:
        shape, affine = stored(AFFINES[name], permutation, flips)
        volume = Volume(anatomy(affine, shape), affine)
        result, order = canonical_volume(volume)
        assert result.array.shape == expected.array.shape
        np.testing.assert_allclose(result.affine, expected.affine, atol=1e-9)
        np.testing.assert_allclose(result.array, expected.array, atol=1e-3)
        np.testing.assert_array_equal(order.undo(result.array), volume.array)


@pytest.mark.parametrize("name", AFFINES)
def test_affine_follows_the_voxels(name: str) -> None:
    for permutation, flips in ORDERS:
        shape, affine = stored(AFFINES[name], permutation, flips)
        result, _ = canonical_volume(Volume(anatomy(affine, shape), affine))
        np.testing.assert_allclose(
            anatomy(result.affine, result.array.shape), result.array, atol=1e-3
        )


@pytest.mark.parametrize("name", [n for n in AFFINES if "45" not in n and "far" not in n])
def test_canonical_axes_run_to_head_back_and_left(name: str) -> None:
    for permutation, flips in ORDERS:
        shape, affine = stored(AFFINES[name], permutation, flips)
        result, _ = canonical_volume(Volume(np.zeros(shape), affine))
        to_left, to_back, to_head = result.affine[:3, :3].T
        assert to_left.argmin() == 0 or abs(to_left).argmax() == 0
        assert to_left[0] < 0
        assert to_back[1] < 0
        assert to_head[2] > 0
        assert [abs(v).argmax() for v in (to_left, to_back)] == [0, 1]


def test_left_and_right_are_never_swapped() -> None:
    # A canonical order of the wrong handedness would be a mirror image of the patient.
    rng = np.random.default_rng(7)
    for rotation in Rotation.random(500, rng=rng):
        affine = np.eye(4)
        affine[:3, :3] = rotation.as_matrix() @ np.diag(rng.uniform(0.5, 8.0, 3))
        for permutation, flips in ORDERS[::5]:
            shape, turned = stored(affine, permutation, flips)
            order = canonical_axes(turned)
            assert np.linalg.det(canonical_affine(turned, shape, order)[:3, :3]) > 0


def greedy(affine: np.ndarray) -> tuple[int, ...]:
    """The order found axis by axis: each takes the nearest array axis that is still free."""
    free = [0, 1, 2]
    chosen = []
    directions = (affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)).T[::-1]
    for world in (2, 1, 0):
        chosen.append(max(free, key=lambda source: abs(directions[source, world])))
        free.remove(chosen[-1])
    return tuple(chosen)


def test_choice_is_the_best_of_all_not_axis_by_axis() -> None:
    misled = 0
    for rotation in Rotation.random(300, rng=np.random.default_rng(3)):
        affine = np.eye(4)
        affine[:3, :3] = rotation.as_matrix() @ np.diag([0.5, 3.0, 1.0])
        directions = (affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)).T[::-1]

        def total(order: tuple[int, ...], directions: np.ndarray = directions) -> float:
            return float(sum(abs(directions[s, w]) for s, w in zip(order, (2, 1, 0), strict=True)))

        best = max(total(order) for order in permutations(range(3)))
        assert total(canonical_axes(affine).permutation) == pytest.approx(best)
        misled += total(greedy(affine)) < best - 1e-6
    assert misled > 5  # otherwise the cases above would not tell the two apart


def test_order_gives_views_of_the_same_memory() -> None:
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    for permutation, flips in ORDERS:
        order = AxisOrder(permutation, flips)
        applied = order.apply(array)
        assert np.shares_memory(applied, array)
        assert np.shares_memory(order.undo(applied), array)
        np.testing.assert_array_equal(order.undo(applied), array)


def test_labels_drawn_in_canonical_order_lie_on_the_same_voxels() -> None:
    for permutation, flips in ORDERS:
        shape, affine = stored(AFFINES["oblique"], permutation, flips)
        volume = Volume(anatomy(affine, shape), affine)
        canonical, order = canonical_volume(volume)
        threshold = np.median(canonical.array)
        labels = np.ascontiguousarray(canonical.array > threshold).astype(np.uint8)
        np.testing.assert_array_equal(order.undo(labels), volume.array > threshold)


def test_canonical_volume_keeps_name_and_notes() -> None:
    volume = Volume(np.zeros(SHAPE), np.eye(4), name="case", notes=("a note",))
    result, _ = canonical_volume(volume)
    assert (result.name, result.notes) == ("case", ("a note",))
    assert replace(result, name="x").name == "x"


@pytest.mark.parametrize(
    "columns",
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 0]],
        [[1, 0, 0], [0, 1, 0], [0, 1, 0]],
        [[1, 0, 0], [0, 1, 0], [1, 1, 0.01]],
        [[1, 0, 0], [0, np.nan, 0], [0, 0, 1]],
    ],
)
def test_broken_directions_are_refused(columns: list[list[float]]) -> None:
    affine = np.eye(4)
    affine[:3, :3] = np.transpose(columns)
    with pytest.raises(InputError, match="position information"):
        canonical_axes(affine)


def test_only_tilted_scans_are_sheared() -> None:
    assert [name for name in AFFINES if is_sheared(AFFINES[name])] == [
        "tilted gantry",
        "tilted and oblique",
    ]
    assert is_sheared(lps_affine(tilt=0.1))
    assert not is_sheared(lps_affine(rotation=(1, 2, 3)).astype(np.float32))


def test_lps_and_ras_differ_by_two_signs() -> None:
    affine = lps_affine(rotation=(5.0, 6.0, 7.0))
    point = np.array([3.0, 4.0, 5.0, 1.0])
    ras, lps = affine @ point, lps_to_ras(affine) @ point
    np.testing.assert_allclose(lps, ras * [-1, -1, 1, 1])
    np.testing.assert_array_equal(lps_to_ras(lps_to_ras(affine)), affine)


@pytest.mark.parametrize("name", AFFINES)
def test_affine_of_an_itk_image_is_where_itk_puts_its_voxels(name: str) -> None:
    image = sitk.Image([6, 5, 4], sitk.sitkInt16)
    set_image_affine(image, AFFINES[name])
    for index in [(0, 0, 0), (5, 0, 0), (0, 4, 0), (1, 2, 3)]:
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose((AFFINES[name] @ [*index, 1])[:3], lps * [-1, -1, 1], atol=1e-9)
    np.testing.assert_allclose(image_affine(image), AFFINES[name], atol=1e-12)


def test_axis_aligned_geometry_survives_itk_to_the_bit() -> None:
    image = sitk.Image([6, 5, 4], sitk.sitkInt16)
    image.SetSpacing((0.6835939884185791, 0.1, 2.499999))
    image.SetOrigin((-171.3, 1 / 3, -0.1))
    image.SetDirection((-1, 0, 0, 0, 0, 1, 0, 1, 0))
    other = sitk.Image([6, 5, 4], sitk.sitkUInt8)
    set_image_affine(other, image_affine(image))
    assert other.GetSpacing() == image.GetSpacing()
    assert other.GetOrigin() == image.GetOrigin()
    assert other.GetDirection() == image.GetDirection()


def test_flat_affine_cannot_be_given_to_an_image() -> None:
    affine = np.diag([1.0, 1.0, 0.0, 1.0])
    with pytest.raises(InputError, match="one plane"):
        set_image_affine(sitk.Image([6, 5, 4], sitk.sitkInt16), affine)
