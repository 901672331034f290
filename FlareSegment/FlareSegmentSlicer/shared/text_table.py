"""Tables of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt

_ROW_HEIGHT = 20
"""Pixels: fourteen structures fit into the panel."""


def prepareTable(table: Any, titles: Sequence[str]) -> None:
    """Give a ``QTableWidget`` its columns: as wide as their texts, the last takes the rest."""
    table.setColumnCount(len(titles))
    table.setHorizontalHeaderLabels(list(titles))
    table.verticalHeader().setVisible(False)
    table.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
    header = table.horizontalHeader()
    header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    header.setStretchLastSection(True)
    header.setHighlightSections(False)


def fillTable(table: Any, rows: Sequence[Sequence[str]], tips: Sequence[str] | None = None) -> None:
    """Show rows of texts; the selection stays where it is.

    Parameters
    ----------
    table
        A ``QTableWidget`` that `prepareTable` gave its columns.
    rows
        A text for each column.
    tips
        Tool tip of each row; where it is empty, or None is given, a cell's tip is its text.
    """
    current = table.currentRow()
    table.setRowCount(len(rows))
    for r, row in enumerate(rows):
        for c, text in enumerate(row):
            item = qt.QTableWidgetItem(text)
            item.setToolTip((tips[r] if tips else "") or text)
            table.setItem(r, c, item)
    if 0 <= current < len(rows):
        table.setCurrentCell(current, 0)
