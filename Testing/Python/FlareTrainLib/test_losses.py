"""Every loss against a slow, obvious NumPy version, and by what its gradient reaches."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.network import depth_to_space, space_to_depth
from FlareTrainLib.label_values import IGNORE
from FlareTrainLib.losses import LOSSES, Annotation, activation, build_loss, loss_at
from FlareTrainLib.losses.deep_supervision import coarser, deeply_supervised, level_weights
from FlareTrainLib.losses.softmax import Marginal

TARGETS = 4
TUMOR = 4
SIGMOID = ("selected_partial", "masked_bce_dice", "bce_dice")
SOFTMAX = ("merge_max_ce_dice", "ce_dice", "marginal")
SHAPE = (3, 2, 3, 4)  # batch, k, j, i


def batch(name: str, known: list[list[bool]], seed: int = 0) -> tuple[Any, Any, Annotation]:
    """Random logits and labels of three samples; labels are consistent with the annotation."""
    rng = np.random.default_rng(seed)
    channels = TARGETS if activation(name) == "sigmoid" else TARGETS + 1
    logits = torch.from_numpy(rng.normal(0, 2, (SHAPE[0], channels, *SHAPE[1:])))
    labels = rng.integers(0, TARGETS + 1, SHAPE)
    for sample, row in enumerate(known):
        for target, annotated in enumerate(row, start=1):
            if not annotated:
                labels[sample][labels[sample] == target] = 0
    labels[:, 0, 0, 0] = IGNORE
    annotation = Annotation(torch.tensor(known), TUMOR)
    return logits.requires_grad_(), torch.from_numpy(labels), annotation


ALL = [[True] * TARGETS] * 3
SOME = [[True, True, True, True], [True, False, True, True], [False, True, False, True]]
TUMOR_UNKNOWN = [[True, True, True, False], [True, False, True, False], [True] * 4]
CASES = {"all annotated": ALL, "organs missing": SOME, "tumor unknown": TUMOR_UNKNOWN}


def voxels_of(labels: np.ndarray) -> list[tuple[int, int, int]]:
    return [v for v in np.ndindex(labels.shape) if labels[v] != IGNORE]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def pair_numbers(logits: np.ndarray, labels: np.ndarray, target: int, focal: float) -> Any:
    """Mean cross-entropy, its positive part, overlap, predicted and labelled size of one pair."""
    cost = positive = overlap = predicted = labelled = 0.0
    voxels = voxels_of(labels)
    for v in voxels:
        p = sigmoid(logits[v])
        if labels[v] == target:
            term = -math.log(p) * (1 - p) ** focal
            positive += term
            overlap += p
            labelled += 1
        else:
            term = -math.log(1 - p) * p**focal
        cost += term
        predicted += p
    return cost / len(voxels), positive / len(voxels), overlap, predicted, labelled


def slow_sigmoid(
    name: str,
    logits: np.ndarray,
    labels: np.ndarray,
    known: list[list[bool]],
    focal: float = 0.0,
    tumor_weight: float = 1.0,
    paper_exact: bool = False,
) -> tuple[float, float]:
    smooth = 1.0 if name == "masked_bce_dice" else 1e-5
    costs, weights, dices, dice_weights = [], [], [], []
    batch_sums = np.zeros((TARGETS, 3))
    for b, t in product(range(len(labels)), range(1, TARGETS + 1)):
        weight = tumor_weight if t == TUMOR else 1.0
        cost, positive, overlap, predicted, labelled = pair_numbers(
            logits[b, t - 1], labels[b], t, focal
        )
        annotated = known[b][t - 1]
        dice = (2 * overlap + smooth) / (predicted + labelled + smooth)
        if name == "selected_partial" and paper_exact:
            annotated = t != TUMOR or labelled > 0
            dices.append(1 - dice if annotated else 0.0)
            dice_weights.append(weight)
        if not annotated:
            continue
        costs.append(positive if name == "bce_dice" and paper_exact else cost)
        weights.append(weight)
        batch_sums[t - 1] += (overlap, predicted, labelled)
        if name == "masked_bce_dice" or (name == "bce_dice" and labelled > 0):
            dices.append(1 - dice)
            dice_weights.append(weight)
    if name == "selected_partial" and not paper_exact:
        for t, (overlap, predicted, labelled) in enumerate(batch_sums, start=1):
            if labelled > 0:
                dices.append(1 - (2 * overlap + smooth) / (predicted + labelled + smooth))
                dice_weights.append(tumor_weight if t == TUMOR else 1.0)
    return np.average(costs, weights=weights), np.average(dices, weights=dice_weights)


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


def slow_softmax(
    name: str,
    logits: np.ndarray,
    labels: np.ndarray,
    known: list[list[bool]],
    merge: str = "",
    focal: float = 0.0,
    tumor_weight: float = 1.0,
    paper_exact: bool = False,
    class_weights: tuple[float, ...] = (1.0,) * (TARGETS + 1),
) -> tuple[float, float]:
    """Voxel by voxel: which groups of channels compete, and which one is right."""
    merge = merge or ("max" if name == "merge_max_ce_dice" else "logsumexp")
    costs, weights = [], []
    overlap, predicted, labelled = np.zeros((3, TARGETS + 1))
    for b, v in product(range(len(labels)), np.ndindex(labels.shape[1:])):
        y = labels[(b, *v)]
        if y == IGNORE:
            continue
        x = logits[(b, slice(None), *v)]
        unknown = [t for t in range(1, TARGETS + 1) if not known[b][t - 1]]
        if paper_exact and TUMOR in unknown:
            unknown.remove(TUMOR)
        groups = {c: [c] for c in range(TARGETS + 1) if c not in unknown}
        if name != "ce_dice":
            groups[0] += [t for t in unknown if t != TUMOR]
            if TUMOR in unknown:
                if y > 0:
                    groups[y] += [TUMOR]
                else:
                    groups[TUMOR] = [TUMOR]
        strength = {
            g: max(x[members]) if merge == "max" else np.log(np.exp(x[members]).sum())
            for g, members in groups.items()
        }
        total = np.log(sum(math.exp(s) for s in strength.values()))
        log_p = {g: s - total for g, s in strength.items()}
        p = math.exp(log_p[y])
        weight = class_weights[y] * (tumor_weight if y == TUMOR else 1.0)
        costs.append(-log_p[y] * (1 - p) ** focal)
        weights.append(weight)
        overlap[y] += p
        labelled[y] += 1
        for g, value in log_p.items():
            if g not in unknown:
                predicted[g] += math.exp(value)
    dices, dice_weights = [], []
    for t in range(1, TARGETS + 1):
        if labelled[t] > 0:
            dices.append(1 - (2 * overlap[t] + 1e-5) / (predicted[t] + labelled[t] + 1e-5))
            dice_weights.append(tumor_weight if t == TUMOR else 1.0)
    return np.average(costs, weights=weights), np.average(dices, weights=dice_weights)


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


def gradient(name: str, known: list[list[bool]], **arguments: Any) -> tuple[Any, Any]:
    """Gradient of the loss by the logits, and the labels."""
    logits, labels, annotation = batch(name, known)
    sum(build_loss(name, arguments)(logits, labels, annotation).values()).backward()
    assert bool(torch.isfinite(logits.grad).all())
    return logits.grad, labels


@pytest.mark.parametrize("known", [SOME, TUMOR_UNKNOWN], ids=["organs missing", "tumor unknown"])
@pytest.mark.parametrize("name", [*SIGMOID, "ce_dice"])
def test_no_gradient_reaches_a_target_that_is_not_annotated(
    name: str, known: list[list[bool]]
) -> None:
    grad, _ = gradient(name, known)
    first = 0 if activation(name) == "sigmoid" else 1
    for sample, row in enumerate(known):
        for target, annotated in enumerate(row):
            assert bool(grad[sample, first + target].any()) == annotated


@pytest.mark.parametrize("name", ["marginal", "merge_max_ce_dice"])
def test_an_organ_that_is_not_annotated_may_be_all_of_the_background(name: str) -> None:
    """Exchanging its logits with the background's, where background is labelled, costs nothing."""
    logits, labels, annotation = batch(name, SOME)
    loss = build_loss(name, {})
    before = loss(logits, labels, annotation)
    changed = logits.detach().clone()
    for sample, organ in ((1, 2), (2, 3)):
        where = labels[sample] == 0
        changed[sample, 0][where] = logits[sample, organ][where]
        changed[sample, organ][where] = logits[sample, 0][where]
    after = loss(changed, labels, annotation)
    for term in before:
        torch.testing.assert_close(before[term], after[term])


