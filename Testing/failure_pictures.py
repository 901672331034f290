"""Draw where a model fails: CT, contour of the reference (green) and of the segmentation (red).

Usage: python Testing/failure_pictures.py SEGMENTATIONS VALIDATION OUTPUT.png [--cases CASE ...]

SEGMENTATIONS holds <case>_ct_seg.nii.gz or <case>_seg.nii.gz, VALIDATION <case>_ct.nii.gz and
<case>_label.nii.gz. Of each case the organs with the lowest DSC are drawn, in the axial slice with
most disagreement, and organs that were found where the reference has none.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "FlareSegment"))

if TYPE_CHECKING:
    from FlareSegmentLib.evaluation_report import CaseEvaluation

SHOWN = ("totalseg_example", "amos_0001_slab")
"""Cases whose license (Apache-2.0, CC BY 4.0) lets a picture be given on; 3D-IRCADb-01's does not
(CC BY-NC-ND)."""

WORST = 3
"""Organs drawn per case."""

PANEL = 380
MARGIN_MM = 45.0
LEVEL_HU, WINDOW_HU = 40.0, 400.0
REFERENCE, OURS, TEXT, BACKGROUND = (70, 220, 90), (255, 70, 60), (235, 235, 235), (18, 18, 20)


@dataclass(frozen=True)
class Failure:
    """One organ of one case.

    Attributes
    ----------
    case, organ
        Case name and FLARE id.
    dsc
        0 to 1.
    absent
        True when the reference does not have the organ.
    """

    case: str
    organ: int
    dsc: float
    absent: bool


def worst_organs(case: CaseEvaluation, count: int = WORST) -> list[Failure]:
    """Give the organs with the lowest DSC, lowest first; tumor counts too."""
    scores = sorted((s for s in case.scores if s.dsc < 1), key=lambda s: s.dsc)
    return [Failure(case.case, s.id, s.dsc, s.reference_voxels == 0) for s in scores[:count]]


def draw_failures(
    failures: Sequence[Failure], segmentations: Path, validation: Path, output: Path
) -> None:
    """Write one picture, a row per case.

    Raises
    ------
    FlareSegmentLib.errors.InputError
        When a scan or label map cannot be read.
    """
    cases = list(dict.fromkeys(failure.case for failure in failures))
    rows = []
    for case in cases:
        images = _canonical_images(case, segmentations, validation)
        rows.append([_panel(f, *images) for f in failures if f.case == case])
    gap = 10
    width = max(len(row) for row in rows) * (PANEL + gap) + gap
    height = len(rows) * (PANEL + 24 + gap) + gap + 22
    page = Image.new("RGB", (width, height), BACKGROUND)
    for n, row in enumerate(rows):
        for m, panel in enumerate(row):
            page.paste(panel, (gap + m * (PANEL + gap), gap + n * (PANEL + 24 + gap)))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    draw.text((gap, height - 24), "reference", fill=REFERENCE, font=font)
    draw.text((gap + 80, height - 24), "segmentation", fill=OURS, font=font)
    where = "axial; the patient's right is on the left"
    draw.text((gap + 190, height - 24), where, fill=TEXT, font=font)
    page.quantize(palette=_palette(), dither=Image.Dither.NONE).save(output, optimize=True)


def _palette() -> Image.Image:
    """64 grays, the contours' colors and their shades towards black: a third of the file's size."""
    grays = [(n, n, n) for n in range(0, 256, 4)]
    shades = [tuple(c * n // 4 for c in color) for color in (REFERENCE, OURS) for n in (1, 2, 3, 4)]
    flat = [value for color in (*grays, BACKGROUND, *shades) for value in color]
    result = Image.new("P", (1, 1))
    result.putpalette(flat)
    return result


def _canonical_images(
    case: str, segmentations: Path, validation: Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[float, float, float]]:
    """Scan, segmentation, reference as (k, j, i) in canonical order, and the spacing in mm."""
    from FlareSegmentLib.geometry import canonical_volume
    from FlareSegmentLib.reading import read_label_map, read_volume

    volume, order = canonical_volume(read_volume(validation / f"{case}_ct.nii.gz"))
    files = [segmentations / f"{case}{ending}.nii.gz" for ending in ("_ct_seg", "_seg")]
    ours = order.apply(read_label_map(next((f for f in files if f.is_file()), files[-1]))[0])
    reference = order.apply(read_label_map(validation / f"{case}_label.nii.gz")[0])
    return volume.array, ours, reference, volume.spacing


def _panel(
    failure: Failure,
    scan: np.ndarray,
    ours: np.ndarray,
    reference: np.ndarray,
    spacing: tuple[float, float, float],
) -> Image.Image:
    from FlareSegmentLib.labels import target_by_id

    found, truth = ours == failure.organ, reference == failure.organ
    apart = found != truth
    k = int(apart.sum(axis=(1, 2)).argmax())
    rows, columns = _square_around((found | truth)[k], spacing[1:])
    gray = np.clip((scan[k, rows, columns] - LEVEL_HU) / WINDOW_HU + 0.5, 0, 1) * 255
    scale = PANEL / max(gray.shape[0] * spacing[1], gray.shape[1] * spacing[2])
    size = (
        max(1, round(gray.shape[1] * spacing[2] * scale)),
        max(1, round(gray.shape[0] * spacing[1] * scale)),
    )
    picture = Image.fromarray(gray.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    pixels = np.array(picture.convert("RGB"))
    for mask, color in ((truth, REFERENCE), (found, OURS)):
        pixels[_contour(mask[k, rows, columns], size)] = color
    panel = Image.new("RGB", (PANEL, PANEL + 24), BACKGROUND)
    panel.paste(Image.fromarray(pixels), (0, 24))
    name = target_by_id(failure.organ).name.lower()
    said = "not there" if failure.absent else f"DSC {100 * failure.dsc:.0f}"
    font = ImageFont.load_default(14)
    ImageDraw.Draw(panel).text((2, 3), f"{failure.case}: {name}, {said}", fill=TEXT, font=font)
    return panel


def _square_around(mask: np.ndarray, spacing: Sequence[float]) -> tuple[slice, slice]:
    """Rows and columns of a square in mm around the mask, with a margin, within the picture."""
    centers, halves = [], []
    for axis in (0, 1):
        hits = np.flatnonzero(mask.any(axis=1 - axis))
        centers.append((hits[0] + hits[-1] + 1) / 2 * spacing[axis])
        halves.append((hits[-1] + 1 - hits[0]) / 2 * spacing[axis] + MARGIN_MM)
    half = max(halves)
    ranges = []
    for axis in (0, 1):
        start = max(0, int((centers[axis] - half) / spacing[axis]))
        stop = min(mask.shape[axis], int(np.ceil((centers[axis] + half) / spacing[axis])))
        ranges.append(slice(start, stop))
    return ranges[0], ranges[1]


def _contour(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    large = np.array(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    return large & ~ndimage.binary_erosion(large, iterations=2)


def main() -> None:
    """Evaluate, choose and draw."""
    command = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    command.add_argument("segmentations", type=Path)
    command.add_argument("validation", type=Path)
    command.add_argument("output", type=Path)
    command.add_argument("--cases", nargs="+", default=list(SHOWN), metavar="CASE")
    arguments = command.parse_args()
    from FlareSegmentLib.evaluation import evaluate_folders

    evaluation = evaluate_folders(arguments.segmentations, arguments.validation)
    chosen = [
        failure
        for case in evaluation.cases
        if case.case in arguments.cases
        for failure in worst_organs(case)
    ]
    if not chosen:
        sys.exit("There is nothing to draw: no organ of these cases is wrong.")
    draw_failures(chosen, arguments.segmentations, arguments.validation, arguments.output)


if __name__ == "__main__":
    main()
