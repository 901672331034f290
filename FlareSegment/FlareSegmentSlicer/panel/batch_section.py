"""Many scans, one after the other, in a process of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from FlareSegmentLib import labels
from FlareSegmentLib.batch import BatchSettings
from FlareSegmentLib.batch_client import BatchClient
from FlareSegmentLib.errors import FlareError
from FlareSegmentLib.run_progress import duration_text

from ..dicom_database import databaseFolders, databasePatients
from ..parameter_node import BatchSource
from ..qt_process import QtProcess
from ..shared.check_list import addCheckItem, checkedKeys
from ..shared.chosen_path import isChosen
from ..shared.text_table import fillTable, prepareTable
from .choices import Choices


@dataclass(frozen=True)
class BatchListeners:
    """Whom the section asks and tells.

    Attributes
    ----------
    parameterNode
        Gives the parameter node, or None.
    choices
        Gives what is chosen above.
    prepare
        Called before a batch begins: installs what is missing, makes room.
    log
        Told lines for the log.
    """

    parameterNode: Callable[[], Any]
    choices: Callable[[], Choices]
    prepare: Callable[[], None]
    log: Callable[[str], None]


class BatchSection:
    """Chooses scans and a folder, starts the batch, shows its table.

    Parameters
    ----------
    ui
        The panel's widgets.
    command
        Command line of the batch's process.
    listeners
        Whom to ask and tell.
    """

    def __init__(self, ui: Any, command: Sequence[str], listeners: BatchListeners) -> None:
        self._ui = ui
        self._listeners = listeners
        self.client = BatchClient(QtProcess(), self.show, listeners.log, command)
        """The batch that runs, or ran last."""
        self._tick = qt.QTimer()
        self._tick.setInterval(500)
        self._tick.timeout.connect(self._onTick)
        prepareTable(ui.batchTable, [_("Case"), _("State"), _("Result")])
        ui.batchButton.connect("clicked(bool)", self.onBatchButton)
        ui.batchPatientList.connect("itemChanged(QListWidgetItem*)", self.showButton)

    def stop(self) -> None:
        """End the batch; for the end of the panel."""
        self._tick.stop()
        self.client.stop()
        self.client.wait(5)

    def _onTick(self) -> None:
        self.client.tick()
        if not self.client.running:
            self._tick.stop()

    # --- choices -----------------------------------------------------------------------------

    def _fillPatients(self) -> None:
        """List the patients of the DICOM database."""
        patients = self._ui.batchPatientList
        checked = checkedKeys(patients)
        patients.blockSignals(True)
        patients.clear()
        for uid, name in databasePatients():
            addCheckItem(patients, name, uid, checked=uid in checked)
        patients.blockSignals(False)

    def _reasonNotToRun(self) -> str:
        """What is missing, "" when nothing is."""
        node = self._listeners.parameterNode()
        if node.batchSource is BatchSource.FOLDER and not isChosen(node.batchInput):
            return _("Choose the folder of the scans.")
        if node.batchSource is BatchSource.DATABASE and not checkedKeys(self._ui.batchPatientList):
            return _("Check at least one patient.")
        if not isChosen(node.batchOutput):
            return _("Choose the folder for the results.")
        return self._listeners.choices().reasonWithoutTargets

    # --- run ---------------------------------------------------------------------------------

    def onBatchButton(self, _checked: bool = False) -> None:
        """Start the batch, or stop it after the case that runs."""
        if self.client.running:
            self.client.stop()
            return
        try:
            self._listeners.prepare()
            self._start()
        except (FlareError, RuntimeError, OSError) as error:
            self._ui.batchStatusLabel.text = str(error)
            slicer.util.errorDisplay(str(error), windowTitle=_("Batch failed"))

    def _start(self) -> None:
        node, choices = self._listeners.parameterNode(), self._listeners.choices()
        inputs: list[Path] = [node.batchInput]
        studies: list[str] | None = None
        if node.batchSource is BatchSource.DATABASE:
            inputs, studies = databaseFolders(checkedKeys(self._ui.batchPatientList))
        settings = BatchSettings(
            output=node.batchOutput,
            targets=None if len(choices.targets) == len(labels.targets()) else choices.targets,
            format="seg.nrrd",
            device=choices.device,
            model=choices.model,
            json=True,
        )
        self.client.start(inputs, studies, settings)
        self._tick.start()

    # --- display -----------------------------------------------------------------------------

    def show(self) -> None:
        """Show table, bar, status and button."""
        ui, client, table = self._ui, self.client, self.client.table
        ui.batchProgressBar.visible = client.running
        ui.batchProgressBar.value = round(table.progress.fraction * 100)
        ui.batchTable.visible = bool(table.cases)
        states = {
            "waiting": _("waiting"),
            "running": _("running"),
            "done": _("done"),
            "skipped": _("done before"),
            "claimed": _("elsewhere"),
            "failed": _("failed"),
            "stopped": _("not done"),
        }
        rows = [(case.name, states[case.state], case.message) for case in table.cases]
        fillTable(ui.batchTable, rows)
        ui.batchStatusLabel.text = self._statusText()
        ui.batchStatusLabel.visible = bool(ui.batchStatusLabel.text)
        self.showButton()

    def showButton(self, _item: Any = None) -> None:
        """Bring the button and the choice of scans in line with the parameter node."""
        node = self._listeners.parameterNode()
        if not node:
            return
        ui, running = self._ui, self.client.running
        fromFolder = node.batchSource is BatchSource.FOLDER
        if not fromFolder and ui.batchPatientList.count == 0:
            self._fillPatients()
        reason = self._reasonNotToRun()
        ui.batchButton.text = _("Cancel") if running else _("Segment all")
        ui.batchButton.enabled = not self.client.stopping if running else not reason
        ui.batchButton.toolTip = reason
        for widget in (ui.batchInputLabel, ui.batchInputPathLineEdit):
            widget.visible = fromFolder
        for widget in (ui.batchPatientsLabel, ui.batchPatientList):
            widget.visible = not fromFolder

    def _statusText(self) -> str:
        client, table = self.client, self.client.table
        if table.error:
            return table.error.split("\n\n")[0]
        if client.running and client.stopping:
            return _("Stopping...")
        done, failed = table.count("done", "skipped"), table.count("failed")
        counts = _("{done} of {all} done").format(done=done, all=len(table.cases))
        if failed:
            counts += _(", {n} failed").format(n=failed)
        if client.running:
            if not table.cases:
                return _("Looking for scans...")
            left = table.progress.seconds_left
            time = "" if left is None else _(", {time} left").format(time=duration_text(left))
            return counts + time
        if not table.cases:
            return ""
        node = self._listeners.parameterNode()
        where = _("Results and statistics.csv are in {folder}.").format(
            folder=node.batchOutput if node else ""
        )
        return f"{counts}. {where}"
