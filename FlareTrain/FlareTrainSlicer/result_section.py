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
from FlareSegmentLib.errors import FlareError
from FlareSegmentSlicer.shared.text_table import prepareTable
from FlareTrainLib import run_folder
from FlareTrainLib.model_install import installed_at, model_name

from .jobs import Job, Steps
from .section import Section
from .tables import fillSteps, number


class ResultSection(Section):
    """Shows what a run has come to."""

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self.worst: list[tuple[str, float]] = []
        self._shown: tuple = ()
        self._toUse = False
        ui = panel.ui
        ours, bundled = _("DSC"), _("bundled")
        prepareTable(
            ui.scoreTable, [_("Structure"), _("Cases"), ours, bundled, _("NSD"), _("bundled")]
        )
        prepareTable(ui.worstTable, [_("Case"), _("Mean DSC")])
        ui.worstTable.connect("cellClicked(int,int)", self.onWorstClicked)
        ui.installButton.connect("clicked(bool)", self.onInstall)
        ui.exportButton.connect("clicked(bool)", self.onExport)

    def refresh(self) -> None:
        """Show the scores of the chosen run, when there are others than are shown."""
        run = self.panel.run()
        state = (run, _hasModel(run), *(_changed(run, name) for name in ("latest", "bundled")))
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
        ui.resultNoteLabel.text = _resultText(run, bool(rows))
        self.work.put("table", Steps(self._fill(rows), self._onShown, self._onError))

    def _fill(self, rows: list[dict[str, Any]]) -> Generator[None, None, None]:
        names = {target.key: target.name for target in labels.targets()}
        keys = ("dsc", "bundled_dsc", "nsd", "bundled_nsd")
        texts = [
            (names[row["key"]], str(row["cases"]), *(number(row[key]) for key in keys))
            for row in rows
        ]
        yield from fillSteps(self.panel.ui.scoreTable, texts)
        worst = [(name, number(value)) for name, value in self.worst]
        yield from fillSteps(self.panel.ui.worstTable, worst)

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
        if 0 <= row < len(self.worst):
            label, run = self.panel.ui.resultNoteLabel, self.panel.run()
            self.panel.loadCase(self.worst[row][0], label, run=run)

    def onInstall(self, _checked: bool = False) -> None:
        """Let a process install the model, after asking when it replaces one."""
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
        self.panel.training.fillModels()
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
    return run is not None and (run / "bundle" / model_choice.DESCRIPTION).is_file()


def _changed(run: Path | None, name: str) -> int:
    """Give when an evaluation was written, 0 when it was not."""
    try:
        return (run / name / "evaluation.json").stat().st_mtime_ns if run else 0
    except OSError:
        return 0


def _resultText(run: Path | None, scored: bool) -> str:
    if not _hasModel(run):
        return _("This run has no model yet.") if run else ""
    if scored:
        return _("Scores of the newest weights; the best ones so far are installed.")
    return _("The model was not scored: the dataset has no validation cases.")
