"""The check list of structures."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import qt
from slicer.i18n import tr as _

from FlareSegmentLib import labels

from ..shared.check_list import addCheckItem, allKeys, checkedKeys, checkKeys, listItems
from ..shared.color_icon import colorIcon


class TargetList:
    """Fourteen check boxes and three buttons.

    Parameters
    ----------
    ui
        The panel's widgets.
    onChanged
        Told the keys that the user left unchecked.
    """

    def __init__(self, ui: Any, onChanged: Callable[[list[str]], None]) -> None:
        self._ui = ui
        self._onChanged = onChanged
        self._showing = False
        for target in labels.targets():
            icon = colorIcon(target.color)
            addCheckItem(ui.targetList, target.name, target.key, checked=True, icon=icon)
        # Two columns of full names in a panel of the usual width, one in a narrow panel.
        rows = (len(labels.targets()) + 1) // 2
        size = qt.QSize(ui.targetList.sizeHintForColumn(0) + 12, 20)
        ui.targetList.setGridSize(size)
        ui.targetList.setFixedHeight(rows * size.height() + 8)
        ui.targetList.connect("itemChanged(QListWidgetItem*)", self._onItemChanged)
        for button, skipped in (
            (ui.allTargetsButton, []),
            (ui.organsButton, ["tumor"]),
            (ui.noTargetsButton, allKeys(ui.targetList)),
        ):
            button.connect("clicked(bool)", partial(self._onButton, skipped))

    def item(self, key: str) -> Any:
        """Give the line of a structure."""
        widget = self._ui.targetList
        return listItems(widget)[allKeys(widget).index(key)]

    def show(self, skipped: Collection[str]) -> None:
        """Check all but `skipped`."""
        keys = [key for key in allKeys(self._ui.targetList) if key not in skipped]
        self._showing = True
        checkKeys(self._ui.targetList, keys)
        self._showing = False
        self._ui.targetCountLabel.text = _("{chosen} of {all}").format(
            chosen=len(keys), all=self._ui.targetList.count
        )

    def _onItemChanged(self, _item: Any) -> None:
        if not self._showing:
            checked = checkedKeys(self._ui.targetList)
            self._onChanged([key for key in allKeys(self._ui.targetList) if key not in checked])

    def _onButton(self, skipped: list[str], _checked: bool = False) -> None:
        self._onChanged(skipped)
