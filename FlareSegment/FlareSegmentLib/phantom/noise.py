"""What the scanner adds: the blur of slice and kernel, and noise with a CT's spectrum."""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage

from .region import Array


def blurred(hu: Array, spacing: tuple[float, float, float], fwhm_mm: float) -> Array:
    """HU (k, j, i) blurred in plane by the reconstruction kernel's full width at half maximum."""
    sigma = fwhm_mm / 2.355
    return ndimage.gaussian_filter(hu, (0.0, sigma / spacing[1], sigma / spacing[2]), truncate=3.0)


def ct_noise(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    sd_hu: float,
    kernel_mm: float = 1.2,
) -> Array:
    """Noise of filtered back-projection: a ramp at low frequencies, cut off by the kernel.

    The noise power of a CT slice rises with frequency and falls with the kernel (Riederer et al.,
    Phys Med Biol 1978), which gives it its grain of a few mm instead of salt and pepper.

    Returns
    -------
    float32 (k, j, i), mean 0, standard deviation `sd_hu`.
    """
    noise = rng.standard_normal(shape, dtype=np.float32)
    if sd_hu <= 0:
        return noise * 0
    fy = fft.fftfreq(shape[1], spacing[1])[:, None]
    fx = fft.rfftfreq(shape[2], spacing[2])[None, :]
    radius = np.hypot(fy, fx)
    transfer = (np.sqrt(radius + 0.02) * np.exp(-((radius * kernel_mm) ** 2) * 3.5)).astype(
        np.float32
    )
    for k in range(shape[0]):
        noise[k] = fft.irfft2(fft.rfft2(noise[k]) * transfer, s=shape[1:])
    if spacing[0] < 2.0:  # neighboring thin slices share rays
        noise = ndimage.gaussian_filter1d(noise, 0.5 * 2.0 / spacing[0], axis=0)
    return noise * np.float32(sd_hu / max(float(noise.std()), 1e-6))


def smooth_field(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    grain_mm: float,
) -> Array:
    """A smooth random field, standard deviation about 1, whose blobs are `grain_mm` wide."""
    coarse_shape = [
        max(4, int(np.ceil(n * s / grain_mm)) + 3) for n, s in zip(shape, spacing, strict=True)
    ]
    field = rng.standard_normal(coarse_shape).astype(np.float32)
    for axis, (n, s) in enumerate(zip(shape, spacing, strict=True)):
        at = np.arange(n) * s / grain_mm + 1
        low = np.minimum(at.astype(int), coarse_shape[axis] - 2)
        t = (at - low).astype(np.float32)
        t = t * t * (3 - 2 * t)
        a, b = np.take(field, low, axis), np.take(field, low + 1, axis)
        t = t.reshape([-1 if m == axis else 1 for m in range(3)])
        field = a + (b - a) * t
    return field * np.float32(1.6)
