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


def test_only_blocks_with_different_winners_are_interpolated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Speed rests on this: a small organ must not be computed over the whole scan."""
    monkeypatch.setattr(upsampling, "BLOCK", (8, 8, 8))
    seen = []
    interpolate = upsampling._Upsampling._interpolate

    def count(self: upsampling._Upsampling, *blocks: upsampling.Block) -> None:
        seen.append(tuple(block.coarse.start for block in blocks))
        interpolate(self, *blocks)

    monkeypatch.setattr(upsampling._Upsampling, "_interpolate", count)
    logits = torch.zeros(3, 24, 32, 32)
    logits[0] = 5
    logits[1, 10:13, 11:13, 19:22] = 9
    logits[2] = -5
    found = upsample_argmax(logits, (40, 60, 60))
    assert seen == [(8, 8, 16)]
    expected = functional.interpolate(logits[None], size=(40, 60, 60), mode="trilinear")[0]
    np.testing.assert_array_equal(found, expected.argmax(0))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("fine", [(47, 40, 22), (12, 9, 31), (7, 14, 15)])
def test_blocks_and_threads_do_not_show(
    threads: int, fine: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = organ_like_logits((12, 14, 15), 2)
    expected = functional.interpolate(logits[None], size=fine, mode="trilinear")[0].argmax(0)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for block in ((1, 1, 1), (3, 5, 4), (200, 200, 200)):
            monkeypatch.setattr(upsampling, "BLOCK", block)
            np.testing.assert_array_equal(upsample_argmax(logits, fine), expected)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("size", "new_size"), [(10, 33), (10, 10), (10, 7), (1, 5), (5, 3)])
def test_blocks_share_out_the_output(size: int, new_size: int) -> None:
    for cells in (1, 3, 50):
        axis = upsampling.Axis(size, new_size, cells)
        covered = [n for block in axis.blocks for n in range(block.fine.start, block.fine.stop)]
        assert covered == list(range(new_size))
        for block in axis.blocks:
            # Nothing from outside of its coarse voxels is needed.
            sums = axis.weights_of(block).sum(1)
            torch.testing.assert_close(sums, torch.ones_like(sums))


def test_only_background_gives_an_empty_map() -> None:
    logits = torch.zeros(4, 5, 6, 7)
    logits[0] = 1
    assert not upsample_argmax(logits, (9, 9, 9)).any()


def test_cancel_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upsampling, "BLOCK", (1, 16, 16))
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
