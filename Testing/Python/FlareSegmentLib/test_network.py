"""The house network: sizes, depth to space, and refusal of what cannot be built."""

from __future__ import annotations

import pytest
import torch

from FlareSegmentLib.errors import BundleError
from FlareSegmentLib.network import (
    SubvoxelUNet,
    UNetSettings,
    build_network,
    depth_to_space,
    network_arguments,
)


@pytest.mark.parametrize("stem", [(1, 1, 1), (1, 2, 2), (2, 2, 2)])
def test_logits_have_the_inputs_size(stem: tuple[int, int, int]) -> None:
    network = SubvoxelUNet(UNetSettings(5, (4, 8, 8), stem))
    size = network.size_multiple
    assert size == tuple(4 * s for s in stem)
    x = torch.randn(2, 1, *(2 * n for n in size))
    assert network(x).shape == (2, 5, *x.shape[2:])


def test_depth_to_space_puts_every_channel_at_its_subvoxel() -> None:
    stride = (2, 1, 3)
    x = torch.arange(4 * 6 * 8).reshape(1, 24, 2, 2, 2)
    y = depth_to_space(x, stride)
    assert y.shape == (1, 4, 4, 2, 6)
    for c, a, d, k, j, i in [(0, 0, 0, 0, 0, 0), (1, 1, 2, 1, 0, 1), (3, 0, 1, 1, 1, 0)]:
        channel = c * 6 + a * 3 + d
        assert y[0, c, k * 2 + a, j, i * 3 + d] == x[0, channel, k, j, i]


@pytest.mark.parametrize("stem", [(1, 1, 1), (1, 2, 2), (2, 2, 2)])
def test_logits_slice_by_slice_are_those_of_the_whole(stem: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    network = SubvoxelUNet(UNetSettings(5, (4, 8, 8), stem)).eval()
    x = torch.randn(1, 1, *(2 * n + n * axis for axis, n in enumerate(network.size_multiple)))
    with torch.inference_mode():
        torch.testing.assert_close(network.logits_on_cpu(x), network(x)[0])


def test_the_bundled_configuration_has_at_most_six_million_parameters() -> None:
    count = sum(p.numel() for p in SubvoxelUNet(UNetSettings()).parameters())
    assert 5_000_000 < count <= 6_000_000


def test_settings_survive_json_lists() -> None:
    arguments = network_arguments(UNetSettings(3, (4, 8), (1, 2, 2)))
    lists = {k: list(v) if isinstance(v, tuple) else v for k, v in arguments.items()}
    assert build_network("SubvoxelUNet", lists).size_multiple == (2, 4, 4)


def test_unknown_network_and_wrong_arguments_are_refused() -> None:
    with pytest.raises(BundleError, match="'Nonsense'"):
        build_network("Nonsense", {})
    with pytest.raises(BundleError, match="do not fit"):
        build_network("SubvoxelUNet", {"depth": 3})