@pytest.mark.parametrize("name", ["marginal", "merge_max_ce_dice"])
def test_an_unknown_tumor_in_an_organ_is_neither_taught_nor_punished(name: str) -> None:
    """Moving probability from an organ to the tumor in it leaves all terms as they are."""
    logits, labels, annotation = batch(name, TUMOR_UNKNOWN)
    loss = build_loss(name, {})
    before = loss(logits, labels, annotation)
    changed = logits.detach().clone()
    for sample, organ in ((0, 1), (0, 2), (0, 3), (1, 1), (1, 3)):
        where = labels[sample] == organ
        changed[sample, organ][where] = logits[sample, TUMOR][where]
        changed[sample, TUMOR][where] = logits[sample, organ][where]
    after = loss(changed, labels, annotation)
    for term in before:
        torch.testing.assert_close(before[term], after[term])


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_an_annotated_target_without_a_voxel_is_pushed_down(name: str) -> None:
    """A case annotated for tumor with no tumor in it is a negative example, in every voxel."""
    logits, labels, annotation = batch(name, ALL)
    labels[labels == TUMOR] = 0
    sum(build_loss(name, {})(logits, labels, annotation).values()).backward()
    channel = TUMOR - 1 if activation(name) == "sigmoid" else TUMOR
    grad = logits.grad[:, channel]
    assert bool((grad[labels != IGNORE] > 0).all())
    assert not bool(grad[labels == IGNORE].any())


