"""The choice of a model."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from FlareSegmentLib import model_choice
from FlareSegmentLib.errors import BundleError
from FlareSegmentLib.model_choice import ModelChoice

_SUMMARY = 240
"""Letters shown of a model's summary, five lines; the rest is in the tool tip."""


class ModelSelector:
    """Lists the bundled models, the user's, and the one chosen by its folder.

    Parameters
    ----------
    ui
        The panel's widgets.
    parent
        Widget that dialogs belong to.
    onChosen
        Told the folder that the user chose, "" for the default; None when nothing was chosen,
        and the list has to be shown as it was.
    """

    def __init__(self, ui: Any, parent: Any, onChosen: Callable[[str | None], None]) -> None:
        self._ui = ui
        self._parent = parent
        self._onChosen = onChosen
        ui.modelComboBox.connect("activated(int)", self.onActivated)

    def show(self, chosen: str) -> None:
        """List what there is and select the folder `chosen`, the default when ""."""
        combo, choices = self._ui.modelComboBox, _choicesWith(chosen)
        combo.blockSignals(True)
        combo.clear()
        for choice in choices:
            text = _("{name} (bundled)").format(name=choice.name) if choice.bundled else choice.name
            combo.addItem(text, str(choice.folder))
            combo.setItemData(combo.count - 1, str(choice.folder), qt.Qt.ToolTipRole)
        combo.addItem(_("Other folder..."), "")
        combo.setCurrentIndex(max(combo.findData(chosen), 0) if chosen else 0)
        combo.blockSignals(False)
        shown = [choice for choice in choices if str(choice.folder) == combo.currentData]
        summary = shown[0].summary if shown else ""
        self._ui.modelInfoLabel.text = textwrap.shorten(summary, _SUMMARY, placeholder=" ...")
        self._ui.modelInfoLabel.toolTip = summary
        for label in (self._ui.modelInfoLabel, self._ui.modelInfoTitle):
            label.visible = bool(self._ui.modelInfoLabel.text)

    def onActivated(self, index: int) -> None:
        """Take the user's choice; the last line asks for a folder."""
        combo = self._ui.modelComboBox
        folder = combo.itemData(index) or qt.QFileDialog.getExistingDirectory(
            self._parent, _("Folder of a model"), str(model_choice.user_models_folder())
        )
        chosen = None
        try:
            if folder:
                text = str(model_choice.read_choice(Path(folder)).folder)
                chosen = "" if combo.findData(text) == 0 else text
        except BundleError as error:
            slicer.util.errorDisplay(str(error), windowTitle=_("Not a model"))
        self._onChosen(chosen)


def _choicesWith(chosen: str) -> list[ModelChoice]:
    """Give the models there are; `chosen` is among them even when it cannot be read."""
    choices = model_choice.available_models()
    if chosen and chosen not in [str(choice.folder) for choice in choices]:
        try:
            choices.append(model_choice.read_choice(Path(chosen)))
        except BundleError as error:
            logging.warning("%s", error)
            choices.append(ModelChoice(Path(chosen), chosen, False, {}))
    return choices
