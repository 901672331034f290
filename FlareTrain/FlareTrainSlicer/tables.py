"""Tables that may have thousands of rows: filled in steps, between which the window lives."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import qt

from FlareSegmentSlicer.shared.text_table import prepareTable

_ROWS_AT_ONCE = 5
_FEW = 50
"""Rows that are removed or inserted one by one; when more have changed, all are looked at."""

_EMPTY: tuple[str, ...] = ("",)
"""What a row shows that was not written yet."""

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


class FilledTable:
    """A table of texts, and what it shows: only what has changed is written.

    Parameters
    ----------
    table
        A ``QTableWidget`` with columns and without rows.
    """

    def __init__(self, table: Any) -> None:
        self._table = table
        self._shown: list[tuple[str, ...]] = []

    def name(self, row: int) -> str:
        """Give the first text of a row, "" where there is no such row.

        While a table is filled anew, a row may still show what was there before: this is what a
        click on it means.
        """
        return self._shown[row][0] if 0 <= row < len(self._shown) else ""

    def selected(self) -> str:
        """Give the first text of the selected row, "" when none is."""
        return self.name(self._table.currentRow())

    def fillSteps(
        self, rows: Sequence[Sequence[str]], tips: Sequence[str] | None = None
    ) -> Generator[None, None, None]:
        """Show rows of texts, some at a time; no other row is selected than before.

        Parameters
        ----------
        tips
            Tool tip of each row, below the text of the cell.
        """
        wanted = [(*row, tips[number] if tips else "") for number, row in enumerate(rows)]
        yield
        if wanted == self._shown:
            return
        gone, come = _difference(self._shown, wanted)
        if max(len(gone), len(come)) <= _FEW:
            for row in reversed(gone):
                self._silently(self._table.removeRow, row)
                del self._shown[row]
                yield
            for row in come:
                self._silently(self._table.insertRow, row)
                self._shown.insert(row, _EMPTY)
                self._write(row, wanted[row])
                yield
        else:
            self._table.setRowCount(len(wanted))
            del self._shown[len(wanted) :]
            self._shown += [_EMPTY] * (len(wanted) - len(self._shown))
            for row, texts in enumerate(wanted):
                if self._shown[row] != texts:
                    self._write(row, texts)
                    if row % _ROWS_AT_ONCE == 0:
                        yield
        yield
        if wanted:
            _fitColumns(self._table)

    def _write(self, row: int, wanted: tuple[str, ...]) -> None:
        shown, tip = self._shown[row], wanted[-1]
        for column, text in enumerate(wanted[:-1]):
            if shown is not _EMPTY and (text, tip) == (shown[column], shown[-1]):
                continue
            item = None if shown is _EMPTY else self._table.item(row, column)
            # A name that is too long for its column is read in full in the tip.
            full = "\n".join(part for part in (text, tip) if part)
            if item is None:
                item = qt.QTableWidgetItem(text)
                item.setToolTip(full)
                self._table.setItem(row, column, item)
            else:
                item.setText(text)
                item.setToolTip(full)
        self._shown[row] = wanted

    def _silently(self, change: Callable[[int], Any], row: int) -> None:
        """Add or remove a row; Qt keeps the selection, which nobody has changed."""
        wasBlocked = self._table.blockSignals(True)
        change(row)
        self._table.blockSignals(wasBlocked)


def _difference(
    shown: Sequence[tuple[str, ...]], wanted: Sequence[tuple[str, ...]]
) -> tuple[list[int], list[int]]:
    """Give the rows to remove from what is shown, and those of what is wanted to insert then.

    Rows that changed places count as removed and inserted, all between the first and the last
    that did: a table in another order is better written from the top.
    """
    remaining, asked = set(shown), set(wanted)
    gone = [number for number, row in enumerate(shown) if row not in asked]
    come = [number for number, row in enumerate(wanted) if row not in remaining]
    kept = [row for row in shown if row in asked]
    if kept != [row for row in wanted if row in remaining]:
        return list(range(len(shown))), list(range(len(wanted)))
    return gone, come


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
