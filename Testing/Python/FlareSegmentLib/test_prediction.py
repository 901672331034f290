"""P3's window filter: which windows are computed, and what the others become."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from FlareSegmentLib.bundle import IntensityStatistics, NetworkEntry
from FlareSegmentLib.prediction import Predictor, WindowCount
from FlareSegmentLib.progress import Monitor
from FlareSegmentLib.windows import plan_windows, row_probes

PATCH = (8, 16, 16)
INTENSITY = IntensityStatistics(-1000, 1000, 0, 1)


class Bright(nn.Module):
    """Channel 1 wins where a voxel is positive; voxel by voxel, so windows do not matter."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(x), x], dim=1)


def predictor() -> Predictor:
    entry = NetworkEntry("", {}, "", "", (1.0, 1.0, 1.0), PATCH, INTENSITY)
    return Predictor(Bright(), entry, False, torch.device("cpu"), torch.float32)


def predicted(
    image: np.ndarray, filtered: bool, foreground: np.ndarray | None = None
) -> tuple[np.ndarray, WindowCount]:
    count = WindowCount()
    logits = predictor().predict(
        torch.from_numpy(image), PATCH, 1.0, foreground, Monitor(None, None), count, filtered
    )
    return logits.argmax(0).numpy(), count


def volume(rows: int, across: int) -> np.ndarray:
    """Windows side by side without overlap; nothing positive in it."""
    return np.full((8 * rows, 16 * across, 16 * across), -1.0, np.float32)


@pytest.mark.parametrize(
    ("rows", "across", "probes"),
    [(5, 2, (0, 3)), (6, 3, (4,)), (4, 2, ()), (4, 3, ()), (9, 1, ()), (5, 4, ())],
)
def test_probed_windows_are_those_of_the_paper(
    rows: int, across: int, probes: tuple[int, ...]
) -> None:
    shape = volume(rows, across).shape
    assert row_probes(plan_windows(shape, PATCH, (8, 16, 16), 1.0)) == probes


def test_rows_without_organs_are_left_out_and_are_background() -> None:
    image = volume(6, 3)
    # An organ in the middle of rows 2 and 3 that reaches into the windows around.
    image[16:32, 8:40, 8:40] = 1.0
    everything, all_windows = predicted(image, filtered=False)
    labels, count = predicted(image, filtered=True)
    assert (all_windows.computed, all_windows.skipped) == (54, 0)
    assert (count.computed, count.skipped) == (2 * 9 + 4, 4 * 8)
    np.testing.assert_array_equal(labels, everything)
    np.testing.assert_array_equal(labels == 1, image > 0)


@pytest.mark.parametrize(("voxels", "kept"), [(99, False), (100, True)])
def test_a_row_counts_as_empty_below_a_hundred_voxels(voxels: int, kept: bool) -> None:
    image = volume(5, 2)
    # Split over the two probed windows; the third corner is not probed.
    first = image[:8, :16, :16].reshape(-1)
    first[: voxels // 2] = 1.0
    image[:8, :16, :16] = first.reshape(8, 16, 16)
    last = image[:8, 16:, 16:].reshape(-1)
    last[: voxels - voxels // 2] = 1.0
    image[:8, 16:, 16:] = last.reshape(8, 16, 16)
    image[0, 0, 31] = 1.0
    labels, _ = predicted(image, filtered=True)
    assert labels[0, 0, 31] == int(kept)


def test_what_lies_off_the_middle_is_lost_as_in_the_paper() -> None:
    image = volume(5, 3)
    image[:, :12, :12] = 1.0
    labels, count = predicted(image, filtered=True)
    assert not labels.any()
    assert count.computed == 5
    assert predicted(image, filtered=False)[0].any()


def test_few_rows_are_computed_whole() -> None:
    image = volume(4, 3)
    image[:, :12, :12] = 1.0
    labels, count = predicted(image, filtered=True)
    assert (count.computed, count.skipped) == (36, 0)
    np.testing.assert_array_equal(labels == 1, image > 0)


def test_a_probe_that_is_not_computed_proves_nothing() -> None:
    """Only a corner is wanted, and the middle of the rows lies outside of it."""
    image = volume(5, 3)
    image[:, :12, :12] = 1.0
    wanted = np.zeros(image.shape, bool)
    wanted[:, :16, :16] = True
    labels, count = predicted(image, filtered=True, foreground=wanted)
    assert (count.computed, count.skipped) == (5, 40)
    np.testing.assert_array_equal(labels == 1, image > 0)
