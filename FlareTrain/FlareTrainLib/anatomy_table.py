"""What the deformations towards other patients reached, as a table a person can read."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from FlareSegmentLib.labels import target_by_id

from .anatomy_shapes import ORGANS


@dataclass(frozen=True)
class AnatomyRow:
    """One pair of scan and other patient, and the note its deformation left.

    Attributes
    ----------
    scan, shape
        Names.
    note
        `overlap` (Dice with the other patient's organs before and after, by target id),
        `jacobian`, `strength`; or `refused` with the reason.
    """

    scan: str
    shape: str
    note: Mapping[str, Any]

    @property
    def mean_dice(self) -> tuple[float, float] | None:
        """Mean Dice over the organs before and after; None when refused."""
        if "refused" in self.note:
            return None
        pairs = self.note["overlap"].values()
        return fmean(pair[0] for pair in pairs), fmean(pair[1] for pair in pairs)


def anatomy_csv(rows: Sequence[AnatomyRow]) -> str:
    """One line per pair; Dice with the other patient after the affine map, and in the end."""
    keys = {organ: target_by_id(organ).key for organ in ORGANS}
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        ["scan", "anatomy", "strength", "jacobian_min", "jacobian_max", "before", "after"]
        + [f"{key} {when}" for key in keys.values() for when in ("before", "after")]
        + ["left out because"]
    )
    for row in rows:
        means = row.mean_dice
        if means is None:
            gaps = [""] * (5 + 2 * len(keys))
            table.writerow([row.scan, row.shape, *gaps, row.note["refused"]])
            continue
        organs: list[Any] = []
        for organ in keys:
            organs += row.note["overlap"].get(str(organ), ["", ""])
        facts = [row.note["strength"], *row.note["jacobian"], *(f"{mean:.3f}" for mean in means)]
        table.writerow([row.scan, row.shape, *facts, *organs, ""])
    return text.getvalue()


def anatomy_summary(rows: Sequence[AnatomyRow]) -> str:
    """One sentence about all pairs."""
    means = [row.mean_dice for row in rows]
    reached = [pair for pair in means if pair is not None]
    if not reached:
        return f"None of {len(rows)} scans could be deformed."
    made = [row for row in rows if row.mean_dice is not None]
    smallest = min(row.note["jacobian"][0] for row in made)
    before, after = fmean(pair[0] for pair in reached), fmean(pair[1] for pair in reached)
    return (
        f"{len(reached)} of {len(rows)} scans deformed towards other patients: mean Dice with "
        f"their organs {before:.2f} -> {after:.2f}, smallest local change of volume {smallest:.2f}."
    )
