"""Progress within one pass of a network, and stopping there."""

from __future__ import annotations

import copy

import pytest
import torch

from FlareSegmentLib.errors import Cancelled
from FlareSegmentLib.layer_watch import LayerWatch
from FlareSegmentLib.network import SubvoxelUNet, UNetSettings


def _network() -> SubvoxelUNet:
    torch.manual_seed(0)
    return SubvoxelUNet(UNetSettings(4, (4, 6, 8), (2, 2, 2))).eval()


def test_shares_rise_from_nothing_to_nearly_all() -> None:
    network = _network()
    watch = LayerWatch(network)
    with watch.watching(16**3):
        network(torch.zeros(1, 1, 16, 16, 16))
    shares: list[float] = []
    with watch.watching(24**3, shares.append):
        network(torch.zeros(1, 1, 24, 24, 24))
    layers = sum(isinstance(m, torch.nn.Conv3d) for m in network.modules())
    assert len(shares) == layers
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert len(set(shares)) == layers
    assert 0.9 < shares[-1] < 1


def test_the_first_pass_shows_nothing_yet() -> None:
    network = _network()
    shares: list[float] = []
    with LayerWatch(network).watching(16**3, shares.append):
        network(torch.zeros(1, 1, 16, 16, 16))
    assert set(shares) == {0.0}


def test_what_the_callback_raises_ends_the_pass() -> None:
    network = _network()
    watch = LayerWatch(network)
    calls = []

    def tell(share: float) -> None:
        calls.append(share)
        if len(calls) == 3:
            raise Cancelled("stop")

    with pytest.raises(Cancelled), watch.watching(16**3, tell):
        network(torch.zeros(1, 1, 16, 16, 16))
    assert len(calls) == 3
    network(torch.zeros(1, 1, 16, 16, 16))
    assert len(calls) == 3


def test_a_copy_of_the_network_is_watched_too() -> None:
    network = _network()
    watch = LayerWatch(network)
    shares: list[float] = []
    with watch.watching(16**3, shares.append):
        copy.deepcopy(network)(torch.zeros(1, 1, 16, 16, 16))
    assert len(shares) > 3
