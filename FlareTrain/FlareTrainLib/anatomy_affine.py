"""The affine part of a registration of two patients' organs: shift, scales, small rotations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .anatomy_shapes import FIELD_MM, ORGANS, REACH_MM, Shape, distances
from .displacement import sample

STEPS = 50

REACH = 0.75 * REACH_MM
"""Distances (mm) are cut off here, so that scales down to 0.75 do not change where that is."""


class NoCommonAnatomy(ValueError):
    """Two patients' label maps share too few organs to be registered."""


@dataclass(frozen=True, eq=False)
class Affine:
    """Map from the scan's frame to the other patient's, mm (k, j, i): matrix @ p + shift."""

    matrix: np.ndarray
    shift: np.ndarray


def fit_affine(scan: Shape, other: Shape) -> Affine:
    """Bring another patient's organs into the scan's frame: shift, scales and small rotations.

    Raises
    ------
    NoCommonAnatomy
        When fewer than three organs are wholly in view in both, or sides disagree.
    """
    organs = [o for o in ORGANS if _whole(scan, o) and _whole(other, o)]
    if len(organs) < 3:
        raise NoCommonAnatomy(
            f"{scan.name} and {other.name} have {len(organs)} organs wholly in view in both, and "
            "at least three are needed. Take a scan or a label map that shows more of the abdomen."
        )
    here = np.stack([_centre(scan, o) for o in organs])
    there = np.stack([_centre(other, o) for o in organs])
    _check_sides(scan, other)
    spread = np.sqrt(there.var(0).sum() / max(here.var(0).sum(), 1.0))
    spread = float(np.clip(spread, 0.8, 1.25))
    # A cut vessel has no centre to compare, but it tells where the spine is.
    organs = organs + [o for o in (5, 6) if _seen(scan, o) and _seen(other, o) and o not in organs]
    ours = torch.from_numpy(distances(scan.labels, organs))
    theirs = torch.from_numpy(distances(other.labels, organs))
    near = (ours < REACH_MM / 2).any(0)
    points = (near.nonzero()[::8].float() + 0.5) * FIELD_MM
    wanted = sample(ours, points, torch.tensor(scan.extent, dtype=torch.float32))
    wanted = wanted.clamp(-REACH, REACH)
    pivot = torch.tensor(here.mean(0), dtype=torch.float32)
    begin = torch.tensor(there.mean(0), dtype=torch.float32)
    extent = torch.tensor(other.extent, dtype=torch.float32)
    return _fitted(points - pivot, wanted, theirs, extent, pivot, begin, spread)


def _fitted(
    points: Tensor,
    wanted: Tensor,
    theirs: Tensor,
    extent: Tensor,
    pivot: Tensor,
    begin: Tensor,
    spread: float,
) -> Affine:
    """Find the map under which the other patient's distances are those wanted.

    Parameters
    ----------
    points
        (n, 3) mm from `pivot`, in the scan's frame.
    wanted
        (organs, n) signed distances there, mm, cut off.
    theirs, extent
        (organs, k, j, i) signed distances of the other patient, and the size of that box in mm.
    begin, spread
        Where the pivot lies in the other frame at first, mm, and the scale.
    """
    logs = torch.full((3,), float(np.log(spread)), requires_grad=True)
    turns = torch.zeros(3, requires_grad=True)
    shift = begin.clone().requires_grad_()
    optimizer = torch.optim.Adam(
        [{"params": [logs, turns], "lr": 0.01}, {"params": [shift], "lr": 1.0}]
    )
    for _ in range(STEPS):
        matrix = torch.matrix_exp(_skew(turns)) @ torch.diag(logs.exp())
        moved = points @ matrix.T + shift
        seen = ((moved > 0) & (moved < extent)).all(1).float()
        found = (sample(theirs, moved, extent) / logs.mean().exp()).clamp(-REACH, REACH)
        loss = (((found - wanted) / 10) ** 2 * seen).mean() * 10
        # A spread of scales or a tilt must pay for itself.
        loss = loss + 2 * (logs - logs.mean()).square().sum() + 40 * turns.square().sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        matrix = torch.matrix_exp(_skew(turns)) @ torch.diag(logs.exp())
        offset = shift - matrix @ pivot
    return Affine(matrix.double().numpy(), offset.double().numpy())


def _whole(shape: Shape, organ: int) -> bool:
    """Whether an organ is in view and no end of the scan cuts it."""
    inside = shape.labels == organ
    return bool(inside.any() and not inside[0].any() and not inside[-1].any())


def _seen(shape: Shape, organ: int) -> bool:
    return bool((shape.labels == organ).any())


def _centre(shape: Shape, organ: int) -> np.ndarray:
    return (np.argwhere(shape.labels == organ).mean(0) + 0.5) * FIELD_MM


def _check_sides(scan: Shape, other: Shape) -> None:
    """Refuse label maps whose sides disagree: i runs to the left in canonical axes."""
    for shape in (scan, other):
        for right, left in ((1, 3), (2, 13)):
            if not ((shape.labels == right).any() and (shape.labels == left).any()):
                continue
            if _centre(shape, right)[2] >= _centre(shape, left)[2]:
                raise NoCommonAnatomy(
                    f"In {shape.name} label {right} lies left of label {left}: its left and right "
                    "are exchanged. Correct the orientation in its header."
                )


def _skew(turns: Tensor) -> Tensor:
    zero = torch.zeros(())
    k, j, i = turns
    return torch.stack(
        [torch.stack([zero, -i, j]), torch.stack([i, zero, -k]), torch.stack([-j, k, zero])]
    )
