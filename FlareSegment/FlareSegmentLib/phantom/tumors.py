"""Synthetic tumors after Hu et al., CVPR 2023 (methods.md E4): blob, texture, soft edge."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .canvas import Solid
from .scene import Scene
from .shapes import ellipsoid, roughened, turn

TUMOR = 14
RADIUS_MM = {"tiny": 4.0, "small": 8.0, "medium": 16.0, "large": 32.0}
"""Radii of the recipe's four sizes (there in voxels of about 1 mm), each varied by 25 %."""
_SHARE = {"liver": 0.5, "right_kidney": 0.13, "left_kidney": 0.13, "pancreas": 0.16, "spleen": 0.08}
_LIMIT_MM = {
    "liver": 36.0,
    "right_kidney": 24.0,
    "left_kidney": 24.0,
    "pancreas": 16.0,
    "spleen": 18.0,
}


def paint_tumors(scene: Scene, count: int) -> list[str]:
    """Paint up to `count` tumors into organs in view; gives the host's key of each."""
    hosts = [key for key in _SHARE if key in scene.solids]
    if not hosts:
        return []
    share = np.array([_SHARE[key] for key in hosts])
    painted = []
    for _ in range(count):
        key = str(scene.rng.choice(hosts, p=share / share.sum()))
        if _paint_tumor(scene, key, scene.solids[key]):
            painted.append(key)
    return painted


def _paint_tumor(scene: Scene, key: str, host: Solid) -> bool:
    rng, canvas = scene.rng, scene.canvas
    size = str(rng.choice(list(RADIUS_MM), p=[0.2, 0.35, 0.3, 0.15]))
    radii = np.minimum(RADIUS_MM[size] * rng.uniform(0.75, 1.25, 3), _LIMIT_MM[key])
    free = canvas.labels[host.where] > 0
    deep = min(3.0 + 0.3 * float(radii.mean()), 0.8 * float(-host.distance.min()))
    spots = np.argwhere((host.distance < -deep) & free)
    if len(spots) == 0:
        return False
    k, j, i = spots[int(rng.integers(len(spots)))]
    region = host.region
    center = [
        float(np.broadcast_to(a, region.shape)[k, j, i]) for a in (region.x, region.y, region.z)
    ]
    blob = roughened(
        ellipsoid(center, radii, turn(*rng.uniform(0, 180, 3))),
        0.18 * float(radii.mean()),
        2.2 * float(radii.mean()),
        int(rng.integers(1 << 30)),
    )
    # Kidney tumors may bulge out of the kidney, all others stay inside their organ.
    bulge = 0.5 * float(radii.mean()) if "kidney" in key else 0.0
    tumor = canvas.part(host, blob, depth=-bulge)
    if tumor is None:
        return False
    around = canvas.labels[tumor.where]
    mine = (around == canvas.labels[host.where][k, j, i]) | ((around == 0) & (bulge > 0))
    tumor = Solid(tumor.where, tumor.region, np.where(mine, tumor.distance, 9).astype(np.float32))
    if not (tumor.distance < 0).any():
        return False
    _blend(scene, tumor, key)
    return True


def _blend(scene: Scene, tumor: Solid, key: str) -> None:
    """Lower the host's HU by a textured drop with a soft edge: I' = I - texture * mask * drop."""
    rng, canvas = scene.rng, scene.canvas
    block = canvas.hu[tumor.where]
    inside = tumor.distance < 0
    mean = float(np.median(block[inside]))
    drop = float(rng.uniform(65, 145)) * max(mean - 15, 12) / 110
    if mean < -20:  # a bulge in fat: bring the fat to soft tissue first
        drop = -70.0
    soft = np.clip(0.5 - tumor.distance / float(rng.uniform(1.5, 4.0)), 0, 1).astype(np.float32)
    salt = rng.random(block.shape, dtype=np.float32)
    texture = ndimage.gaussian_filter(salt, 2.0 / np.array(canvas.grid.spacing))
    texture = 1 + 0.25 * (texture - texture.mean()) / max(float(texture.std()), 1e-6)
    outside_host = block < -20
    block[:] = np.where(
        outside_host, block + soft * (mean - 0.5 * drop - block), block - soft * drop * texture
    )
    canvas.labels[tumor.where][inside] = TUMOR
