"""One picture of a result: three slices with the organs in color, and their volumes.

Pillow draws it: Slicer bundles Pillow, matplotlib it does not.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .errors import InputError, OutputError
from .geometry import canonical_volume
from .labels import Target, targets
from .volume import Volume

WINDOW_HU, LEVEL_HU = 400.0, 40.0
FILL_ALPHA = 0.35
PANEL_HEIGHT, LEAST_AXIAL_HEIGHT = 460, 340
"""Pixels: the tallest panel, unless a long scan would make the axial picture lower than the second.

All panels share one scale: 1 mm is 1 mm everywhere.
"""
LEGEND_WIDTH = 330
MARGIN = 14
BACKGROUND, TEXT, FAINT, WARNING = (18, 18, 20), (235, 235, 235), (150, 150, 155), (255, 196, 64)


@dataclass(frozen=True)
class _View:
    """One way to cut: the canonical array's axis that is cut across, and what its edges show."""

    title: str
    axis: int
    letters: tuple[str, str, str, str]  # left, right, top, bottom of the picture


# Radiological convention: seen from the feet (axial) and from the front (coronal), the patient's
# right is on the picture's left; in the sagittal picture the patient looks to the left.
VIEWS = (
    _View("Axial", 0, ("R", "L", "A", "P")),
    _View("Coronal", 1, ("R", "L", "H", "F")),
    _View("Sagittal", 2, ("A", "P", "H", "F")),
)


def render_preview(ct: Volume, labels: np.ndarray, path: Path) -> None:
    """Write a PNG with an axial, a coronal and a sagittal slice, overlay and legend.

    The slices are those in which most organs are in view. Nothing is resampled but the picture:
    an oblique scan is shown along its own axes, lettered by the nearest patient axes.

    Parameters
    ----------
    ct
        The scan, in any axis order.
    labels
        ``(k, j, i)`` on the scan's grid, 0 background, ids 1 to 14.
    path
        The PNG; a file that is there is replaced once the new one is complete.

    Raises
    ------
    InputError
        When the labels are not on the scan's grid.
    OutputError
        When the file cannot be written.
    """
    if labels.shape != ct.array.shape:
        raise InputError(
            f"The labels have {labels.shape} voxels and the scan {ct.array.shape}; "
            "a preview needs labels on the scan's own grid."
        )
    picture = _page(ct, labels)
    partial = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}.partial.png")
    try:
        picture.save(partial)
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(
            f"The preview {path} could not be written ({error.strerror or error}). "
            "Choose a folder that exists, is writable and has room."
        ) from error


