"""From a heap of DICOM slices to an ordered stack with one affine, or the reason why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .checking import MINIMUM_SLICES, chosen_frame, several_values
from .errors import InputError

_SAME_DIRECTION = 1e-3
"""Largest difference of direction cosines within a series; scanners write 4 to 6 digits."""

_SAME_POSITION_MM = 0.01
_EVEN = 0.1
_EVEN_MM = 0.11
"""Largest deviation of a slice distance from the median one: a fraction of it, or, as positions
are often rounded to 0.1 mm, this much."""

_IN_LINE_MM = 1.0
"""Largest distance of a slice's corner from the line through the first and last corner."""

_TILT_DEGREES = 0.1
_STRAY_IMAGES = 3
"""Groups of so few images beside a volume are localizers or captures, not another volume."""


@dataclass(frozen=True)
class SliceHeader:
    """What the header of one DICOM image says.

    Attributes
    ----------
    path
        Its file.
    position
        ImagePositionPatient: centre of the first voxel, LPS mm; empty when missing.
    orientation
        ImageOrientationPatient: direction of a row, then of a column, LPS; empty when missing.
    pixel_spacing
        Distance between rows, then between columns, mm; empty when missing.
    shape
        Rows and columns.
    frames, samples
        Images in the file; numbers per pixel.
    uid
        SOPInstanceUID.
    localizer
        Whether the scanner calls it a localizer.
    order
        Acquisition number, acquisition time, instance number: sorts images of one position.
    rescale
        Slope and intercept to HU.
    """

    path: Path
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    pixel_spacing: tuple[float, ...]
    shape: tuple[int, int]
    frames: int
    samples: int
    uid: str
    localizer: bool
    order: tuple[float, float, float]
    rescale: tuple[float, float]

    @property
    def placed(self) -> bool:
        """Whether it can be a slice of a volume: it says where it lies and is no localizer."""
        said = bool(self.position and self.orientation and self.pixel_spacing)
        return said and self.samples == 1 and self.frames == 1 and not self.localizer

    @property
    def normal(self) -> np.ndarray:
        """Unit normal of the slice, LPS."""
        normal = np.cross(self.orientation[:3], self.orientation[3:])
        return np.asarray(normal / max(float(np.linalg.norm(normal)), 1e-12))


@dataclass(frozen=True)
class Stack:
    """Slices of one volume in order, with the affine ``(i, j, k, 1)`` to LPS mm."""

    slices: tuple[SliceHeader, ...]
    affine: np.ndarray
    notes: tuple[str, ...]


def stack(images: Sequence[SliceHeader], frame: int | None, series: str) -> Stack:
    """Order the images of a series to one volume.

    Parameters
    ----------
    images
        Headers of all images of the series, in any order.
    frame
        Which volume, from 0, when there are several images at each position.
    series
        The series as a person would name it, for messages.

    Raises
    ------
    NotCTError
        Color images.
    InputError
        No volume can be made: few images, missing slices, mixed orientations or sizes, several
        images at some positions, multi-frame files.
    """
    notes: list[str] = []
    slices = _slices_only(images, series, notes)
    slices = _main_group(slices, series, notes)
    slices = _without_copies(slices, notes)
    if len(slices) < MINIMUM_SLICES:
        raise InputError(
            f"The {series} has only {len(slices)} slice{'' if len(slices) == 1 else 's'} of a "
            f"volume. At least {MINIMUM_SLICES} are needed: choose another series, or copy all "
            "images of this one into the folder."
        )
    slices = _one_per_position(slices, frame, series)
    _check_distances(slices, series)
    affine = _stack_affine(slices)
    tilt = _tilt_degrees(affine)
    if tilt > _TILT_DEGREES:
        notes.append(f"The gantry was tilted by {tilt:.1f} degrees; slices are kept as they lie.")
    return Stack(tuple(slices), affine, tuple(notes))


def _slices_only(images: Sequence[SliceHeader], series: str, notes: list[str]) -> list[SliceHeader]:
    slices = [image for image in images if image.placed]
    if not slices and any(image.frames > 1 for image in images):
        raise InputError(
            f"The {series} is stored as multi-frame (enhanced) DICOM, which cannot be read here. "
            "Convert it to NIfTI or to classic DICOM first, or load it into 3D Slicer."
        )
    if not slices and any(image.samples > 1 for image in images):
        raise several_values(f"The {series}")
    if not slices:
        raise InputError(
            f"The {series} has no image that says where in the patient it lies (localizers, "
            "captures or reports only). Choose another series."
        )
    if len(slices) < len(images):
        notes.append(
            f"{len(images) - len(slices)} image(s) of the series were left out: localizers, or "
            "images without a position in the patient."
        )
    return slices


def _alike(a: SliceHeader, b: SliceHeader) -> bool:
    return (
        a.shape == b.shape
        and np.allclose(a.orientation, b.orientation, atol=_SAME_DIRECTION)
        and np.allclose(a.pixel_spacing, b.pixel_spacing, atol=1e-3)
    )


