"""Norms that keep statistics: measured by the median window, folded, windows of any size."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from FlareSegmentLib.errors import BundleError
from FlareSegmentLib.fixed_norm import FixedNorm, fixed_norms, measuring
from FlareSegmentLib.network import SubvoxelUNet, UNetSettings, build_network


def _image(seed: int, *size: int) -> Tensor:
    return torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(seed)) * 2 + 0.5


def _network(norm: str = "fixed") -> SubvoxelUNet:
    torch.manual_seed(3)
    network = SubvoxelUNet(UNetSettings(4, (4, 6), (2, 2, 2), norm=norm))
    for parameter in network.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, 0.3)
    return network.eval()


def _measured() -> SubvoxelUNet:
    network = _network()
    with torch.inference_mode(), measuring(network):
        for seed in range(7):
            network(_image(seed, 16, 16, 24))
    return network


def test_until_it_is_measured_it_is_instance_normalisation() -> None:
    fixed, instance = _network(), _network("instance")
    instance.load_state_dict(fixed.state_dict(), strict=False)
    x = _image(1, 8, 16, 12)
    for training in (False, True):
        torch.testing.assert_close(fixed.train(training)(x), instance.train(training)(x))


def test_statistics_are_those_of_the_median_window() -> None:
    norm = FixedNorm(2)
    windows = [torch.randn(1, 2, 4, 5, 6) * scale + 3 for scale in (1.0, 2.0, 3.0)]
    with measuring(norm):
        for window in windows:
            norm(window)
    means = torch.stack([w.mean((0, 2, 3, 4)) for w in windows]).median(0).values
    torch.testing.assert_close(norm.mean, means)
    around = [(w - means[:, None, None, None]).square().mean((0, 2, 3, 4)) for w in windows]
    torch.testing.assert_close(norm.variance, torch.stack(around).median(0).values)
    assert bool(norm.measured)


def test_one_strange_window_does_not_spoil_them() -> None:
    def variance(strange: bool) -> Tensor:
        torch.manual_seed(0)
        norm = FixedNorm(3)
        with measuring(norm):
            for _ in range(15):
                norm(torch.randn(1, 3, 8, 8, 8))
            if strange:
                norm(torch.randn(1, 3, 8, 8, 8) * 1000)
        return norm.variance

    torch.testing.assert_close(variance(True), variance(False), rtol=0.05, atol=0)


def test_a_measured_norm_is_scale_and_shift() -> None:
    norm = FixedNorm(3)
    with measuring(norm):
        norm(torch.randn(1, 3, 6, 6, 6) * 4 + 2)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(2, 3, 4, 4, 4)
    by_definition = nn.functional.batch_norm(
        x, norm.mean, norm.variance, norm.weight, norm.bias, eps=norm.eps
    )
    torch.testing.assert_close(norm(x), by_definition)


def test_folding_changes_nothing_but_rounding() -> None:
    network = _measured()
    x = _image(20, 16, 24, 16)
    before = network(x)
    folded = copy.deepcopy(network)
    folded.fold_norms()
    assert not fixed_norms(folded)
    torch.testing.assert_close(folded(x), before, rtol=1e-4, atol=1e-4)
    for parameter in folded.parameters():
        assert torch.isfinite(parameter).all()


def test_unmeasured_norms_are_not_folded() -> None:
    network = _network()
    network.fold_norms()
    assert len(fixed_norms(network)) == 6


def test_training_moves_every_weight_of_a_measured_network() -> None:
    network = _measured().train()
    statistics = [norm.mean.clone() for norm in fixed_norms(network)]
    network(_image(9, 16, 16, 16)).square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in network.parameters())
    for norm, mean in zip(fixed_norms(network), statistics, strict=True):
        assert torch.equal(norm.mean, mean)


@pytest.mark.parametrize(("norm", "same"), [("fixed", True), ("instance", False)])
def test_what_is_said_of_a_place_does_not_depend_on_far_away(norm: str, same: bool) -> None:
    """The property that makes one pass over a whole region possible."""
    network = _measured() if norm == "fixed" else _network(norm)
    x = _image(30, 32, 32, 96)
    changed = x.clone()
    changed[..., 64:] += 5
    with torch.inference_mode():
        one, other = network(x)[..., :16], network(changed)[..., :16]
    assert torch.allclose(one, other, atol=1e-5) == same


def test_an_error_while_measuring_leaves_it_unmeasured() -> None:
    norm = FixedNorm(2)

    def interrupted() -> None:
        with measuring(norm):
            norm(torch.randn(1, 2, 3, 3, 3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not bool(norm.measured)
    assert not norm.is_counting


def test_statistics_go_with_the_weights() -> None:
    network, other = _measured(), _network()
    other.load_state_dict(network.state_dict())
    x = _image(5, 8, 8, 8)
    torch.testing.assert_close(other(x), network(x))


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(BundleError, match="norm is 'batch', but must be one of instance, fixed"):
        build_network("SubvoxelUNet", {"norm": "batch"})
