"""Tables that may have thousands of rows: filled in steps, between which the window lives."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import qt

from FlareSegmentSlicer.shared.text_table import prepareTable

_ROWS_AT_ONCE = 20
_ROWS_MEASURED = 50
"""Rows that decide how wide a column is; more take long in a table of thousands."""


def prepareLongTable(table: Any, titles: Sequence[str]) -> None:
    """Give a table its columns; they are fitted to their texts when all rows are there.

    Columns that follow their texts would be measured again with every cell that is set.
    """
    prepareTable(table, titles)
    table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.Interactive)
    table.horizontalHeader().setResizeContentsPrecision(_ROWS_MEASURED)


def fillSteps(
    table: Any, rows: Sequence[Sequence[str]], tips: Sequence[str] | None = None
) -> Generator[None, None, None]:
    """Show rows of texts, some at a time; the selection stays where it is."""
    current = table.currentRow()
    table.setRowCount(len(rows))
    for number, row in enumerate(rows):
        for column, text in enumerate(row):
            tip = (tips[number] if tips else "") or text
            item = table.item(number, column)
            if item is None:
                item = qt.QTableWidgetItem()
                table.setItem(number, column, item)
            if item.text() != text:
                item.setText(text)
            if item.toolTip() != tip:
                item.setToolTip(tip)
        if number % _ROWS_AT_ONCE == 0:
            yield
    if rows:
        table.resizeColumnsToContents()
    if 0 <= current < len(rows):
        table.setCurrentCell(current, 0)


def number(value: float | None) -> str:
    """Give a score as a text, "" where there is none."""
    return "" if value is None else f"{value:.3f}"
