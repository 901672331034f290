"""Whether a volume can be an abdominal CT in Hounsfield units, with a sentence when it cannot.

The check looks for what only CT has, fat and soft tissue at their known HU, and not for air: a
scan cropped inside the body has none. It must never refuse a real CT; over the 26 real scans it
was set up with, the two shares it asks for are 18 to 55 % (at least 0.5 % is asked) and 83 to 94 %
(at least 25 % is asked).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .errors import InputError, NotCTError
from .geometry import canonical_axes
from .volume import Volume

MINIMUM_SLICES = 8
SPACING_LIMITS_MM = (0.05, 20.0)

_AIR_HU = -1024
_PADDING_HU = -1500
"""Below this no noise reaches: scanners mark what lies outside their field of view."""

_SAMPLE_VOXELS = 1_000_000

_NOT_AIR = -500
_FAT = (-170, -20)
_SOFT_TISSUE = (-10, 130)
_TISSUE = (-170, 230)
_LEAST_FAT = 0.005
_LEAST_TISSUE = 0.25

_UNSIGNED_OFFSET = 1024
"""CT scanners store HU + 1024 in unsigned numbers and say so in the rescale intercept."""
_UNSIGNED_LEAST_FAT = 0.02
_UNSIGNED_LEAST_SOFT = 0.05
_UNSIGNED_LEAST_TISSUE = 0.75

_MOST_LABELS = 24

ASSUMED_POSITION = (
    "The header does not say how the scan lies in the patient; the usual order (left, posterior, "
    "superior) was assumed. Check that left and right are not swapped."
)
"""Note on a scan without directions: ITK, and with it Slicer, assumes the same."""


def single_image(name: str) -> NotCTError:
    """Give the error for a 2D image."""
    return NotCTError(
        f"{name} is a single 2D image. A CT volume of at least {MINIMUM_SLICES} slices is needed."
    )


def several_values(name: str) -> NotCTError:
    """Give the error for color images and vector fields."""
    return NotCTError(
        f"{name} holds several values per voxel (a color image or a vector field). A CT scan has "
        "one number per voxel: choose the CT itself."
    )


def complex_numbers(name: str) -> NotCTError:
    """Give the error for complex voxels."""
    return NotCTError(
        f"{name} holds complex numbers, as raw MR data does. A CT scan in Hounsfield units is "
        "needed."
    )


def negative_spacing(name: str) -> InputError:
    """Give the error for a voxel size below zero."""
    return InputError(
        f"{name} has a negative voxel size in its header, so left and right cannot be told apart. "
        "Export the scan again, or correct its header."
    )


def chosen_frame(frames: int, frame: int | None, name: str) -> int:
    """Give the index of the wanted 3D volume of a file that holds `frames` of them.

    Raises
    ------
    InputError
        Several volumes and none chosen, or one that is not there.
    """
    if frame is None and frames == 1:
        return 0
    if frame is None:
        raise InputError(
            f"{name} holds {frames} volumes (4D: a time series or several phases). Say which one "
            f"to use: a frame from 0 to {frames - 1}."
        )
    if not 0 <= frame < frames:
        held = "1 volume, number 0" if frames == 1 else f"{frames} volumes, 0 to {frames - 1}"
        raise InputError(f"{name} has no frame {frame}: it holds {held}.")
    return frame


def check_ct(volume: Volume) -> Volume:
    """Check that the volume can be a CT in HU, and put right what can be put right safely.

    Scanner padding (-2000, -3024, ...) becomes air, and a CT stored as unsigned numbers without
    its rescale intercept is shifted by -1024; both on a copy and with a note.

    Parameters
    ----------
    volume
        As read; it is never modified.

    Returns
    -------
    Volume
        The same volume, or one with a corrected array and a note more.

    Raises
    ------
    NotCTError
        The data cannot be CT: dimensions, number type or intensities.
    InputError
        It might be CT, but cannot be used: voxel size, slices, NaN, nothing in it.
    """
    name = volume.name or "The scan"
    _check_array(volume.array, name)
    _check_grid(volume, name)
    low, high = _range(volume.array, name)
    notes = list(volume.notes)
    array = volume.array
    if low == high:
        raise InputError(
            f"{name} is empty: every voxel has the value {low:g}. Check that the right file was "
            "exported."
        )
    if low < _AIR_HU:
        array = np.maximum(array, np.array(_AIR_HU, array.dtype))
        if low < _PADDING_HU:
            notes.append(
                f"Voxels outside the scanner's field of view (values down to {low:g}) were "
                "treated as air."
            )
    if low >= 0:
        array = _without_offset(array, low, high, name)
        notes.append(
            f"The values ({low:g} to {high:g}) are those of a CT without its rescale intercept; "
            f"{_UNSIGNED_OFFSET} was subtracted to get Hounsfield units."
        )
    else:
        _check_tissue(_sample(array), low, high, name)
    if array is volume.array:
        return volume
    return replace(volume, array=array, notes=tuple(notes))


def _check_array(array: np.ndarray, name: str) -> None:
    if array.ndim == 4 and array.shape[-1] in (2, 3, 4):
        raise several_values(name)
    if array.ndim == 4:
        raise NotCTError(
            f"{name} has four dimensions ({' x '.join(map(str, array.shape))}). Choose one of its "
            "volumes: a CT scan has three."
        )
    if array.ndim < 3:
        raise single_image(name)
    if array.ndim > 4:
        raise NotCTError(f"{name} has {array.ndim} dimensions. A CT scan has three.")
    if array.dtype.kind == "c":
        raise complex_numbers(name)
    if array.dtype.kind not in "iuf":
        raise NotCTError(
            f"{name} does not hold numbers (its voxels are of type {array.dtype}). A CT scan in "
            "Hounsfield units is needed."
        )
    if array.size == 0:
        raise InputError(f"{name} has no voxels. Check that the right file was exported.")


def _check_grid(volume: Volume, name: str) -> None:
    least, most = SPACING_LIMITS_MM
    spacing = volume.spacing[::-1]
    if not np.isfinite(volume.affine).all() or not all(least <= s <= most for s in spacing):
        raise InputError(
            f"{name} has voxels of {' x '.join(f'{s:.4g}' for s in spacing)} mm, which no CT "
            f"scanner makes: {least} to {most:g} mm is possible. Correct the voxel size in its "
            "header, or export the scan again."
        )
    slices = volume.array.shape[canonical_axes(volume.affine).permutation[0]]
    if slices < MINIMUM_SLICES:
        raise InputError(
            f"{name} has {slices} slice{'' if slices == 1 else 's'} from feet to head. At least "
            f"{MINIMUM_SLICES} are needed: choose a scan with more slices."
        )


def _range(array: np.ndarray, name: str) -> tuple[float, float]:
    """Give minimum and maximum; refuse NaN and infinity, which both come out in them."""
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        broken = sum(int(np.count_nonzero(~np.isfinite(slab))) for slab in array)
        raise InputError(
            f"{name} has {broken:,} voxels without a number (NaN or infinite). Fill them with "
            f"air ({_AIR_HU} HU), or export the scan again."
        )
    return low, high


def _sample(array: np.ndarray) -> np.ndarray:
    """Give at most about a million voxels, evenly spread, as float32."""
    step = max(1, int(np.ceil((array.size / _SAMPLE_VOXELS) ** (1 / 3))))
    return array[::step, ::step, ::step].astype(np.float32).ravel()


def _share(values: np.ndarray, limits: tuple[int, int]) -> float:
    low, high = limits
    return float(np.count_nonzero((values >= low) & (values < high)) / values.size)


def _check_tissue(sample: np.ndarray, low: float, high: float, name: str) -> None:
    body = sample[sample > _NOT_AIR]
    if body.size < 0.001 * sample.size:
        raise InputError(
            f"{name} shows nothing but air ({low:g} to {high:g}). Choose a scan of the abdomen."
        )
    if _share(body, _FAT) < _LEAST_FAT or _share(body, _TISSUE) < _LEAST_TISSUE:
        raise NotCTError(_no_hounsfield(name, low, high))


def _no_hounsfield(name: str, low: float, high: float) -> str:
    return (
        f"{name} does not look like CT: its values go from {low:g} to {high:g} and do not show "
        "fat (about -100) and soft tissue (0 to 100) as Hounsfield units do. Choose a CT in "
        "Hounsfield units, not MR, PET, or an image scaled for display."
    )


def _without_offset(array: np.ndarray, low: float, high: float, name: str) -> np.ndarray:
    """Give HU of a CT that was stored as HU + 1024, or refuse values without a negative one."""
    sample = _sample(array)
    if array.dtype.kind in "iu" and high < 256 and np.unique(sample).size <= _MOST_LABELS:
        raise NotCTError(
            f"{name} looks like a label map: it holds only a few whole numbers from {low:g} to "
            f"{high:g}. Choose the CT scan itself."
        )
    body = sample - _UNSIGNED_OFFSET
    body = body[body > _NOT_AIR]
    if (
        body.size < 0.01 * sample.size
        or _share(body, _FAT) < _UNSIGNED_LEAST_FAT
        or _share(body, _SOFT_TISSUE) < _UNSIGNED_LEAST_SOFT
        or _share(body, _TISSUE) < _UNSIGNED_LEAST_TISSUE
    ):
        raise NotCTError(
            f"{name} has no negative values ({low:g} to {high:g}), so they are not Hounsfield "
            "units, in which air is -1000. Choose a CT in Hounsfield units, not MR, PET, or an "
            "image scaled for display; if it is a CT, export it again with its rescale intercept."
        )
    if array.dtype.kind == "f":
        return array - np.float32(_UNSIGNED_OFFSET)
    # The subtraction is done in the narrowest type that holds the result: most scans are int16.
    wanted = np.int16 if high - _UNSIGNED_OFFSET <= np.iinfo(np.int16).max else np.int32
    return np.subtract(array, _UNSIGNED_OFFSET, dtype=wanted, casting="unsafe")
