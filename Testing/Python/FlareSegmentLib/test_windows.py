"""Windows cover everything, stay inside, and are no larger than allowed."""

from __future__ import annotations

import numpy as np
import pytest

from FlareSegmentLib.windows import evened_window, plan_windows, round_up


@pytest.mark.parametrize("grid", [(32, 32, 32), (96, 160, 176), (16, 240, 48), (208, 64, 64)])
@pytest.mark.parametrize("step", [0.5, 0.75, 1.0])
def test_every_voxel_is_in_a_window(grid: tuple[int, int, int], step: float) -> None:
    plan = plan_windows(grid, (96, 96, 128), (16, 16, 16), step)
    seen = np.zeros(grid, bool)
    for box in plan.boxes:
        seen[box] = True
        assert tuple(s.stop - s.start for s in box) == plan.size
        assert all(s.start >= 0 and s.stop <= n for s, n in zip(box, grid, strict=True))
    assert seen.all()


def test_a_grid_that_fits_takes_one_window() -> None:
    plan = plan_windows((80, 160, 224), (96, 256, 256), (16, 16, 16), 0.75)
    assert plan.boxes == ((slice(0, 80), slice(0, 160), slice(0, 224)),)
    np.testing.assert_array_equal(plan.axis_weights(0), 1)


def test_neighbours_are_at_most_a_step_apart() -> None:
    plan = plan_windows((400, 32, 32), (96, 32, 32), (16, 16, 16), 0.75)
    starts = [box[0].start for box in plan.boxes]
    assert max(np.diff(starts)) <= 0.75 * 96
    assert starts[0] == 0
    assert starts[-1] == 400 - 96


def test_patch_smaller_than_the_networks_multiple_is_one_multiple() -> None:
    assert plan_windows((64, 64, 64), (8, 8, 8), (16, 16, 16), 0.5).size == (16, 16, 16)


@pytest.mark.parametrize("length", [8, 96, 97, 104, 136, 137, 200, 500])
def test_an_evened_window_covers_with_as_few_and_no_more(length: int) -> None:
    """Of up to 100 voxels in multiples of 8, neighbours overlapping by a quarter."""
    grid = round_up((length, 8, 8), (8, 8, 8))
    window = evened_window(grid, (100, 100, 100), (8, 8, 8), 0.75)
    assert window[0] % 8 == 0
    assert 8 <= window[0] <= 96
    plan = plan_windows(grid, window, (8, 8, 8), 0.75)
    largest = plan_windows(grid, (96, 96, 96), (8, 8, 8), 0.75)
    assert len(plan.boxes) == len(largest.boxes)
    assert plan.boxes[-1][0].stop == grid[0]
    # At most a multiple of the network is computed for nothing in each window.
    overlap = (len(plan.boxes) - 1) * 24
    assert len(plan.boxes) * window[0] <= grid[0] + overlap + 8 * len(plan.boxes)


def test_blending_weights_are_symmetric_and_positive() -> None:
    weights = plan_windows((200, 32, 32), (96, 32, 32), (16, 16, 16), 0.5).axis_weights(0)
    assert weights.min() > 0
    np.testing.assert_allclose(weights, weights[::-1], rtol=1e-6)
    assert weights[48] > 5 * weights[0]


def test_round_up() -> None:
    assert round_up((1, 16, 17), (16, 16, 16)) == (16, 16, 32)
