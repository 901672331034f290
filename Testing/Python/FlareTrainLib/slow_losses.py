"""Slow, obvious NumPy versions of the losses, and small batches to try them on."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import torch

from FlareTrainLib.label_values import IGNORE
from FlareTrainLib.losses import Annotation, activation

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
                # In an organ, or in background that may be an organ nobody annotated.
                if y > 0 or unknown != [TUMOR]:
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
