"""Random crops and intensity changes, on whatever device the tensors are.

Left and right are never exchanged: kidneys and adrenal glands have sides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .bowel_filling import fill_bowel, fill_stomach
from .crop_settings import AugmentationSettings
from .label_values import IGNORE

SOFT_TISSUE = (-160.0, 240.0)
"""Window (HU) that a change of gamma bends; its ends stay where they are."""


THICKEST = 6.0
"""Thickest slices (mm) that are simulated."""


def rotation_matrix(angles: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) by `angles` (radians) about the k, j and i axis, in that order."""
    result = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [n for n in range(3) if n != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = math.cos(angle)
        turn[a, b], turn[b, a] = -math.sin(angle), math.sin(angle)
        result = turn @ result
    return result


def random_matrix(
    rng: np.random.Generator, settings: AugmentationSettings, spacing: tuple[float, ...]
) -> np.ndarray:
    """Random map (3, 3) from output to input voxel offsets, never a reflection."""
    angles = np.radians(rng.uniform(-settings.rotation, settings.rotation, 3))
    common = math.exp(rng.uniform(-1, 1) * math.log(settings.scale))
    single = np.exp(rng.uniform(-0.2, 0.2, 3) * math.log(settings.scale))
    millimetres = np.diag(spacing)
    return (
        np.linalg.inv(millimetres)
        @ rotation_matrix(angles)
        @ (np.diag(common * single) @ millimetres)
    )


def crop(
    image: Tensor,
    labels: Tensor,
    centre: np.ndarray,
    size: tuple[int, int, int],
    device: torch.device | None = None,
) -> tuple[Tensor, Tensor]:
    """Cut a plain box around `centre` (k, j, i voxels), moved inside the scan where it fits.

    Where the scan is smaller than the box its border slices are repeated and the labels are
    unknown there, which is what inference does too. Only the box goes to `device`, which is that
    of the image when None.
    """
    slices, padding = [], []
    for axis in range(3):
        length, wanted = image.shape[axis], size[axis]
        start = round(float(centre[axis]) - wanted / 2)
        start = min(max(start, 0), max(length - wanted, 0))
        slices.append(slice(start, min(start + wanted, length)))
        padding.append(max(wanted - length, 0))
    image = image[tuple(slices)].to(device or image.device)
    labels = labels[tuple(slices)].to(image.device)
    if any(padding):
        pad = (0, padding[2], 0, padding[1], 0, padding[0])
        image = functional.pad(image[None, None].float(), pad, mode="replicate")[0, 0]
        labels = functional.pad(labels, pad, value=IGNORE)
    return image.float(), labels.long()


def warp(
    image: Tensor,
    labels: Tensor,
    centre: np.ndarray,
    size: tuple[int, int, int],
    matrix: np.ndarray,
    displacement: Tensor | None = None,
    device: torch.device | None = None,
) -> tuple[Tensor, Tensor]:
    """Sample a rotated, scaled and deformed box around `centre`.

    Parameters
    ----------
    image, labels
        (k, j, i) HU and uint8 labels of the whole scan.
    matrix
        (3, 3), from output voxel offsets to input voxel offsets.
    displacement
        (3, k, j, i) coarse field in input voxels, interpolated to `size`; or None.
    device
        Where it is computed, None for that of the image; only the part that is seen goes there.
    """
    device = device or image.device
    # Positions are affine plus a coarse field, and trilinear interpolation keeps affine maps: all
    # of it is computed at the field's nodes, and only one interpolation is as large as the box.
    nodes = (2, 2, 2) if displacement is None else tuple(displacement.shape[1:])
    axes = [torch.linspace(-(n - 1) / 2, (n - 1) / 2, m) for n, m in zip(size, nodes, strict=True)]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    places = torch.einsum("ab,bkji->akji", torch.as_tensor(matrix, dtype=torch.float32), offsets)
    places += torch.as_tensor(np.asarray(centre), dtype=torch.float32)[:, None, None, None]
    if displacement is not None:
        places += displacement
    shape = torch.tensor(image.shape)
    lower = torch.minimum((places.amin((1, 2, 3)).long() - 1).clamp(min=0), shape - 2)
    upper = torch.minimum(places.amax((1, 2, 3)).long() + 2, shape)
    upper = torch.maximum(upper, lower + 2)
    part = tuple(slice(int(a), int(b)) for a, b in zip(lower, upper, strict=True))
    low, extent = (n[:, None, None, None] for n in (lower, upper - lower))
    # grid_sample wants x, y, z order in -1..1 over the part's edges, innermost.
    coarse = ((places - low + 0.5) * (2.0 / extent) - 1.0).flip(0).permute(1, 2, 3, 0).to(device)
    grid = _enlarged(coarse, size)
    warped = _sampled(image[part].to(device).float(), grid, "bilinear", "border")
    # Shifted by one so that zero padding, outside the scan, becomes "unknown".
    drawn = _sampled(labels[part].to(device).float() + 1, grid, "nearest", "zeros").sub_(1)
    return warped, drawn.masked_fill_(drawn < 0, IGNORE).long()


def _sampled(volume: Tensor, grid: Tensor, mode: str, padding: str) -> Tensor:
    """Values of `volume` at the places `grid` (k, j, i, 3).

    Each slice is a sample of a batch, because a CPU shares the work out by samples: two cores
    take half the time (`Testing/Benchmarks/training.py` times the loop).
    """
    views = volume[None, None].expand(len(grid), -1, -1, -1, -1)
    slices = functional.grid_sample(views, grid[:, None], mode, padding, align_corners=False)
    return slices[:, 0, 0]


def _enlarged(nodes: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Interpolate (a, b, c, channels) values linearly to (k, j, i, channels), ends to ends.

    As three products with small matrices: `interpolate` takes a third of the whole warp on a CPU
    (`Testing/Benchmarks/training.py` times the loop), and puts the channels elsewhere.
    """
    weights = [
        functional.interpolate(
            torch.eye(m, device=nodes.device)[None], size=n, mode="linear", align_corners=True
        )[0].T
        for n, m in zip(size, nodes.shape, strict=False)
    ]
    nodes = torch.einsum("ic,abcx->abix", weights[2], nodes)
    nodes = torch.einsum("jb,abix->ajix", weights[1], nodes)
    return torch.einsum("ka,ajix->kjix", weights[0], nodes)


def random_displacement(
    rng: np.random.Generator,
    settings: AugmentationSettings,
    spacing: tuple[float, ...],
    nodes: Sequence[int] = (5, 6, 6),
) -> Tensor:
    """Coarse random displacement field (3, k, j, i), `nodes` long, in voxels."""
    strength = rng.uniform(0, settings.elastic_mm)
    field = rng.normal(0, strength, (3, *nodes)) / np.asarray(spacing)[:, None, None, None]
    return torch.from_numpy(field.astype(np.float32))


def change_intensity(
    image: Tensor,
    labels: Tensor,
    rng: np.random.Generator,
    settings: AugmentationSettings,
    spacing: tuple[float, ...],
) -> Tensor:
    """Random bowel contents, organ offsets, kernel, slices, brightness, gamma and noise, in HU."""
    # No number is drawn without it, so that crops of recipes from before stay what they were.
    if settings.fill_bowel and rng.random() < settings.fill_bowel:
        image = fill_bowel(image, labels, rng, spacing)
    if settings.fill_stomach and rng.random() < settings.fill_stomach:
        image = fill_stomach(image, labels, rng, spacing)
    if rng.random() < settings.recolor:
        offsets = torch.from_numpy(rng.normal(0, settings.recolor_hu, 256).astype(np.float32))
        offsets[0] = offsets[IGNORE] = 0
        # Four times as fast on a CPU as indexing by a volume.
        field = offsets.to(image.device).index_select(0, labels.flatten()).view(labels.shape)
        image = image + functional.avg_pool3d(field[None, None], 3, 1, 1)[0, 0]
    if rng.random() < settings.blur:
        # In two dimensions, because a CPU's cores share the slices.
        image = functional.avg_pool2d(image[:, None], 3, 1, 1)[:, 0]
    if rng.random() < settings.low_resolution and spacing[0] < THICKEST:
        image = thicken_slices(image, rng.uniform(spacing[0], THICKEST) / spacing[0])
    if rng.random() < 0.7:
        centre = rng.uniform(0, 100)
        image = (image - centre) * (1 + rng.uniform(-1, 1) * settings.contrast) + centre
        image = image + rng.uniform(-1, 1) * settings.shift
    if settings.gamma > 1 and rng.random() < 0.3:
        image = bend(image, math.exp(rng.uniform(-1, 1) * math.log(settings.gamma)))
    if rng.random() < settings.noise_chance:
        # A generator of its own: torch's global one is not the same from thread to thread.
        generator = torch.Generator(image.device).manual_seed(int(rng.integers(2**62)))
        image = image + _noise(image, rng, generator, settings) * (rng.random() * settings.noise)
    return image


def _noise(
    image: Tensor,
    rng: np.random.Generator,
    generator: torch.Generator,
    settings: AugmentationSettings,
) -> Tensor:
    """Noise of a scan whose voxels are up to `noise_grain` times as long, enlarged as scans are."""
    if settings.noise_grain == 1 or rng.random() < 0.5:
        return torch.randn(image.shape, generator=generator, device=image.device)
    grain = rng.uniform(1, settings.noise_grain, 3)
    size = [max(2, round(n / g)) for n, g in zip(image.shape, grain, strict=True)]
    noise = torch.randn((1, 1, *size), generator=generator, device=image.device)
    return functional.interpolate(noise, size=image.shape, mode="trilinear")[0, 0]


def bend(image: Tensor, exponent: float) -> Tensor:
    """Change of gamma within the soft-tissue window; HU outside it stay as they are."""
    low, high = SOFT_TISSUE
    share = ((image - low) / (high - low)).clamp(0, 1)
    return image + (share**exponent - share) * (high - low)


def thicken_slices(image: Tensor, factor: float) -> Tensor:
    """Average slices in groups of `factor` and interpolate back, as a thick-slice scan would."""
    return coarsened(image, (factor, 1.0, 1.0))


def coarsened(image: Tensor, factors: Sequence[float]) -> Tensor:
    """Average voxels in groups of `factors` (k, j, i) and interpolate back."""
    size = [max(min(n, 2), round(n / f)) for n, f in zip(image.shape, factors, strict=True)]
    if size == list(image.shape):
        return image
    coarse = functional.interpolate(image[None, None], size=size, mode="area")
    return functional.interpolate(coarse, size=image.shape, mode="trilinear")[0, 0]