def _page(ct: Volume, labels: np.ndarray) -> Image.Image:
    volume, order = canonical_volume(ct)
    labels = order.apply(labels)
    spacing = volume.spacing
    extent = [n * s for n, s in zip(labels.shape, spacing, strict=True)]
    scale = max(PANEL_HEIGHT / max(extent[:2]), LEAST_AXIAL_HEIGHT / extent[1])
    slices = best_slices(labels)
    panels = [
        _panel(volume.array, labels, view, slices[view.axis], spacing, scale) for view in VIEWS
    ]
    voxels = _voxel_counts(labels)
    width = sum(p.width for p in panels) + MARGIN * (len(panels) + 2) + LEGEND_WIDTH
    legend = _legend(voxels, ct.voxel_volume_ml, slices)
    top = 46
    height = top + max(legend.height, *(p.height for p in panels)) + MARGIN
    page = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN, 12), ct.name or "CT", font=_font(20), fill=TEXT)
    left = MARGIN
    for panel in panels:
        page.paste(panel, (left, top))
        left += panel.width + MARGIN
    page.paste(legend, (left + MARGIN, top))
    if not voxels:
        _write_empty(draw, left, top + max(p.height for p in panels) // 2)
    return page


def best_slices(labels: np.ndarray) -> tuple[int, int, int]:
    """Index along each axis (k, j, i) of the slice that shows most of the targets well.

    Every target counts with its area in the slice as a share of its largest area, so a large
    organ does not outvote the small ones. Without any target: the middle.
    """
    step = tuple(max(1, n // 160) for n in labels.shape)
    # Offsets of half a step keep the sample centered; labels thinner than a step may be missed.
    sparse = labels[tuple(slice(s // 2, None, s) for s in step)]
    chosen = []
    for axis in range(3):
        others = tuple(n for n in range(3) if n != axis)
        score = np.zeros(sparse.shape[axis])
        for target in targets():
            area = np.count_nonzero(sparse == target.id, axis=others).astype(float)
            if area.max() > 0:
                score += np.sqrt(area / area.max())
        best = int(score.argmax()) if score.max() > 0 else sparse.shape[axis] // 2
        chosen.append(min(best * step[axis] + step[axis] // 2, labels.shape[axis] - 1))
    return chosen[0], chosen[1], chosen[2]


def _voxel_counts(labels: np.ndarray) -> dict[int, int]:
    """Voxels of each target that is there; by slices, so memory does not grow with the scan."""
    counts = np.zeros(256, np.int64)
    for plane in labels:
        counts += np.bincount(plane.ravel(), minlength=256)
    return {t.id: int(counts[t.id]) for t in targets() if counts[t.id]}


def _panel(
    array: np.ndarray,
    labels: np.ndarray,
    view: _View,
    index: int,
    spacing: tuple[float, float, float],
    scale: float,
) -> Image.Image:
    ct = np.take(array, index, axis=view.axis).astype(np.float32)
    organs = np.ascontiguousarray(np.take(labels, index, axis=view.axis), np.uint8)
    rows, columns = (s for n, s in enumerate(spacing) if n != view.axis)
    if view.axis != 0:  # head up
        ct, organs = ct[::-1], organs[::-1]
    size = (
        max(8, round(ct.shape[1] * columns * scale)),
        max(8, round(ct.shape[0] * rows * scale)),
    )
    ct = np.nan_to_num(ct, nan=-1024.0)
    gray = np.clip((ct - (LEVEL_HU - WINDOW_HU / 2)) / WINDOW_HU, 0, 1) * 255
    picture = np.asarray(
        Image.fromarray(gray.astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    )
    shown = np.asarray(Image.fromarray(organs).resize(size, Image.Resampling.NEAREST))
    colored = _overlay(picture, shown)
    panel = Image.fromarray(colored)
    _write_letters(panel, view)
    return panel


def _overlay(gray: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """RGB uint8 of a gray picture: organs semi-transparent, their outlines opaque."""
    palette = np.zeros((256, 3), np.float32)
    for target in targets():
        palette[target.id] = target.color
    rgb = np.repeat(gray[..., None].astype(np.float32), 3, axis=2)
    inside = labels > 0
    alpha = np.where(inside, np.float32(FILL_ALPHA), np.float32(0))
    edge = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        for shift in (1, -1):
            moved = np.roll(labels, shift, axis)
            border = [slice(None), slice(None)]
            border[axis] = slice(0, 1) if shift == 1 else slice(-1, None)
            moved[tuple(border)] = labels[tuple(border)]  # the picture's edge is no outline
            edge |= inside & (moved != labels)
    alpha[edge] = 1.0
    mixed = rgb + alpha[..., None] * (palette[labels] - rgb)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def _write_letters(panel: Image.Image, view: _View) -> None:
    draw, font = ImageDraw.Draw(panel), _font(17)
    width, height = panel.size
    places = (
        ((6, height / 2), "lm"),
        ((width - 6, height / 2), "rm"),
        ((width / 2, 5), "mt"),
        ((width / 2, height - 5), "mb"),
    )
    for letter, (place, anchor) in zip(view.letters, places, strict=True):
        draw.text(place, letter, font=font, fill=TEXT, anchor=anchor, stroke_width=2, stroke_fill=0)
    draw.text((6, 5), view.title, font=_font(14), fill=FAINT, stroke_width=2, stroke_fill=0)


def _legend(voxels: dict[int, int], voxel_ml: float, slices: tuple[int, int, int]) -> Image.Image:
    rows = [t for t in targets() if t.id in voxels]
    line = 27
    picture = Image.new("RGB", (LEGEND_WIDTH, line * (len(rows) + 3)), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    draw.text((0, 2), "Volume", font=_font(15), fill=FAINT)
    draw.text((LEGEND_WIDTH - 10, 2), "ml", font=_font(15), fill=FAINT, anchor="ra")
    for n, target in enumerate(rows):
        _write_row(draw, target, voxels[target.id] * voxel_ml, line * (n + 1) + 2)
    note = f"{len(rows)} of {len(targets())} targets in this label map"
    draw.text((0, line * (len(rows) + 1) + 6), note, font=_font(14), fill=FAINT)
    k, j, i = slices
    planes = f"window {WINDOW_HU:.0f}, level {LEVEL_HU:.0f} HU; slices k {k}, j {j}, i {i}"
    draw.text((0, line * (len(rows) + 2) + 2), planes, font=_font(12), fill=FAINT)
    return picture


def _write_row(draw: ImageDraw.ImageDraw, target: Target, volume_ml: float, y: int) -> None:
    draw.rectangle((0, y + 2, 18, y + 19), fill=target.color, outline=TEXT)
    draw.text((28, y), target.name, font=_font(17), fill=TEXT)
    text = f"{volume_ml:.0f}" if volume_ml >= 99.5 else f"{volume_ml:.1f}"
    draw.text((LEGEND_WIDTH - 10, y), text, font=_font(17), fill=TEXT, anchor="ra")


def _write_empty(draw: ImageDraw.ImageDraw, right: int, y: int) -> None:
    place = (right / 2, y)
    text = "No organ found in this scan"
    box = draw.textbbox(place, text, font=_font(34), anchor="mm")
    draw.rectangle((box[0] - 16, box[1] - 10, box[2] + 16, box[3] + 10), fill=BACKGROUND)
    draw.text(place, text, font=_font(34), fill=WARNING, anchor="mm")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
