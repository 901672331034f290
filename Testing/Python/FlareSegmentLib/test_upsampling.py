"""Slab-wise upsampling equals the argmax of fully interpolated logits, voxel for voxel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from FlareSegmentLib import upsampling
from FlareSegmentLib.errors import Cancelled
from FlareSegmentLib.progress import Monitor
from FlareSegmentLib.upsampling import (
    class_boxes,
    reference_argmax,
    upsample_argmax,
    upsample_labels,
)

SIZES = [
    ((12, 14, 15), (31, 40, 22)),
    ((12, 14, 15), (12, 14, 15)),
    ((9, 10, 11), (7, 8, 9)),
    ((6, 20, 20), (33, 57, 41)),
]
REDUCED = [((20, 19, 9), (8, 4, 20)), ((40, 12, 12), (7, 30, 30))]


def organ_like_logits(size: tuple[int, int, int], seed: int, channels: int = 6) -> Tensor:
    """Smooth blobs with noise and a background that usually wins."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn((1, channels, 4, 4, 4), generator=generator) * 3
    logits = functional.interpolate(coarse, size=size, mode="trilinear")[0]
    logits += 0.3 * torch.randn((channels, *size), generator=generator)
    logits[0] += 1.5
    return logits


@pytest.mark.parametrize(("size", "fine"), SIZES)
@pytest.mark.parametrize("seed", range(4))
def test_equals_argmax_of_torch_interpolation(
    size: tuple[int, int, int], fine: tuple[int, int, int], seed: int
) -> None:
    logits = organ_like_logits(size, seed)
    expected = functional.interpolate(logits[None], size=fine, mode="trilinear")[0].argmax(0)
    assert expected.unique().numel() > 3
    np.testing.assert_array_equal(upsample_argmax(logits, fine), expected)


@pytest.mark.parametrize(("size", "fine"), REDUCED)
def test_equals_brute_force_where_axes_shrink(
    size: tuple[int, int, int], fine: tuple[int, int, int]
) -> None:
    logits = organ_like_logits(size, 5)
    np.testing.assert_array_equal(upsample_argmax(logits, fine), reference_argmax(logits, fine))


def test_boxes_are_tight_around_a_small_organ() -> None:
    """Speed rests on this: an organ of 3 voxels must not be computed over the whole slice."""
    logits = torch.zeros(3, 6, 30, 30)
    logits[0] = 5
    logits[1, 2:5, 10:13, 20:23] = 9
    logits[2] = -5
    (box,) = class_boxes(logits, (60, 60))
    assert box.channel == 1
    assert [(s.start, s.stop) for s in box.coarse] == [(9, 14), (19, 24)]
    assert [(s.start, s.stop) for s in box.fine] == [(19, 27), (39, 47)]


@pytest.mark.parametrize("threads", [1, 3])
def test_slabs_and_threads_do_not_show(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    logits = organ_like_logits((12, 14, 15), 2)
    expected = functional.interpolate(logits[None], size=(47, 40, 22), mode="trilinear")[0]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for slab in (1, 5, 200):
            monkeypatch.setattr(upsampling, "SLAB", slab)
            found = upsample_argmax(logits, (47, 40, 22))
            np.testing.assert_array_equal(found, expected.argmax(0))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_only_background_gives_an_empty_map() -> None:
    logits = torch.zeros(4, 5, 6, 7)
    logits[0] = 1
    assert not upsample_argmax(logits, (9, 9, 9)).any()


def test_cancel_ends_it() -> None:
    asked = []

    def cancel() -> bool:
        asked.append(1)
        return len(asked) > 1

    with pytest.raises(Cancelled):
        upsample_argmax(organ_like_logits((8, 8, 8), 0), (90, 20, 20), Monitor(None, cancel))
    assert len(asked) == 2


def test_labels_first_is_blockier_than_logits_first() -> None:
    """P1's shortcut costs boundary accuracy; here against a ball whose truth is known."""
    position = (np.indices((10, 10, 10)) + 0.5) * 4 - 20
    distance = np.linalg.norm(position, axis=0).astype(np.float32)
    logits = torch.stack([torch.zeros(10, 10, 10), torch.from_numpy(13 - distance)])
    fine = np.linalg.norm(np.indices((40, 40, 40)) + 0.5 - 20, axis=0) < 13

    def dsc(labels: np.ndarray) -> float:
        return 2 * (labels.astype(bool) & fine).sum() / (labels.sum() + fine.sum())

    exact, fast = upsample_argmax(logits, (40, 40, 40)), upsample_labels(logits, (40, 40, 40))
    assert dsc(exact) > 0.97
    assert dsc(fast) < dsc(exact) - 0.03
