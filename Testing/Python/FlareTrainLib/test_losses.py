"""Every loss against a slow, obvious NumPy version."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from slow_losses import (
    ALL,
    CASES,
    SIGMOID,
    SOFTMAX,
    SOME,
    TARGETS,
    TUMOR,
    batch,
    slow_sigmoid,
    slow_softmax,
)

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.network import depth_to_space, space_to_depth
from FlareTrainLib.losses import Annotation, build_loss, loss_at
from FlareTrainLib.losses import fused as fused_module
from FlareTrainLib.losses.deep_supervision import coarser, deeply_supervised, level_weights
from FlareTrainLib.losses.softmax import Marginal


@pytest.mark.parametrize("known", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *product(SIGMOID, [{}, {"focal": 2.0, "tumor_weight": 3.0}]),
        ("selected_partial", {"paper_exact": True}),
        ("bce_dice", {"paper_exact": True}),
    ],
    ids=str,
)
def test_sigmoid_losses_equal_the_formula(
    name: str, known: list[list[bool]], arguments: dict[str, Any]
) -> None:
    logits, labels, annotation = batch(name, known)
    with torch.no_grad():
        terms = build_loss(name, arguments)(logits, labels, annotation)
    expected = slow_sigmoid(name, logits.detach().numpy(), labels.numpy(), known, **arguments)
    assert float(terms["cross_entropy"]) == pytest.approx(expected[0], rel=1e-5)
    assert float(terms["dice"]) == pytest.approx(expected[1], rel=1e-5)


@pytest.mark.parametrize("known", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ce_dice", {}),
        ("ce_dice", {"focal": 2.0, "tumor_weight": 3.0}),
        ("marginal", {}),
        ("marginal", {"focal": 2.0, "tumor_weight": 3.0}),
        ("marginal", {"class_weights": (0.4, 1.0, 3.0, 5.0, 2.0), "tumor_weight": 2.0}),
        ("merge_max_ce_dice", {}),
        ("merge_max_ce_dice", {"paper_exact": True}),
        ("merge_max_ce_dice", {"merge": "logsumexp", "tumor_weight": 2.0}),
    ],
    ids=str,
)
def test_softmax_losses_equal_the_formula(
    name: str, arguments: dict[str, Any], known: list[list[bool]]
) -> None:
    logits, labels, annotation = batch(name, known)
    with torch.no_grad():
        terms = build_loss(name, arguments)(logits, labels, annotation)
    expected = slow_softmax(name, logits.detach().numpy(), labels.numpy(), known, **arguments)
    assert float(terms["cross_entropy"]) == pytest.approx(expected[0], rel=1e-5)
    assert float(terms["dice"]) == pytest.approx(expected[1], rel=1e-5)


def test_deep_supervision_averages_the_levels() -> None:
    assert level_weights(3) == pytest.approx([2 / 3, 1 / 3, 0])
    assert level_weights(3, coarsest=True) == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    assert level_weights(1) == [1]
    labels = torch.arange(64).reshape(1, 4, 4, 4) % 5
    half = coarser(labels, (4, 2, 2))
    assert torch.equal(half, labels[:, :, 1::2, 1::2])
    fine, coarse = torch.randn(1, 5, 4, 4, 4), torch.randn(1, 5, 4, 2, 2)
    annotation = Annotation(torch.ones(1, 4, dtype=torch.bool), TUMOR)
    loss = build_loss("ce_dice", {})
    total = deeply_supervised(loss, [fine, coarse], labels, annotation, coarsest=True)
    apart = [loss(fine, labels, annotation), loss(coarse, half, annotation)]
    for term, value in total.items():
        torch.testing.assert_close(value, apart[0][term] * 2 / 3 + apart[1][term] / 3)


def test_wrong_names_and_arguments_are_refused() -> None:
    with pytest.raises(InputError, match=r"no loss 'dice'.*marginal"):
        build_loss("dice", {})
    with pytest.raises(InputError, match="gamma"):
        build_loss("marginal", {"gamma": 2})
    with pytest.raises(InputError, match="2 class_weights, but the network has 5 channels"):
        build_loss("marginal", {"class_weights": [1, 2]})(*batch("marginal", ALL))
    with pytest.raises(InputError, match="max"):
        build_loss("marginal", {"merge": "mean"})


@pytest.mark.parametrize("name", ["marginal", "merge_max_ce_dice", "ce_dice"])
def test_class_weights_are_annealed_linearly_in_their_exponent(name: str) -> None:
    weights = [0.25, 1.0, 4.0, 9.0, 2.0]
    annealed = build_loss(name, {"class_weights": weights, "class_weights_end": 0.0})
    data = batch(name, SOME)
    for share, exponent in ((0.0, 1.0), (0.5, 0.5), (1.0, 0.0)):
        now = loss_at(annealed, share)(*data)
        plain = build_loss(name, {"class_weights": [w**exponent for w in weights]})(*data)
        assert torch.equal(now["cross_entropy"], plain["cross_entropy"])
        assert torch.equal(now["dice"], plain["dice"])
    assert annealed(*data)["cross_entropy"] != loss_at(annealed, 1.0)(*data)["cross_entropy"]


def test_a_loss_without_class_weights_stays_what_it_is() -> None:
    for name in (*SIGMOID, *SOFTMAX):
        loss = build_loss(name, {})
        assert loss_at(loss, 0.7) is loss


@pytest.mark.parametrize("chunk", [7, 10000])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("known", CASES.values(), ids=CASES)
def test_fused_loss_equals_the_plain_one(
    known: list[list[bool]], layout: Any, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused_module, "CHUNK", chunk)
    torch.manual_seed(3)
    stride = (2, 1, 2)
    _, labels, annotation = batch("marginal", known)
    labels = labels.repeat_interleave(2, 1).repeat_interleave(2, 3).roll(1, 2)
    loss = Marginal(class_weights=[0.5, 1, 2, 3, 4], tumor_weight=2.0)
    features = torch.randn(3, 6, labels.shape[1] // 2, labels.shape[2], labels.shape[3] // 2)
    features = features.to(memory_format=layout).requires_grad_()
    head = torch.nn.Conv3d(6, (TARGETS + 1) * 4, 1)
    results = []
    for fused in (True, False):
        features.grad = None
        head.zero_grad()
        if fused:
            terms = loss.of_features(features, head, space_to_depth(labels, stride), annotation)
        else:
            terms = loss(depth_to_space(head(features), stride), labels, annotation)
        sum(terms.values()).backward()  # type: ignore[union-attr]
        gradients = (features.grad, head.weight.grad, head.bias.grad)
        results.append([*terms.values(), *(g.clone() for g in gradients if g is not None)])
    assert len(results[0]) == 5
    for ours, plain in zip(*results, strict=True):
        assert float(plain.detach().abs().max()) > 1e-6
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-6)


def test_only_the_exact_marginal_loss_is_fused() -> None:
    assert Marginal().fusible
    for other in (Marginal(merge="max"), Marginal(focal=2.0), Marginal(exclusion=0.5)):
        assert not other.fusible
