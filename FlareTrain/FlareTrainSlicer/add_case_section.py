"""The panel's form that makes a segmentation of the scene a case of the dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from FlareSegmentLib import labels
from FlareSegmentLib.errors import FlareError
from FlareSegmentSlicer.shared.check_list import addCheckItem, checkedKeys, checkKeys, listItems
from FlareTrainLib.add_case import NewCase, case_exists, target_ids_of

from .case_staging import segmentTargets
from .section import Section
from .steps import Steps


class AddCaseSection(Section):
    """Asks what a person annotated; reading the nodes is cut into steps, a process does the rest.

    Checks of one patient never count for the next: they are taken away when another segmentation
    is chosen.
    """

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self.adding: Path | None = None
        self._segmentation = ""
        for target in labels.targets():
            addCheckItem(panel.ui.annotatedList, target.name, target.key)
        panel.ui.addCaseButton.connect("clicked(bool)", self.onAddCase)

    # --- what is shown -----------------------------------------------------------------------

    def refresh(self) -> None:
        """Say which structures have a segment, in the segmentation as it is now."""
        node = self.panel.parameterNode
        segmentation = node.caseSegmentation if node is not None else None
        items = self.panel.ui.annotatedList
        chosen = "" if segmentation is None else segmentation.GetID()
        if chosen != self._segmentation:
            self._segmentation = chosen
            checkKeys(items, ())
        drawn = segmentTargets(segmentation) if segmentation is not None else None
        names = {target.key: target.name for target in labels.targets()}
        for item, key in zip(listItems(items), names, strict=True):
            text = names[key]
            if drawn is not None and key not in drawn:
                text = _("{name} (no segment: checked means it is not there)").format(name=text)
            if item.text() != text:
                item.setText(text)

    def updateButtons(self) -> None:
        """Bring the button in line with what can be done."""
        panel, node = self.panel, self.panel.parameterNode
        adding = self.adding is not None and panel.stateOf(self.adding).alive
        adding = adding or self.work.running("staging")
        scene = node is not None and node.caseVolume and node.caseSegmentation
        panel.ui.addCaseButton.enabled = bool(panel.data() and scene and not adding)

    # --- what the user does ------------------------------------------------------------------

    def onAddCase(self, _checked: bool = False) -> None:
        """Make the chosen volume and segmentation a case, after asking when it exists."""
        panel, ui, node = self.panel, self.panel.ui, self.panel.parameterNode
        data = panel.data()
        name = ui.caseNameLineEdit.text.strip()
        replace = False
        if name and case_exists(data, name):
            replace = slicer.util.confirmOkCancelDisplay(
                _(
                    "There is a case {name} already. Replace it? Its files are kept in the folder "
                    "'replaced' of the dataset."
                ).format(name=name),
                windowTitle=_("Replace the case?"),
            )
            if not replace:
                return
        case = NewCase(name, target_ids_of(checkedKeys(ui.annotatedList)), replace)
        ui.addNoteLabel.text = _("Reading the segments...")
        steps = panel.logic.addCaseSteps(data, case, node.caseVolume, node.caseSegmentation)
        self.work.put("staging", Steps(steps, self._onStaged, self._onNotStaged))
        self.updateButtons()

    def _onStaged(self, folder: Path) -> None:
        self.adding = folder
        self.panel.refreshTasks()

    def _onNotStaged(self, error: FlareError) -> None:
        self.panel.ui.addNoteLabel.text = str(error)
        self.panel.showError(_("The case was not added."), error)
        self.panel.updateGUI()
