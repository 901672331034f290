"""The panel's section Refinement: who labels, how far they agree, and what people decided."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from FlareSegmentLib import model_choice
from FlareSegmentLib.errors import FlareError
from FlareSegmentSlicer.shared.check_list import addCheckItem, allKeys, checkedKeys
from FlareSegmentSlicer.shared.installation import ensureInstalled
from FlareTrainLib import task_folder
from FlareTrainLib.case_choices import Choice, write_choice
from FlareTrainLib.refinement_task import REFINEMENT, WorklistRow, worklist

from .jobs import Job
from .section import Section
from .steps import Steps
from .tables import FilledTable, number, prepareLongTable


class RefinementSection(Section):
    """Shows the worklist, what should be looked at first, first."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self.rows: list[WorklistRow] = []
        self._cases: dict[str, WorklistRow] = {}
        ui = panel.ui
        columns = (
            (_("Case"), _("What should be looked at first is first")),
            (_("Agreement"), _("Mean DSC between the sources, 0 to 1; empty with one source")),
            (_("Doubt"), _("How much the sources differ about organs; the higher, the worse")),
            (_("Used"), _("What a training takes of the case")),
            (_("By"), _("Who decided: you, or the rules of the recipe")),
        )
        prepareLongTable(ui.worklistTable, columns)
        self._table = FilledTable(ui.worklistTable)
        ui.addSourceButton.connect("clicked(bool)", self.onAddSource)
        ui.refineButton.connect("clicked(bool)", self.onRefine)
        choices: tuple[tuple[Any, Choice | None], ...] = (
            (ui.acceptButton, "accepted"),
            (ui.rejectButton, "rejected"),
            (ui.ruleButton, None),
        )
        for button, choice in choices:
            button.connect("clicked(bool)", partial(self.onChoice, choice))
        ui.worklistTable.connect("cellDoubleClicked(int,int)", self.onDoubleClicked)
        ui.worklistTable.connect("itemSelectionChanged()", self.onSelected)
        ui.sourceList.connect("itemChanged(QListWidgetItem*)", self.onSourceChanged)

    def refresh(self) -> None:
        """List what should be looked at first."""
        self.work.put("table", Steps(self._listSteps(), self._onShown, self._onNotListed))

    def _listSteps(self) -> Generator[None, None, None]:
        data = self.panel.data()
        yield
        try:
            rows = worklist(data / REFINEMENT) if data else []
        except FlareError as error:
            rows, self.panel.ui.refinementNoteLabel.text = [], str(error)
        yield
        by = {"accepted": _("you"), "rejected": _("you"), "": _("rule")}
        texts = [
            (
                row.case,
                number(row.agreement),
                number(row.organ_uncertainty),
                row.use,
                by[row.choice],
            )
            for row in rows
        ]
        self.rows, self._cases = rows, {row.case: row for row in rows}
        yield from self._table.fillSteps(texts, [row.reason for row in rows])

    def _onNotListed(self, error: FlareError) -> None:
        self.panel.ui.refinementNoteLabel.text = str(error)

    def _onShown(self, _nothing: object) -> None:
        self.panel.updateGUI()

    def _selected(self) -> WorklistRow | None:
        return self._cases.get(self._table.selected())

    def fillSources(self) -> None:
        """List models to label with, and the sources that are in the dataset."""
        widget, data = self.panel.ui.sourceList, self.panel.data()
        checked = set(checkedKeys(widget))
        known = set(allKeys(widget))
        widget.blockSignals(True)
        widget.clear()
        folders = (data / "pseudo").glob("*") if data else ()
        sources = sorted(path.name for path in folders if path.is_dir())
        for name in sources:
            key = f"source:{name}"
            text = _("{name} (label maps in the dataset)").format(name=name)
            addCheckItem(widget, text, key, key in checked or key not in known)
        for choice in model_choice.available_models() if data else []:
            if choice.name not in sources:
                key = f"model:{choice.folder}"
                text = _("Label with {name}").format(name=choice.name)
                addCheckItem(widget, text, key, key in checked)
        widget.blockSignals(False)

    def chosenSources(self) -> tuple[dict[str, Path], list[str]]:
        """Give the checked models by name, and the checked sources that are in the dataset."""
        keys = [key.split(":", 1) for key in checkedKeys(self.panel.ui.sourceList)]
        folders = [Path(text) for kind, text in keys if kind == "model"]
        models = {model_choice.read_choice(folder).name: folder for folder in folders}
        return models, [text for kind, text in keys if kind == "source"]

    def updateButtons(self) -> None:
        """Bring the buttons in line with what can be done."""
        panel, ui = self.panel, self.panel.ui
        some = bool(panel.dataset.listing.rows)
        ui.addSourceButton.enabled = some and not self.work.running("copy")
        refining = panel.isAlive(REFINEMENT)
        ui.refineButton.text = _("Stop") if refining else _("Refine")
        ui.refineButton.enabled = refining or (some and bool(checkedKeys(ui.sourceList)))
        row = self._selected()
        choosable = row is not None and row.kind != "full" and bool(row.sources)
        for button in (ui.acceptButton, ui.rejectButton, ui.ruleButton):
            button.enabled = choosable

    # --- what the user does ------------------------------------------------------------------

    def onSourceChanged(self, _item: object = None) -> None:
        """Heed a check mark."""
        self.panel.updateGUI()

    def onAddSource(self, _checked: bool = False) -> None:
        """Ask for a folder of label maps and let a process copy it into the dataset."""
        panel = self.panel
        folder = qt.QFileDialog.getExistingDirectory(panel.parent, _("Folder of label maps"))
        if not folder:
            return
        panel.ui.refinementNoteLabel.text = _("Copying the label maps...")
        with slicer.util.tryWithErrorDisplay(_("The source was not added.")):
            arguments = {"data": str(panel.data().resolve()), "source": folder}
            self.work.put("copy", Job("source", arguments, self._onAdded, self._onNotAdded))
        self.updateButtons()

    def _onAdded(self, _folder: Path, message: str) -> None:
        self.panel.ui.refinementNoteLabel.text = message
        self.fillSources()
        self.panel.dataset.refresh()

    def _onNotAdded(self, error: FlareError) -> None:
        self.panel.ui.refinementNoteLabel.text = str(error)
        self.panel.showError(_("The source was not added."), error)
        self.panel.updateGUI()

    def onRefine(self, _checked: bool = False) -> None:
        """Let a process label and compare, or stop it."""
        panel, data = self.panel, self.panel.data()
        with slicer.util.tryWithErrorDisplay(_("The refinement did not start.")):
            if task_folder.status(data / REFINEMENT).state.alive:
                task_folder.stop(data / REFINEMENT)
                return
            models, sources = self.chosenSources()
            if models:
                ensureInstalled()
            device = panel.parameterNode.device.value
            panel.logic.startRefinement(
                data, models, sources, panel.training.choices.recipe(), device
            )
        panel.refreshTasks()

    def onChoice(self, choice: Choice | None, _checked: bool = False) -> None:
        """Take a person's decision about the selected case."""
        row = self._selected()
        if row is None:
            return
        with slicer.util.tryWithErrorDisplay(_("The choice was not kept.")):
            write_choice(self.panel.data(), row.case, choice)
            text = {
                "accepted": _("{case} will be used with its pseudo-labels."),
                "rejected": _("The pseudo-labels of {case} will not be used."),
                None: _("{case} is left to the rules."),
            }[choice]
            self.panel.ui.refinementNoteLabel.text = (
                text.format(case=row.case)
                + " "
                + _("Click Refine to see the effect; trainings that start from now on heed it.")
            )

    def onSelected(self) -> None:
        """Say why the selected case is used as it is."""
        row = self._selected()
        if row is not None and row.reason:
            self.panel.ui.refinementNoteLabel.text = f"{row.case}: {row.reason}"
        self.updateButtons()

    def onDoubleClicked(self, row: int, _column: int) -> None:
        """Load a case, and where its sources differ."""
        label, name = self.panel.ui.refinementNoteLabel, self._table.name(row)
        if name:
            self.panel.loadCase(name, label, disagreement=True)

    def onTaskEnded(self) -> None:
        """Look at what a process has done."""
        self.fillSources()
        self.refresh()
        self.panel.dataset.refresh()
