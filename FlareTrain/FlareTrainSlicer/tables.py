"""Tables that may have thousands of rows: filled in steps, between which the window lives."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import qt

from FlareSegmentSlicer.shared.text_table import prepareTable

_ROWS_AT_ONCE = 20
_MOST_SHARE, _LEAST_WIDTH = 0.35, 100
"""Of the table's width that a column may take, and what it may take at least, in pixels."""

_ROWS_MEASURED = 50
"""Rows that decide how wide a column is; more take long in a table of thousands."""


def prepareLongTable(table: Any, columns: Sequence[tuple[str, str]]) -> None:
    """Give a table its columns, a title and a tool tip each.

    They are fitted to their texts when all rows are there: columns that follow their texts would
    be measured again with every cell that is set.
    """
    prepareTable(table, [title for title, _tip in columns])
    # Names of cases often differ at their ends only.
    table.setTextElideMode(qt.Qt.ElideMiddle)
    describeColumns(table, columns)
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
            # A name that is too long for its column is read in full here.
            tip = "\n".join(part for part in (text, tips[number] if tips else "") if part)
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
        _fitColumns(table)
    if 0 <= current < len(rows):
        table.setCurrentCell(current, 0)


def describeColumns(table: Any, columns: Sequence[tuple[str, str]]) -> None:
    """Give the titles of a table their tool tips."""
    for column, (_title, tip) in enumerate(columns):
        table.horizontalHeaderItem(column).setToolTip(tip)


def _fitColumns(table: Any) -> None:
    """Make columns as wide as their texts, but none so wide that the others are out of sight."""
    table.resizeColumnsToContents()
    most = max(_LEAST_WIDTH, round(_MOST_SHARE * table.width))
    for column in range(table.columnCount - 1):
        if table.columnWidth(column) > most:
            table.setColumnWidth(column, most)


def shortened(name: str, most: int = 50) -> str:
    """Give a name with its middle left out when it has more than `most` letters.

    A label does not break a word: it would be cut at the border, where names often differ.
    """
    if len(name) <= most:
        return name
    half = (most - 3) // 2
    return f"{name[:half]}...{name[-half:]}"


def number(value: float | None) -> str:
    """Give a score as a text, "" where there is none."""
    return "" if value is None else f"{value:.3f}"
