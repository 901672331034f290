"""The normalized surface distance: known shapes, and the published implementation."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from scipy import ndimage

from FlareSegmentLib.surface import area_table, nsd, surface_elements

# The published implementation of the surface distance calls SciPy by an old name.
pytestmark = pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")

SPACINGS = [(1.0, 1.0, 1.0), (2.5, 0.8, 0.8), (5.0, 0.7, 0.71), (1.0, 2.0, 3.0)]


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """DeepMind's own implementation from PyPI; it uses names that NumPy and SciPy have removed."""
    monkeypatch.setattr(np, "Inf", np.inf, raising=False)
    monkeypatch.setattr(ndimage, "filters", ndimage, raising=False)
    return pytest.importorskip("surface_distance", reason="pip install surface-distance")


def ball(shape: tuple[int, int, int], center: tuple[float, ...], radius: float) -> np.ndarray:
    grid = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    return sum((g - c) ** 2 for g, c in zip(grid, center, strict=True)) <= radius**2


def blob(seed: int, shape: tuple[int, int, int] = (24, 30, 28)) -> np.ndarray:
    """Ragged random shape: smoothed noise above a threshold has every neighborhood code."""
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, 1.2) > 0.1


@pytest.mark.parametrize("spacing", SPACINGS)
def test_area_of_every_neighborhood_is_the_published_one(
    spacing: tuple[float, float, float], published: ModuleType
) -> None:
    from surface_distance import lookup_tables

    expected = lookup_tables.create_table_neighbour_code_to_surface_area(spacing)
    np.testing.assert_allclose(area_table(spacing), expected, rtol=1e-9)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("tolerance", [1.0, 2.0, 5.0])
def test_nsd_of_ragged_shapes_is_the_published_one(
    spacing: tuple[float, float, float], tolerance: float, published: ModuleType
) -> None:
    one, other = blob(1), ndimage.shift(blob(1), (1, 2, 0), order=0) | blob(2)
    distances = published.compute_surface_distances(other, one, spacing)
    expected = published.compute_surface_dice_at_tolerance(distances, tolerance)
    assert nsd(one, other, spacing, tolerance) == pytest.approx(expected, abs=1e-9)


# Not 3.0: some distances are exactly 3 mm there, which the published code rounds to either side.
@pytest.mark.parametrize("tolerance", [0.5, 2.0, 2.95])
def test_nsd_of_balls_is_the_published_one(tolerance: float, published: ModuleType) -> None:
    one = ball((30, 30, 30), (14, 14, 14), 9)
    other = ball((30, 30, 30), (15, 14, 16), 11)
    distances = published.compute_surface_distances(other, one, (1.0, 0.9, 0.8))
    expected = published.compute_surface_dice_at_tolerance(distances, tolerance)
    assert 0.0 < expected < 1.0
    assert nsd(one, other, (1.0, 0.9, 0.8), tolerance) == pytest.approx(expected, abs=1e-9)


def test_faces_of_a_box_have_the_area_of_the_box() -> None:
    mask = np.zeros((14, 16, 18), dtype=bool)
    mask[2:12, 3:13, 4:14] = True  # 10 voxels wide
    points, areas = surface_elements(mask, (2.0, 1.0, 0.5))
    flat = np.isclose(areas[:, None], [2.0, 1.0, 0.5]).any(axis=1)  # a voxel's three faces
    # Each face has 9 x 9 flat elements, edges and corners are beveled.
    assert areas[flat].sum() == pytest.approx(2 * 81 * (2.0 * 1.0 + 2.0 * 0.5 + 1.0 * 0.5))
    np.testing.assert_allclose(points.min(axis=0), [2 * 2.0, 3 * 1.0, 4 * 0.5])
    np.testing.assert_allclose(points.max(axis=0), [12 * 2.0, 13 * 1.0, 14 * 0.5])


def test_area_of_a_ball_nears_that_of_a_sphere() -> None:
    _, areas = surface_elements(ball((70, 70, 70), (34.5, 34.5, 34.5), 30), (1.0, 1.0, 1.0))
    # Marching cubes on a mask without gray values overestimates by 8 to 9 percent.
    assert areas.sum() / (4 * np.pi * 30**2) == pytest.approx(1.085, abs=0.015)


def test_a_shift_within_the_tolerance_is_no_error_and_beyond_it_is() -> None:
    mask = np.zeros((12, 12, 40), dtype=bool)
    mask[3:9, 3:9, 5:20] = True
    shifted = np.roll(mask, 3, axis=2)  # 3 voxels of 0.7 mm: 2.1 mm
    assert nsd(mask, shifted, (1.0, 1.0, 0.7), 2.1) == 1.0
    below = nsd(mask, shifted, (1.0, 1.0, 0.7), 2.0)
    # Only the two end faces of each box are out of reach, of 6 x 6 mm without their edges.
    _, areas = surface_elements(mask, (1.0, 1.0, 0.7))
    assert 1.0 - 2 * 36.0 / areas.sum() < below < 1.0 - 2 * 16.0 / areas.sum()


def test_disjoint_masks_score_zero_and_empty_ones_nothing() -> None:
    mask, far = np.zeros((8, 8, 40), dtype=bool), np.zeros((8, 8, 40), dtype=bool)
    mask[2:5, 2:5, 2:5] = True
    far[2:5, 2:5, 30:34] = True
    empty = np.zeros_like(mask)
    assert nsd(mask, far, (1, 1, 1), 5.0) == 0.0
    assert nsd(mask, empty, (1, 1, 1), 5.0) == 0.0
    assert nsd(empty, mask, (1, 1, 1), 5.0) == 0.0
    assert np.isnan(nsd(empty, empty, (1, 1, 1), 5.0))


def test_a_mask_has_a_surface_where_it_touches_the_border() -> None:
    inside = np.zeros((10, 10, 10), dtype=bool)
    inside[3:7, 3:7, 3:7] = True
    cut = inside[3:7, 3:7, 3:7]
    _, areas = surface_elements(inside, (1, 1, 1))
    _, cut_areas = surface_elements(cut, (1, 1, 1))
    assert cut_areas.sum() == pytest.approx(areas.sum())


@pytest.mark.parametrize("axes", [(1, 2, 0), (2, 1, 0)])
def test_axis_order_does_not_matter(axes: tuple[int, int, int]) -> None:
    one, other, spacing = blob(3), blob(4), (2.5, 0.8, 0.9)
    turned = tuple(spacing[axis] for axis in axes)
    expected = nsd(one, other, spacing, 1.0)
    # The cut of polygons that are not flat depends on the axes, as in the published table.
    assert nsd(one.transpose(axes), other.transpose(axes), turned, 1.0) == pytest.approx(
        expected, abs=2e-3
    )
