"""The last result: its table, its file, its undo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from FlareSegmentLib import labels, statistics_table

from ..shared.color_icon import colorIcon
from ..shared.text_table import prepareTable


class ResultSection:
    """Shows the structures of the last result with volume and HU.

    Parameters
    ----------
    ui
        The panel's widgets.
    logic
        The module's logic.
    volume
        Gives the volume to measure on.
    say
        Told a sentence that takes the place of the last outcome in the status line.
    onChanged
        Told that what can be done may have changed.
    """

    def __init__(
        self,
        ui: Any,
        logic: Any,
        volume: Callable[[], Any],
        say: Callable[[str], None],
        onChanged: Callable[[], None],
    ) -> None:
        self._ui = ui
        self._logic = logic
        self._volume = volume
        self._say = say
        self._onChanged = onChanged
        self._rows: list[dict[str, Any]] = []
        self.segmentation: Any = None
        """The last result, None before there is one."""
        table = ui.resultTable
        prepareTable(table, [title for _key, title, _places in statistics_table.COLUMNS])
        table.horizontalHeader().setStretchLastSection(False)
        table.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)
        ui.undoButton.connect("clicked(bool)", self.onUndoButton)
        ui.updateTableButton.connect("clicked(bool)", self.onUpdateTableButton)
        ui.saveTableButton.connect("clicked(bool)", self.onSaveTableButton)

    def take(self, segmentation: Any, rows: list[dict[str, Any]]) -> None:
        """Show a new result, or none."""
        self.segmentation = segmentation
        self._ui.show3DButton.setSegmentationNode(segmentation)
        self._showRows(rows)

    def showButtons(self, running: bool) -> None:
        """Bring the buttons in line with what can be done."""
        ui, segmentation = self._ui, self.segmentation
        idle = segmentation is not None and not running
        ui.resultsCollapsibleButton.visible = segmentation is not None
        ui.show3DButton.enabled = idle
        ui.updateTableButton.enabled = idle
        ui.saveTableButton.enabled = bool(self._rows)
        ui.undoButton.enabled = idle and self._logic.canUndo(segmentation)

    def _showRows(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows
        table = self._ui.resultTable
        table.setRowCount(len(rows))
        for r, row in enumerate(rows):
            for c, (key, _title, _places) in enumerate(statistics_table.COLUMNS):
                table.setItem(r, c, _cell(key, row))
        rowHeight = table.verticalHeader().defaultSectionSize
        shown = min(max(len(rows), 4), len(labels.targets()))
        table.setMinimumHeight(shown * rowHeight + table.horizontalHeader().height + 6)

    def onUndoButton(self, _checked: bool = False) -> None:
        """Bring back what the last run replaced."""
        with slicer.util.tryWithErrorDisplay(_("Undo failed."), waitCursor=True):
            self._logic.undo(self.segmentation)
            self._showRows([])
            self._say(_("The replaced segments are back."))
        self._onChanged()

    def onUpdateTableButton(self, _checked: bool = False) -> None:
        """Measure again, after the user edited the segmentation."""
        with slicer.util.tryWithErrorDisplay(_("The table was not updated."), waitCursor=True):
            rows = self._logic.measure(self.segmentation, self._volume())
            self._logic.writeTable(self.segmentation, rows)
            self._showRows(rows)
        self._onChanged()

    def onSaveTableButton(self, _checked: bool = False) -> None:
        """Ask for a file and write the table to it."""
        name = f"{self.segmentation.GetName()}.csv" if self.segmentation else ""
        path = qt.QFileDialog.getSaveFileName(
            self._ui.resultTable, _("Save the table"), name, _("CSV files (*.csv)")
        )
        if path:
            with slicer.util.tryWithErrorDisplay(_("The table was not saved.")):
                self.saveTable(Path(path))

    def saveTable(self, path: Path) -> None:
        """Write the table to `path`; with a byte order mark, so that Excel reads names rightly."""
        text = statistics_table.statistics_csv(self._rows)
        path.write_text(text, encoding="utf-8-sig", newline="")


def _cell(key: str, row: dict[str, Any]) -> Any:
    item = qt.QTableWidgetItem(statistics_table.cell_text(key, row.get(key)))
    if key != "name":
        item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
        return item
    item.setIcon(colorIcon(labels.target_by_key(row["key"]).color))
    if "frame" in row:
        item.setText(_("{name}, frame {n}").format(name=row["name"], n=row["frame"]))
    return item
