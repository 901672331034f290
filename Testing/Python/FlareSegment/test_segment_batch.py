"""The Batch section of the panel, with the real engine on a model of random weights."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import SimpleITK as sitk

slicer = pytest.importorskip("slicer")


class Database:
    """What the module uses of ctkDICOMDatabase, over two patients on disk."""

    isOpen = True

    def __init__(self, patients: dict[str, dict]) -> None:
        self._patients = patients

    def patients(self):
        """Identifiers of the patients."""
        return tuple(self._patients)

    def nameForPatient(self, patient):
        """Name as DICOM writes it."""
        return self._patients[patient]["name"]

    def studiesForPatient(self, patient):
        """Study instance UIDs."""
        return (self._patients[patient]["study"],)

    def seriesForStudy(self, study):
        """Series instance UIDs."""
        return tuple(p["series"] for p in self._patients.values() if p["study"] == study)

    def filesForSeries(self, series):
        """Files."""
        folder = next(p["folder"] for p in self._patients.values() if p["series"] == series)
        return tuple(str(path) for path in sorted(folder.iterdir()))


@pytest.fixture
def panel(module, slicer_host, tiny_bundle, tmp_path):
    """The panel with model and output folder chosen."""
    module.python.FlareSegmentLogic.batchCommand = [
        sys.executable,
        "-m",
        "FlareSegmentLib.batch_worker",
    ]
    widget = module.enter()
    from FlareSegmentSlicer.shared import device

    node = widget._parameterNode
    node.modelFolder = str(tiny_bundle)
    node.device = device.Device.CPU
    node.batchOutput = tmp_path / "out"
    (tmp_path / "out").mkdir()
    yield widget
    module.python.FlareSegmentLogic.batchCommand = None


@pytest.fixture
def scans(tmp_path: Path, tiny_ct) -> Path:
    """Folder with two scans."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("a", "b"):
        image = sitk.GetImageFromArray(tiny_ct)
        image.SetSpacing((9.0, 9.0, 9.0))
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
    return folder


def table(panel) -> list[list[str]]:
    """The texts of the table."""
    ui = panel.ui.batchTable
    return [[ui.item(r, c).text() for c in range(3)] for r in range(ui.rowCount)]


def test_button_says_what_is_missing(panel, tmp_path) -> None:
    assert not panel.ui.batchButton.enabled
    assert panel.ui.batchButton.toolTip == "Choose the folder of the scans."
    panel._parameterNode.batchInput = tmp_path
    assert panel.ui.batchButton.enabled


def test_folder_is_segmented_from_the_panel(panel, slicer_host, scans) -> None:
    panel._parameterNode.batchInput = scans
    panel.ui.batchButton.click()
    assert panel.ui.batchButton.text == "Cancel"
    slicer_host.process_events(until=lambda: not panel.batch.client.running, timeout=180)
    assert [row[:2] for row in table(panel)] == [["a", "done"], ["b", "done"]]
    assert panel.ui.batchStatusLabel.text.startswith("2 of 2 done.")
    output = panel._parameterNode.batchOutput
    assert (output / "a_seg.seg.nrrd").is_file()
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None


def test_cancelled_batch_gives_the_button_back(panel, slicer_host, scans) -> None:
    panel._parameterNode.batchInput = scans
    panel.ui.batchButton.click()
    slicer_host.process_events(until=lambda: panel.batch.client.table.cases, timeout=120)
    panel.ui.batchButton.click()
    slicer_host.process_events(until=lambda: not panel.batch.client.running, timeout=30)
    assert panel.ui.batchButton.text == "Segment all"
    assert panel.ui.batchButton.enabled


def test_patients_of_the_database_are_segmented(
    panel, module, slicer_host, monkeypatch, tmp_path, tiny_ct, write_dicom
) -> None:
    patients = {}
    for number in (1, 2):
        study, series = f"1.2.{number}", f"1.2.{number}.3"
        folder = write_dicom(tmp_path / "db" / str(number), tiny_ct, study, series)
        patients[str(number)] = {
            "name": f"Doe^Jane {number}",
            "study": study,
            "series": series,
            "folder": folder,
        }
    monkeypatch.setattr(slicer, "dicomDatabase", Database(patients), raising=False)
    import qt

    from FlareSegmentSlicer.parameter_node import BatchSource

    panel._parameterNode.batchSource = BatchSource.DATABASE
    names = [panel.ui.batchPatientList.item(row).text() for row in range(2)]
    assert names == ["Doe Jane 1", "Doe Jane 2"]
    assert panel.ui.batchButton.toolTip == "Check at least one patient."
    panel.ui.batchPatientList.item(1).setCheckState(qt.Qt.Checked)
    panel.ui.batchButton.click()
    slicer_host.process_events(until=lambda: not panel.batch.client.running, timeout=180)
    assert [row[1] for row in table(panel)] == ["done"]


def test_error_of_a_batch_is_shown(panel, slicer_host, scans, tmp_path) -> None:
    panel._parameterNode.batchInput = scans
    panel._parameterNode.modelFolder = str(tmp_path)
    panel.ui.batchButton.click()
    slicer_host.process_events(until=lambda: not panel.batch.client.running, timeout=60)
    assert "model.json" in panel.ui.batchStatusLabel.text
