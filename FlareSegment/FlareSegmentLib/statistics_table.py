"""The table of volumes and HU: its columns, its text on screen, its CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

COLUMNS = (
    ("name", "Structure", 0),
    ("volume_ml", "Volume (ml)", 1),
    ("mean_hu", "Mean HU", 1),
    ("sd_hu", "SD HU", 1),
    ("voxels", "Voxels", 0),
)
"""Key of `organ_statistics`, title, decimals shown."""


def cell_text(key: str, value: Any) -> str:
    """Give the text of one cell; a dash for what a structure that was not found cannot have."""
    if value is None or value != value:
        return "\N{EN DASH}"
    decimals = {column: places for column, _, places in COLUMNS}.get(key, 0)
    return f"{value:.{decimals}f}" if isinstance(value, float) else str(value)


def statistics_csv(rows: Sequence[Row]) -> str:
    """Give `rows` as CSV with a header line; unknown values are empty cells.

    A column ``frame`` comes first when any row has one.
    """
    columns = [(key, title) for key, title, _ in COLUMNS]
    if any("frame" in row for row in rows):
        columns.insert(0, ("frame", "Frame"))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([title for _, title in columns])
    for row in rows:
        values = [row.get(key) for key, _ in columns]
        writer.writerow([_csv_value(value) for value in values])
    return text.getvalue()


def _csv_value(value: Any) -> Any:
    if value is None or value != value:
        return ""
    # More digits than shown on screen, fewer than float noise.
    return round(value, 4) if isinstance(value, float) else value
