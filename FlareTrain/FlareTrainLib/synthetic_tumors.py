"""Handmade tumors in real organs, after Hu et al., "Label-Free Liver Tumor Segmentation".

Only the organ mask is needed, so scans without a single annotated tumor can teach what tumors look
like. What a tumor looks like is drawn relative to its host, because a liver without contrast agent
has 55 HU and one in the portal venous phase 110: metastases are darker by a share of that, cysts
are water wherever they are. Vessels do not run through a tumor, the scan's noise does.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .crop_settings import TumorSettings
from .label_values import IGNORE, TUMOR
from .tumor_looks import Look, draw_look
from .tumor_shapes import tumor_distance

LEAST_HOST = 150
"""Voxels of an organ in the crop from which it may hold a tumor."""

LEAST_TUMOR = 8
"""Voxels of the smallest tumor that is labeled; smaller ones are not drawn."""

LABELED_FROM = 0.3
"""Share of tumor from which a voxel is labeled: people outline the outer edge of the transition."""


def add_tumors(
    image: Tensor,
    labels: Tensor,
    rng: np.random.Generator,
    spacing: tuple[float, ...],
    settings: TumorSettings = TumorSettings(),
) -> tuple[Tensor, Tensor, int]:
    """Place random tumors into the organs that a crop shows.

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
    counts = torch.bincount(labels.flatten(), minlength=IGNORE + 1)
    shown = [
        (host, weight)
        for host, weight in zip(settings.hosts, settings.host_weights, strict=True)
        if int(counts[host]) >= LEAST_HOST and weight > 0
    ]
    placed = 0
    if not shown:
        return image, labels, placed
    weights = np.asarray([weight for _, weight in shown])
    # Few in most patients, many in some.
    wanted = int(rng.integers(1, settings.most + 1))
    for _ in range(wanted):
        host = shown[int(rng.choice(len(shown), p=weights / weights.sum()))][0]
        inside = (labels == host).flatten().nonzero()[:, 0]
        if len(inside) < LEAST_HOST:
            continue
        flat = int(inside[int(rng.integers(len(inside)))])
        centre = np.asarray(np.unravel_index(flat, tuple(labels.shape)))
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
    """Draw one tumor into `image` and `labels`; 1 if it found room, else 0."""
    low, high = settings.radius_mm
    radius = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    if host != 1:
        radius = min(radius, settings.largest_elsewhere_mm)
    box, distance = tumor_distance(centre, radius, labels.shape, rng, spacing, image.device)
    here, part = image[box], labels[box]
    own = (part == host) | (part == TUMOR)
    look = draw_look(host, _level(here, part == host), radius, rng, settings.drop_hu)
    share = torch.sigmoid(-4 * distance / look.edge_mm) * _room(here, part, own, host)
    # In fat the outline is where tumor prevails, or fat would be taught to be tumor.
    inside = torch.where(own, share > LABELED_FROM, share > 0.6) & (part != IGNORE)
    if int(inside.sum()) < LEAST_TUMOR or float(own[inside].float().mean()) < 0.4:
        return 0
    tissue = _tissue(here, distance, look, radius, rng)
    changed = here + share * (tissue - here)
    if look.rim_hu:
        ring = torch.exp(-(((distance - 0.3 * look.edge_mm) / look.rim_mm) ** 2))
        changed = changed + look.rim_hu * ring * own
    image[box] = changed
    labels[box] = torch.where(inside, TUMOR, part)
    return 1


def _room(image: Tensor, labels: Tensor, own: Tensor, host: int) -> Tensor:
    """Where a tumor may grow: its organ, doubtful voxels at its border, and fat around some."""
    room = own | ((labels == IGNORE) & (image > -60))
    if host not in (1, 3, 11):
        # Tumors bulge out of kidneys and pancreas, not into other organs or air.
        room = room | ((labels == 0) & (image > -150))
    return room.to(image.dtype)


def _level(image: Tensor, host: Tensor) -> float:
    """Median HU of the host around a tumor."""
    values = image[host]
    return float(values.median()) if len(values) else 60.0


def _grain(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Noise of a scan without what stands out of it: vessels, borders, the kidneys' pyramids.

    How strong it is, is seen in the quietest tenth of the soft tissue.
    """
    grain = image - _smooth(image)
    local = _smooth(grain.square()).sqrt()[image > -60].flatten()[::5]
    if not len(local):
        return torch.zeros_like(image)
    noise = float(local.kthvalue(len(local) // 10 + 1).values)
    drawn = torch.from_numpy(rng.normal(0, noise, image.shape).astype(np.float32))
    return torch.where(grain.abs() < 2.5 * noise, grain, drawn.to(image.device))


def _smooth(image: Tensor) -> Tensor:
    return functional.avg_pool3d(
        image[None, None], 3, stride=1, padding=1, count_include_pad=False
    )[0, 0]


def _tissue(
    image: Tensor,
    distance: Tensor,
    look: Look,
    radius: float,
    rng: np.random.Generator,
) -> Tensor:
    """HU of a tumor: its level, its own texture, a dead centre, chalk, the scan's grain."""
    tissue = look.level_hu + _grain(image, rng)
    coarse = rng.normal(0, 1, [max(2, n // 4) for n in image.shape]).astype(np.float32)
    texture = functional.interpolate(
        torch.from_numpy(coarse)[None, None].to(image.device),
        size=image.shape,
        mode="trilinear",
        align_corners=True,
    )[0, 0]
    tissue = tissue + look.texture_hu * texture
    if look.core_hu:
        tissue = tissue + look.core_hu * torch.sigmoid(-6 * (distance / radius + 0.5))
    if look.calcified_hu:
        chalk = torch.sigmoid(6 * texture - 8) * (distance < -0.3 * radius)
        tissue = tissue + look.calcified_hu * chalk
    return tissue
