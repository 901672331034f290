"""The panel's section Dataset: the cases, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from FlareSegmentLib.errors import FlareError
from FlareSegmentSlicer.shared.chosen_path import isChosen
from FlareTrainLib.add_case import make_dataset
from FlareTrainLib.case_split import Part, move_case
from FlareTrainLib.case_table import CaseRow, Listing, read_listing
from FlareTrainLib.task_folder import TaskState

from .jobs import Job
from .section import Section
from .steps import Steps
from .tables import FilledTable, prepareLongTable, shortened

CHECK, ADDED = "check", "added"
"""Folders of tasks in a dataset."""


class DatasetSection(Section):
    """Lists the cases of the chosen folder; whatever has to be read is read by a process."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self.listing = Listing()
        self._rows: dict[str, CaseRow] = {}
        ui = panel.ui
        columns = (
            (_("Case"), _("Name of the patient in the dataset")),
            (_("For"), _("Training, or validation: scores models and is never trained on")),
            (_("Annotated"), _("What a person drew, or looked for and did not find")),
            (_("Findings"), _("Number of things that the last check found; select the case")),
            (_("Sources"), _("Programs that labeled it, for pseudo-labels")),
        )
        prepareLongTable(ui.caseTable, columns)
        self._table = FilledTable(ui.caseTable)
        ui.newDatasetButton.connect("clicked(bool)", self.onNew)
        ui.practiceButton.connect("clicked(bool)", self.onPractice)
        ui.checkButton.connect("clicked(bool)", self.onCheck)
        ui.toTrainingButton.connect("clicked(bool)", self.onToTraining)
        ui.toValidationButton.connect("clicked(bool)", self.onToValidation)
        ui.caseTable.connect("cellDoubleClicked(int,int)", self.onDoubleClicked)
        ui.caseTable.connect("itemSelectionChanged()", self.onSelected)

    # --- the table ---------------------------------------------------------------------------

    def refresh(self) -> None:
        """List the cases anew."""
        data = self.panel.data()
        self.work.cancel("list", "table")
        if data is None:
            self._show(Listing((), (self._noDataset(),)))
            return
        arguments = {"data": str(data.resolve()), "checked": str((data / CHECK).resolve())}
        try:
            self.work.put("list", Job("list", arguments, self._onListed, self._onNotListed))
        except FlareError as error:
            self._onNotListed(error)

    def _noDataset(self) -> str:
        node = self.panel.parameterNode
        if node is None or not isChosen(node.data):
            return _(
                "Choose the folder of a dataset. New... begins one with your own scans, "
                "Practice... makes one of synthetic patients."
            )
        return _(
            "The folder {name} is not there: it was moved, renamed or deleted, or its drive is not "
            "connected. Choose it where it is now; its trainings are found again."
        ).format(name=shortened(node.data.name))

    def _onListed(self, folder: Path, _message: str) -> None:
        self._show(read_listing(folder))

    def _onNotListed(self, error: FlareError) -> None:
        self._show(Listing((), (str(error),)))

    def _show(self, listing: Listing) -> None:
        parts = {"training": _("training"), "validation": _("validation")}
        rows = [
            (
                row.name,
                parts[row.part],
                row.annotated,
                str(len(row.findings) or ""),
                ", ".join(row.sources),
            )
            for row in listing.rows
        ]
        tips = [" ".join(row.findings) for row in listing.rows]
        self.listing = listing
        self._rows = {row.name: row for row in listing.rows}
        if not self.panel.isAlive(CHECK):
            texts = filter(None, (summary(listing), *listing.notes))
            self.panel.ui.datasetNoteLabel.text = " ".join(texts)
        steps = self._table.fillSteps(rows, tips)
        self.work.put("table", Steps(steps, self._onShown, self._onNotListed))

    def _onShown(self, _nothing: object) -> None:
        self.panel.updateGUI()

    def _selected(self) -> CaseRow | None:
        return self._rows.get(self._table.selected())

    def updateButtons(self) -> None:
        """Bring the buttons in line with what can be done."""
        panel, ui = self.panel, self.panel.ui
        data = panel.data()
        ui.practiceButton.enabled = not self.work.running("practice")
        ui.checkButton.enabled = data is not None and (data / "imagesTr").is_dir()
        case = self._selected()
        part = case.part if case is not None else ""
        ui.toTrainingButton.enabled = part == "validation"
        ui.toValidationButton.enabled = part == "training"

    # --- what the user does ------------------------------------------------------------------

    def onNew(self, _checked: bool = False) -> None:
        """Ask for a folder and make it a dataset."""
        panel = self.panel
        folder = qt.QFileDialog.getExistingDirectory(panel.parent, _("Folder of the new dataset"))
        if not folder:
            return
        with slicer.util.tryWithErrorDisplay(_("The dataset was not made.")):
            make_dataset(Path(folder))
        panel.parameterNode.data = Path(folder)
        panel.refreshAll()

    def onPractice(self, _checked: bool = False) -> None:
        """Ask for a folder and let a process make a dataset of synthetic patients in it."""
        panel = self.panel
        place = qt.QFileDialog.getExistingDirectory(panel.parent, _("Folder for practice"))
        if not place:
            return
        with slicer.util.tryWithErrorDisplay(_("The dataset was not made.")):
            folder = Path(place)
            job = Job(
                "practice",
                {"data": str(folder.resolve())},
                lambda _task, _message: self._onPracticeMade(folder),
                self._onPracticeFailed,
            )
            self.work.put("practice", job)
            panel.ui.datasetNoteLabel.text = _("Making synthetic patients: about a minute...")
        self.updateButtons()

    def _onPracticeMade(self, folder: Path) -> None:
        self.panel.parameterNode.data = folder
        self.panel.refreshAll()

    def _onPracticeFailed(self, error: FlareError) -> None:
        self.panel.ui.datasetNoteLabel.text = str(error)
        self.panel.showError(_("The dataset was not made."), error)
        self.updateButtons()

    def onCheck(self, _checked: bool = False) -> None:
        """Let a process read everything."""
        with slicer.util.tryWithErrorDisplay(_("The check did not start.")):
            self.panel.logic.startCheck(self.panel.data())
        self.panel.refreshTasks()

    def onToTraining(self, _checked: bool = False) -> None:
        """Train on the selected case from now on."""
        self._move("training")

    def onToValidation(self, _checked: bool = False) -> None:
        """Judge by the selected case from now on."""
        self._move("validation")

    def _move(self, part: Part) -> None:
        case = self._selected()
        if case is None:
            return
        if part == "validation" and case.annotated == "nothing":
            text = _("Nothing is annotated in {case}: it cannot score a model.")
            self.panel.ui.datasetNoteLabel.text = text.format(case=case.name)
            return
        with slicer.util.tryWithErrorDisplay(_("The case was not moved.")):
            move_case(self.panel.data(), case.name, part)
        self.refresh()

    def onSelected(self) -> None:
        """Say what the check found in the selected case."""
        case = self._selected()
        if case is not None and case.findings:
            self.panel.ui.datasetNoteLabel.text = f"{case.name}: {' '.join(case.findings)}"
        self.updateButtons()

    def onDoubleClicked(self, row: int, _column: int) -> None:
        """Load a case with its labels."""
        name = self._table.name(row)
        if name:
            self.panel.loadCase(name, self.panel.ui.datasetNoteLabel)

    def onTaskEnded(self, folder: Path, state: TaskState) -> None:
        """Look at what a process has done."""
        if state is TaskState.FINISHED or folder.name == CHECK:
            self.refresh()


def summary(listing: Listing) -> str:
    """Count the cases, in words; "" when there are none."""
    rows = listing.rows
    if not rows:
        return ""
    judging = sum(row.part == "validation" for row in rows)
    text = _(
        "{n} cases for training, {nothing} of them without annotations; {judging} for validation."
    )
    nothing = sum(row.part == "training" and row.annotated == "nothing" for row in rows)
    return text.format(n=len(rows) - judging, nothing=nothing, judging=judging)
