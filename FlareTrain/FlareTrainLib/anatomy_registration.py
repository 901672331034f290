"""Registration of two patients' organs: an affine map, then a diffeomorphism.

The frame is the real scan's. The other patient's organs are brought into it by an affine map, so
that size and posture of the body stay the scan's own. Then a stationary velocity field deforms
the scan's organs towards the others' (Arsigny et al. 2006: scaling and squaring), by gradient
descent on the signed distance maps of all organs together, held back by bones and skin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .anatomy_affine import Affine, fit_affine
from .anatomy_settings import AnatomySettings
from .anatomy_shapes import FIELD_MM, ORGANS, REACH_MM, Shape, distances
from .displacement import exponential, jacobian, jacobian_range, sample, sample_nodes

POINTS = 9000
"""Points compared per step."""

LEAST_JACOBIAN = 0.15
"""Smallest local change of volume; below, the deformation is lessened."""

SMALL_ORGANS = {4: 2.0, 7: 3.0, 8: 3.0, 9: 2.0, 12: 2.0, 10: 1.5}
"""Organs whose surface is worth more than its area."""


@dataclass(frozen=True, eq=False)
class Deformation:
    """Where the deformed scan's points come from.

    Attributes
    ----------
    displacement
        (3, k, j, i) mm at nodes that span the scan's box edge to edge.
    affine
        That brought the other patient into the scan's frame.
    strength
        Share of the found velocity that was kept.
    jacobian
        Smallest and largest local change of volume.
    overlap
        Dice per organ with the other patient's organs before and after.
    """

    displacement: Tensor
    affine: Affine
    strength: float
    jacobian: tuple[float, float]
    overlap: dict[int, tuple[float, float]]


def register(scan: Shape, held: np.ndarray, other: Shape, settings: AnatomySettings) -> Deformation:
    """Find the deformation of a scan's organs towards another patient's.

    Parameters
    ----------
    scan, other
        The two patients.
    held
        (k, j, i) weights 0 to 1 on the scan's field grid: what must not move.

    Raises
    ------
    NoCommonAnatomy
        When fewer than three organs are wholly in view in both, or sides disagree.
    """
    organs = [o for o in ORGANS if (scan.labels == o).any() and (other.labels == o).any()]
    affine = fit_affine(scan, other)
    moving = torch.from_numpy(distances(scan.labels, organs))
    scale = float(np.cbrt(np.linalg.det(affine.matrix)))
    # Cut off at the same distance as the scan's own once both are in the scan's frame.
    target = torch.from_numpy(distances(other.labels, organs, REACH_MM * scale)) / scale
    points, wanted = _compared(moving, target, scan, other, affine)
    generator = torch.Generator().manual_seed(settings.seed)
    nodes = [max(4, round(e / settings.node_mm) + 1) for e in scan.extent]
    stay = functional.interpolate(
        torch.from_numpy(held)[None, None], size=nodes, mode="trilinear", align_corners=True
    )[0, 0]
    velocity = torch.zeros((3, *nodes), requires_grad=True)
    optimizer = torch.optim.Adam([velocity], lr=1.0)
    weights = torch.tensor([SMALL_ORGANS.get(o, 1.0) for o in organs])
    extent = torch.tensor(scan.extent, dtype=torch.float32)
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = 1.2 * (1 - step / settings.steps) + 0.1
        chosen = torch.randint(len(points), (min(POINTS, len(points)),), generator=generator)
        smooth = _smoothed(velocity)
        displacement = exponential(smooth, extent)
        moved = points[chosen] + sample_nodes(displacement, points[chosen], extent).T
        difference = (sample(moving, moved, extent) - wanted[:, chosen]) / 10.0
        loss = (difference.square().mean(1) * weights).sum()
        loss = loss + settings.stiffness * 0.15 * (stay * displacement.square().sum(0)).mean()
        change = jacobian(displacement, scan.extent.tolist())
        rough = _roughness(smooth, settings.node_mm) + _squeezed(change)
        loss = loss + settings.smoothing * rough
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        return _finished(_smoothed(velocity), scan, other, affine, organs, settings)


def _squeezed(change: Tensor) -> Tensor:
    """Penalty of tissue that shrinks below half or grows beyond 2.5 times its volume."""
    small, large = functional.relu(0.5 - change), functional.relu(change - 2.5)
    return (100 * small.square() + 2 * large.square()).mean()


def _compared(
    moving: Tensor, target: Tensor, scan: Shape, other: Shape, affine: Affine
) -> tuple[Tensor, Tensor]:
    """Points (n, 3) mm of the scan near an organ in the view of both, and the distances wanted."""
    axes = [(np.arange(n) + 0.5) * FIELD_MM for n in scan.labels.shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    there = points @ affine.matrix.T + affine.shift
    seen = ((there > FIELD_MM) & (there < other.extent - FIELD_MM)).all(1)
    near = (moving < REACH_MM).any(0).reshape(-1).numpy()
    inside = torch.from_numpy(there[seen]).float()
    wanted = sample(target, inside, torch.tensor(other.extent, dtype=torch.float32))
    close = torch.from_numpy(near[seen]) | (wanted < 0.99 * REACH_MM).any(0)
    return torch.from_numpy(points[seen]).float()[close], wanted[:, close]


def _smoothed(velocity: Tensor) -> Tensor:
    """Velocity smoothed over neighboring nodes, so that it has no kinks at them."""
    kernel = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    result = velocity[:, None]
    for axis in range(3):
        shape = [1, 1, 1, 1, 1]
        shape[2 + axis] = 5
        pad = [0] * 6
        pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = 2
        result = functional.pad(result, pad, mode="replicate")
        result = functional.conv3d(result, kernel.reshape(shape))
    return result[:, 0]


def _roughness(velocity: Tensor, node_mm: float) -> Tensor:
    """Mean square of first and second differences: strain, and its change over 10 mm."""
    total = velocity.new_zeros(())
    for axis in (1, 2, 3):
        first = velocity.diff(dim=axis) / node_mm
        second = first.diff(dim=axis) * 10 / node_mm
        total = total + 0.5 * first.square().mean() + second.square().mean()
    return 3 * total


def _finished(
    velocity: Tensor,
    scan: Shape,
    other: Shape,
    affine: Affine,
    organs: Sequence[int],
    settings: AnatomySettings,
) -> Deformation:
    """The strongest deformation without folds, and what it reaches."""
    extent = torch.tensor(scan.extent, dtype=torch.float32)
    strength = settings.strength
    while True:
        displacement = exponential(velocity * strength, extent)
        changes = jacobian_range(displacement, scan.extent.tolist())
        if changes[0] >= LEAST_JACOBIAN:
            break
        strength *= 0.85
    before = overlap(scan, torch.zeros_like(displacement), other, affine, organs)
    after = overlap(scan, displacement, other, affine, organs)
    both = {organ: (before[organ], after[organ]) for organ in before}
    return Deformation(displacement, affine, strength, changes, both)


def overlap(
    scan: Shape, displacement: Tensor, other: Shape, affine: Affine, organs: Sequence[int]
) -> dict[int, float]:
    """Dice of the deformed scan's organs with the other patient's, where both are in view."""
    axes = [(np.arange(n) + 0.5) * FIELD_MM for n in scan.labels.shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    there = points @ affine.matrix.T + affine.shift
    seen = ((there > 0) & (there < other.extent)).all(1)
    extent = torch.tensor(scan.extent, dtype=torch.float32)
    here = torch.from_numpy(points[seen]).float()
    here = here + sample_nodes(displacement, here, extent).T
    ours, theirs = _at(scan, here.numpy()), _at(other, there[seen])
    result = {}
    for organ in organs:
        one, two = ours == organ, theirs == organ
        if one.any() or two.any():
            result[organ] = float(2 * (one & two).sum() / (one.sum() + two.sum()))
    return result


def _at(shape: Shape, points: np.ndarray) -> np.ndarray:
    index = np.floor(points / FIELD_MM).astype(int)
    index = np.clip(index, 0, np.asarray(shape.labels.shape) - 1)
    return shape.labels[index[:, 0], index[:, 1], index[:, 2]]
