"""Logits after clean-up, and what upsampling makes of them."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from FlareSegmentLib.cleanup import CleanupSettings
from FlareSegmentLib.component_removal import remove_stray_components
from FlareSegmentLib.upsampling import largest_channel, reduce_axes, upsample_argmax

KEYS = ("liver", "spleen", "tumor")
EVERYTHING = CleanupSettings(least_ml={}, vanish=0.0, vanish_of={})
"""Settings that take no component away."""


def _second_between_two() -> torch.Tensor:
    """Liver and spleen side by side with a tumor second in both, and first in a ball far off."""
    logits = torch.zeros(4, 12, 12, 24)
    logits[0] = 1.0
    logits[1, 2:6, 2:10, 2:8] = 4.0
    logits[2, 2:6, 2:10, 8:14] = 4.0
    logits[3, 2:6, 2:10, 7:9] = 3.0
    logits[3, 4:8, 4:8, 18:22] = 5.0
    return logits


def test_a_target_second_in_two_neighbours_does_not_appear_between_them() -> None:
    fine = (12, 12, 96)
    untouched = upsample_argmax(_second_between_two(), fine) == 3
    assert ndimage.label(untouched)[1] > 1, "without clean-up there is a sliver"

    logits = _second_between_two()
    remove_stray_components(logits, 1.0, KEYS, EVERYTHING, None)
    tumor = upsample_argmax(logits, fine) == 3

    assert ndimage.label(tumor)[1] == 1
    assert not tumor[:, :, : 4 * 16].any()
    assert np.array_equal(tumor[:, :, 4 * 16 :], untouched[:, :, 4 * 16 :])


def test_what_is_first_somewhere_keeps_its_surface_to_the_voxel() -> None:
    rng = np.random.default_rng(3)
    noise = ndimage.gaussian_filter(rng.normal(size=(3, 14, 16, 18)), (0, 2, 2, 2))
    logits = torch.from_numpy(np.concatenate([np.zeros((1, 14, 16, 18)), noise])).float()
    before = upsample_argmax(logits.clone(), (28, 32, 36))
    winner = remove_stray_components(logits, 1.0, KEYS, EVERYTHING, None)
    after = upsample_argmax(logits, (28, 32, 36))

    changed = np.argwhere(before != after)
    assert np.array_equal(winner, largest_channel(logits))
    for k, j, i in changed:
        # Only where no coarse voxel about the fine one has the target: that was a sliver.
        corners = tuple(slice(max(0, (n - 1) // 2), (n + 1) // 2 + 1) for n in (k, j, i))
        assert before[k, j, i] not in winner[corners]


def test_a_thicker_grid_than_the_network_s_loses_nothing_at_a_surface() -> None:
    """Slices of 5 mm under a network of 2 mm: what was removed must not spread by averaging."""
    logits = torch.zeros(4, 25, 16, 16)
    logits[0] = 1.0
    logits[1, 5:20, 3:13, 3:13] = 4.0
    logits[3, 0:2, 0:2, 0:2] = 2.0
    fine = (10, 16, 16)
    plain = upsample_argmax(logits.clone(), fine)
    reduced = reduce_axes(logits, fine)
    remove_stray_components(reduced, 1.0, KEYS, EVERYTHING, None)

    assert reduced.shape == (4, 10, 16, 16)
    assert np.array_equal(upsample_argmax(reduced, fine) == 1, plain == 1)
    assert (plain == 1).any()