def test_the_papers_own_rule_never_shows_the_tumor_channel_a_negative_patch() -> None:
    logits, labels, annotation = batch("selected_partial", ALL)
    labels[0][labels[0] == TUMOR] = 0
    loss = build_loss("selected_partial", {"paper_exact": True})
    sum(loss(logits, labels, annotation).values()).backward()
    assert not bool(logits.grad[0, TUMOR - 1].any())
    assert bool(logits.grad[1, TUMOR - 1].any())


def test_exclusion_pushes_an_unlabelled_organ_out_of_labelled_ones() -> None:
    logits, labels, annotation = batch("marginal", SOME)
    loss = build_loss("marginal", {"exclusion": 0.5})
    term = loss(logits, labels, annotation)["exclusion"]
    dices = []
    for sample, organ in ((1, 2), (2, 1), (2, 3)):
        p = torch.softmax(logits[sample].detach(), 0)[organ].numpy()
        inside = (labels[sample] > 0) & (labels[sample] != IGNORE)
        inside = inside.numpy()
        dices.append((2 * p[inside].sum() + 1e-5) / (p.sum() + inside.sum() + 1e-5))
    assert float(term.detach()) == pytest.approx(0.5 * np.mean(dices), rel=1e-5)
    term.backward()
    assert bool((logits.grad[1, 2][(labels[1] > 0) & (labels[1] != IGNORE)] > 0).all())


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_batch_without_any_knowledge_costs_nothing(name: str) -> None:
    logits, labels, annotation = batch(name, ALL)
    total = sum(build_loss(name, {})(logits, torch.full_like(labels, IGNORE), annotation).values())
    total.backward()
    assert float(total.detach()) == pytest.approx(0, abs=1e-6)
    assert not bool(logits.grad.any())


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_extreme_logits_stay_finite(name: str) -> None:
    logits, labels, annotation = batch(name, SOME)
    huge = (logits.detach() * 1e4).requires_grad_()
    total = sum(build_loss(name, {"focal": 2.0})(huge, labels, annotation).values())
    total.backward()
    assert math.isfinite(float(total.detach()))
    assert bool(torch.isfinite(huge.grad).all())


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


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("known", CASES.values(), ids=CASES)
def test_fused_loss_equals_the_plain_one(known: list[list[bool]], layout: Any) -> None:
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
        assert float(plain.abs().max()) > 1e-6
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-6)


def test_only_the_exact_marginal_loss_is_fused() -> None:
    assert Marginal().fusible
    for other in (Marginal(merge="max"), Marginal(focal=2.0), Marginal(exclusion=0.5)):
        assert not other.fusible
