"""Handmade tumors in real organs, after Hu et al., "Label-Free Liver Tumor Segmentation".

An ellipsoid with a deformed surface is placed inside an organ; the intensity falls (sometimes
rises) by a smooth amount with a soft edge, and the scan's own texture and noise stay. Only the
organ mask is needed, so scans without a single annotated tumor can teach what tumors look like.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .training_settings import TUMOR, TumorSettings


def add_tumors(
    image: Tensor,
    labels: Tensor,
    rng: np.random.Generator,
    spacing: tuple[float, ...],
    settings: TumorSettings = TumorSettings(),
) -> tuple[Tensor, Tensor, int]:
    """Place random tumors into a crop.

    Parameters
    ----------
    image, labels
        (k, j, i) HU float and int64 labels; not modified.
    spacing
        (k, j, i) mm.

    Returns
    -------
    image, labels, count
        New tensors and the number of tumors placed.
    """
    image, labels = image.clone(), labels.clone()
    placed = 0
    for _ in range(int(rng.integers(1, settings.most + 1))):
        weights = np.asarray(settings.host_weights)
        host = int(rng.choice(settings.hosts, p=weights / weights.sum()))
        inside = (labels == host).nonzero()
        if len(inside) < 200:
            continue
        centre = inside[int(rng.integers(len(inside)))].cpu().numpy()
        placed += _add_one(image, labels, centre, host, rng, spacing, settings)
    return image, labels, placed


def _add_one(
    image: Tensor,
    labels: Tensor,
    centre: np.ndarray,
    host: int,
    rng: np.random.Generator,
    spacing: tuple[float, ...],
    settings: TumorSettings,
) -> int:
    low, high = settings.radius_mm
    radius = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    if host != 1:
        radius = min(radius, 18.0)
    reach = [int(np.ceil(1.6 * radius / s)) + 2 for s in spacing]
    box = tuple(
        slice(max(int(c) - r, 0), min(int(c) + r + 1, n))
        for c, r, n in zip(centre, reach, labels.shape, strict=True)
    )
    distance = _deformed_distance(box, centre, radius, rng, spacing, image.device)
    edge = float(rng.uniform(0.6, 2.5))
    share = torch.sigmoid(-distance * 2 / edge)
    part = labels[box]
    host_mask = (part == host) | (part == TUMOR)
    # Tumors may bulge out of kidneys and pancreas, not into other organs or air.
    allowed = host_mask if host in (1, 11) else (host_mask | ((part == 0) & (image[box] > -150)))
    share = share * allowed
    inside = share > 0.5
    if int(inside.sum()) < 8 or float(host_mask[inside].float().mean()) < 0.4:
        return 0
    drop = float(rng.uniform(*settings.drop_hu))
    if rng.random() < 0.125:
        drop = -0.5 * drop
    texture = torch.from_numpy(rng.normal(0, 1, [max(2, n // 4) for n in share.shape]))
    texture = functional.interpolate(
        texture[None, None].float().to(image.device), size=share.shape, mode="trilinear"
    )[0, 0]
    change = -drop * (1 + 0.25 * texture)
    if rng.random() < 0.3:
        # A darker, necrotic centre.
        change = change - 20 * torch.sigmoid(-(distance + 0.5 * radius))
    image[box] += share * change
    labels[box] = torch.where(inside, TUMOR, part)
    return 1


def _deformed_distance(
    box: tuple[slice, ...],
    centre: np.ndarray,
    radius: float,
    rng: np.random.Generator,
    spacing: tuple[float, ...],
    device: torch.device,
) -> Tensor:
    """Approximate signed distance in mm to a randomly deformed ellipsoid, on the box's grid."""
    stretch = np.exp(rng.normal(0, 0.18, 3))
    squares = []
    for axis in range(3):
        position = torch.arange(box[axis].start, box[axis].stop, device=device) - centre[axis]
        shape = [1, 1, 1]
        shape[axis] = -1
        squares.append((position * (spacing[axis] / stretch[axis])).reshape(shape) ** 2)
    distance = (squares[0] + squares[1] + squares[2]).float().sqrt()
    bumps = torch.from_numpy(rng.normal(0, 0.16 * radius, (5, 5, 5)).astype(np.float32))
    bumps = functional.interpolate(
        bumps[None, None].to(device), size=distance.shape, mode="trilinear", align_corners=True
    )[0, 0]
    return distance + bumps - radius
