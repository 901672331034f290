"""The panel's section Result: scores beside the bundled model's, worst cases, export."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from FlareSegmentLib import labels, model_choice
from FlareSegmentLib.bundle_info import DESCRIPTION
from FlareSegmentLib.errors import FlareError
from FlareSegmentSlicer.shared.text_table import prepareTable
from FlareTrainLib import run_folder
from FlareTrainLib.model_install import installed_at, model_name
from FlareTrainLib.run_verdict import Verdict, verdict_of

from .jobs import Job
from .section import Section
from .steps import Steps
from .tables import FilledTable, describeColumns, number, prepareLongTable
from .verdict_text import doubtText, resultText, verdictText


class ResultSection(Section):
    """Shows what a run has come to."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self.worst: list[tuple[str, float]] = []
        self._shown: tuple = ()
        self._toUse = False
        self.verdict: Verdict | None = None
        ui = panel.ui
        dsc, nsd = _("Overlap, 0 to 1"), _("Share of the surface within 2 to 7 mm, 0 to 1")
        columns = (
            (_("Structure"), _("Structures that validation cases are annotated for")),
            (_("Cases"), _("Validation cases that say something about it")),
            (_("DSC"), dsc),
            (_("bundled DSC"), _("The same of the bundled model")),
            (_("NSD"), nsd),
            (_("bundled NSD"), _("The same of the bundled model")),
        )
        prepareTable(ui.scoreTable, [title for title, _tip in columns])
        describeColumns(ui.scoreTable, columns)
        worst = ((_("Case"), _("The worst first")), (_("Mean DSC"), dsc))
        prepareLongTable(ui.worstTable, worst)
        self._scores, self._worst = FilledTable(ui.scoreTable), FilledTable(ui.worstTable)
        ui.worstTable.connect("cellClicked(int,int)", self.onWorstClicked)
        ui.installButton.connect("clicked(bool)", self.onInstall)
        ui.exportButton.connect("clicked(bool)", self.onExport)

    def refresh(self) -> None:
        """Show the scores of the chosen run, when there are others than are shown."""
        run = self.panel.run()
        names = ("latest/evaluation.json", "bundled/evaluation.json", "bundle/score.json")
        state = (run, _hasModel(run), *(_changed(run, name) for name in names))
        if state == self._shown:
            return
        self._shown = state
        ui = self.panel.ui
        ui.modelNameLineEdit.placeholderText = model_name(run) if run else ""
        try:
            rows = run_folder.score_rows(run) if run else []
            scored = run is not None and bool(rows)
            self.worst = (
                run_folder.worst_cases(run / "latest" / "evaluation.json") if scored else []
            )
        except FlareError as error:  # being written at this moment
            self._shown = ()
            ui.resultNoteLabel.text = str(error)
            return
        self.verdict = verdict_of(run) if run else None
        ui.verdictLabel.text = verdictText(self.verdict) if self.verdict and scored else ""
        ui.verdictLabel.visible = bool(ui.verdictLabel.text)
        ui.resultNoteLabel.text = resultText(_hasModel(run), run, bool(rows), self.verdict)
        self.work.put("table", Steps(self._fill(rows), self._onShown, self._onError))

    def _fill(self, rows: list[dict[str, Any]]) -> Generator[None, None, None]:
        names = {target.key: target.name for target in labels.targets()}
        keys = ("dsc", "bundled_dsc", "nsd", "bundled_nsd")
        texts = [
            (names[row["key"]], str(row["cases"]), *(number(row[key]) for key in keys))
            for row in rows
        ]
        yield from self._scores.fillSteps(texts)
        worst = [(name, number(value)) for name, value in self.worst]
        yield from self._worst.fillSteps(worst)

    def _onShown(self, _nothing: object) -> None:
        self.updateButtons()

    def updateButtons(self) -> None:
        """Bring the buttons in line with what can be done."""
        ui = self.panel.ui
        ui.installButton.enabled = ui.exportButton.enabled = _hasModel(
            self.panel.run()
        ) and not self.work.running("copy")

    # --- what the user does ------------------------------------------------------------------

    def onWorstClicked(self, row: int, _column: int) -> None:
        """Load a validation case with its labels and what the model made of it."""
        name = self._worst.name(row)
        if name:
            label, run = self.panel.ui.resultNoteLabel, self.panel.run()
            self.panel.loadCase(name, label, run=run)

    def onInstall(self, _checked: bool = False) -> None:
        """Let a process install the model, after asking when it is worse or replaces one."""
        doubt = doubtText(self.verdict) if self.verdict else ""
        if doubt and not slicer.util.confirmOkCancelDisplay(
            _("{doubt}\n\nUse it in FlareSegment all the same?").format(doubt=doubt),
            windowTitle=_("Use this model?"),
        ):
            return
        self._toUse = True
        self._copy(model_choice.user_models_folder())

    def onExport(self, _checked: bool = False) -> None:
        """Ask for a folder and let a process copy the model into it."""
        place = qt.QFileDialog.getExistingDirectory(self.panel.parent, _("Folder for the model"))
        if place:
            self._toUse = False
            self._copy(Path(place))

    def _copy(self, place: Path) -> None:
        ui, run = self.panel.ui, self.panel.run()
        name = ui.modelNameLineEdit.text.strip()
        with slicer.util.tryWithErrorDisplay(_("The model was not copied.")):
            target = installed_at(run, place, name)
            if target.exists() and not slicer.util.confirmOkCancelDisplay(
                _(
                    "There is a model '{name}' in {folder} already. Replace it? To keep both, "
                    "click Cancel and give this one another name."
                ).format(name=target.name, folder=target.parent),
                windowTitle=_("Replace the model?"),
            ):
                return
            arguments = {
                "run": str(run.resolve()),
                "place": str(place.resolve()),
                "name": name,
                "description": ui.modelDescriptionLineEdit.text.strip(),
                "replace": target.exists(),
            }
            self.work.put("copy", Job("install", arguments, self._onCopied, self._onError))
        ui.resultNoteLabel.text = _("Copying the model...")
        self.updateButtons()

    def _onCopied(self, _folder: Path, target: str) -> None:
        text = _("The model is in {folder}.").format(folder=target)
        self.panel.ui.resultNoteLabel.text = text
        self.panel.training.choices.fillModels()
        self.panel.refinement.fillSources()
        self.panel.updateGUI()
        if self._toUse:
            useInFlareSegment(Path(target))
            slicer.util.selectModule("FlareSegment")

    def _onError(self, error: FlareError) -> None:
        self.panel.ui.resultNoteLabel.text = str(error)
        self.panel.showError(_("The model was not copied."), error)
        self.panel.updateGUI()


def useInFlareSegment(folder: Path) -> None:
    """Choose a model in FlareSegment."""
    segment = importlib.import_module("FlareSegment")
    segment.FlareSegmentLogic().getParameterNode().modelFolder = str(folder)


def _hasModel(run: Path | None) -> bool:
    return run is not None and (run / "bundle" / DESCRIPTION).is_file()


def _changed(run: Path | None, name: str) -> int:
    """Give when a file was written, 0 when it was not."""
    try:
        return (run / name).stat().st_mtime_ns if run else 0
    except OSError:
        return 0