def _main_group(slices: list[SliceHeader], series: str, notes: list[str]) -> list[SliceHeader]:
    """Give the slices of one orientation, size and spacing; few others are left out."""
    groups: list[list[SliceHeader]] = []
    for image in slices:
        for group in groups:
            if _alike(image, group[0]):
                group.append(image)
                break
        else:
            groups.append([image])
    groups.sort(key=len, reverse=True)
    main, others = groups[0], groups[1:]
    if not others:
        return main
    if len(main) < MINIMUM_SLICES or any(len(group) > _STRAY_IMAGES for group in others):
        listed = "; ".join(f"{len(g)} images {_plane(g[0])}" for g in groups[:5])
        raise InputError(
            f"The {series} mixes images of different orientations or sizes ({listed}). One volume "
            "cannot be made of them: separate them into folders and choose one."
        )
    notes.append(
        f"{sum(map(len, others))} image(s) of another orientation or size (localizers) in the "
        "series were left out."
    )
    return main


def _plane(image: SliceHeader) -> str:
    name = ("sagittal", "coronal", "axial")[int(np.argmax(np.abs(image.normal)))]
    return f"{name} of {image.shape[1]} x {image.shape[0]}"


def _without_copies(slices: list[SliceHeader], notes: list[str]) -> list[SliceHeader]:
    single = {image.uid or str(image.path): image for image in reversed(slices)}
    if len(single) < len(slices):
        notes.append(
            f"{len(slices) - len(single)} image(s) were there twice; one of each was used."
        )
    return list(single.values())


def _distance_along_normal(slices: Sequence[SliceHeader]) -> np.ndarray:
    positions = np.array([image.position for image in slices], dtype=np.float64)
    return np.asarray(positions @ slices[0].normal)


def _one_per_position(
    slices: list[SliceHeader], frame: int | None, series: str
) -> list[SliceHeader]:
    """Sort from one end to the other; of several volumes in the series take the chosen one."""
    places = _distance_along_normal(slices)
    order = np.argsort(places, kind="stable")
    groups: list[list[SliceHeader]] = []
    last = -np.inf
    for index in order:
        if places[index] - last > _SAME_POSITION_MM:
            groups.append([])
        groups[-1].append(slices[index])
        last = places[index]
    if len(groups) < MINIMUM_SLICES:
        raise InputError(
            f"The {series} has images at only {len(groups)} position{'s' * (len(groups) > 1)}. At "
            f"least {MINIMUM_SLICES} slices are needed: choose another series."
        )
    counts = [len(group) for group in groups]
    if min(counts) != max(counts):
        first = groups[int(np.argmax(counts))][0]
        raise InputError(
            f"The {series} has one image at some positions and {max(counts)} at others (for "
            f"instance at {_place(first)}): several phases or reconstructions are mixed. Separate "
            "them into folders and choose one."
        )
    index = chosen_frame(counts[0], frame, f"The {series}")
    return [sorted(group, key=lambda image: image.order)[index] for group in groups]


def _place(image: SliceHeader) -> str:
    x, y, z = image.position
    return f"z = {z:.1f} mm" if abs(image.normal[2]) > 0.7 else f"({x:.1f}, {y:.1f}, {z:.1f}) mm"


def _check_distances(slices: list[SliceHeader], series: str) -> None:
    steps = np.diff(_distance_along_normal(slices))
    usual = float(np.median(steps))
    uneven = np.flatnonzero(np.abs(steps - usual) > max(_EVEN * usual, _EVEN_MM))
    if uneven.size:
        worst = int(uneven[np.argmax(np.abs(steps[uneven] - usual))])
        between = f"between {_place(slices[worst])} and {_place(slices[worst + 1])}"
        if steps[worst] > 1.5 * usual:
            count = max(1, round(float(steps[worst]) / usual) - 1)
            raise InputError(
                f"The {series} has a gap {between}: {count} slice{'' if count == 1 else 's'} "
                f"of {usual:.2f} mm seem{'s' if count == 1 else ''} to be missing. Copy or export "
                "the whole series again."
            )
        raise InputError(
            f"The slices of the {series} are not evenly spaced: most are {usual:.2f} mm apart, but "
            f"{steps[worst]:.2f} mm {between}. Choose another series or reconstruction."
        )
    positions = np.array([image.position for image in slices], dtype=np.float64)
    line = np.linspace(positions[0], positions[-1], len(slices))
    off = float(np.linalg.norm(positions - line, axis=1).max())
    if off > max(_IN_LINE_MM, _EVEN * usual):
        raise InputError(
            f"The slices of the {series} do not lie in one line: one is {off:.1f} mm off. Choose "
            "another series or reconstruction."
        )


def _stack_affine(slices: list[SliceHeader]) -> np.ndarray:
    """Give the affine to LPS mm.

    The slice step goes from the first to the last position, not along the normal: with a tilted
    gantry they differ. DICOM PS3.3 C.7.6.2.1.1; PixelSpacing is row distance, column distance.
    """
    first, last = slices[0], slices[-1]
    affine = np.eye(4)
    affine[:3, 0] = np.multiply(first.orientation[:3], first.pixel_spacing[1])
    affine[:3, 1] = np.multiply(first.orientation[3:], first.pixel_spacing[0])
    affine[:3, 2] = np.subtract(last.position, first.position) / (len(slices) - 1)
    affine[:3, 3] = first.position
    return affine


def _tilt_degrees(affine: np.ndarray) -> float:
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    step = affine[:3, 2]
    cosine = abs(normal @ step) / (np.linalg.norm(normal) * np.linalg.norm(step))
    return float(np.degrees(np.arccos(min(cosine, 1.0))))
