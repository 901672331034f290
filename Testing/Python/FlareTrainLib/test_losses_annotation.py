"""What is not annotated is not taught: the losses by what their gradient reaches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from slow_losses import (
    ALL,
    SIGMOID,
    SOME,
    TUMOR,
    TUMOR_UNKNOWN,
    batch,
)

from FlareTrainLib.label_values import IGNORE
from FlareTrainLib.losses import LOSSES, activation, build_loss


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


@pytest.mark.parametrize("name", ["marginal", "merge_max_ce_dice"])
def test_an_unknown_tumor_may_lie_in_an_organ_that_is_not_annotated(name: str) -> None:
    """Where organs are unknown, background says nothing about tumors; where all are known it does.

    Sample 1 lacks an organ and the tumor, sample 0 the tumor alone.
    """
    logits, labels, annotation = batch(name, TUMOR_UNKNOWN)
    sum(build_loss(name, {})(logits, labels, annotation).values()).backward()
    before = build_loss(name, {})(logits, labels, annotation)
    changed = logits.detach().clone()
    where = labels[1] == 0
    changed[1, 0][where] = logits.detach()[1, TUMOR][where]
    changed[1, TUMOR][where] = logits.detach()[1, 0][where]
    after = build_loss(name, {})(changed, labels, annotation)
    for term in before:
        torch.testing.assert_close(before[term], after[term])
    assert bool((logits.grad[0, TUMOR][labels[0] == 0] > 0).all())


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
