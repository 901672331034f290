"""The panel: what the user sees in each state, and what each button does."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from FlareSegmentLib import labels
from FlareSegmentLib.panel_state import PanelState
from FlareSegmentLib.worker_state import WorkerState

slicer = pytest.importorskip("slicer")

# Qt's number; the module qt is there only while the host runs.
UNCHECKED = 0


@pytest.fixture
def panel(module, slicer_host):
    """The module's widget, entered in a main window."""
    widget = module.enter()
    slicer_host.process_events()
    return widget


@pytest.fixture
def click(slicer_host):
    """Click a button from within the event loop, where Slicer's dialogs are at home."""
    import qt

    def click_button(button) -> None:
        clicked: list[bool] = []

        def press() -> None:
            button.click()
            clicked.append(True)

        qt.QTimer.singleShot(0, press)
        slicer_host.process_events(until=lambda: clicked, timeout=20)

    return click_button


@pytest.fixture
def run(panel, slicer_host, click):
    """Click Segment and wait for the end of the run."""

    def click_and_wait() -> None:
        click(panel.ui.applyButton)
        slicer_host.process_events(until=lambda: not panel.logic.busy, timeout=60)

    return click_and_wait


def choose(panel, volume) -> None:
    """Choose a volume in the selector, as the user does."""
    panel.ui.inputSelector.setCurrentNode(volume)


# --- states --------------------------------------------------------------------------------------


def test_nothing_chosen(panel) -> None:
    assert panel.state is PanelState.NOTHING_CHOSEN
    assert panel.ui.applyButton.text == "Segment"
    assert not panel.ui.applyButton.enabled
    assert panel.ui.statusLabel.text == "Choose a CT volume."
    assert panel.ui.applyButton.toolTip == "Choose a CT volume."


def test_ready(panel, slicer_host, add_scan) -> None:
    choose(panel, add_scan())
    slicer_host.process_events(
        until=lambda: panel.logic.workerState is WorkerState.READY, timeout=60
    )
    assert panel.state is PanelState.READY
    assert panel.ui.applyButton.enabled
    assert panel.ui.statusLabel.text == "Ready."
    assert not panel.ui.progressBar.visible


def test_warming_up_while_the_user_chooses(panel, add_scan) -> None:
    choose(panel, add_scan())
    assert panel.state is PanelState.WARMING_UP
    assert panel.ui.applyButton.enabled
    assert "being loaded" in panel.ui.statusLabel.text


def test_running(panel, slicer_host, add_scan) -> None:
    choose(panel, add_scan("slow"))
    panel.ui.applyButton.click()
    slicer_host.process_events(until=lambda: panel.ui.progressBar.value > 200, timeout=60)
    assert panel.state is PanelState.RUNNING
    assert panel.ui.applyButton.text == "Cancel"
    assert panel.ui.applyButton.enabled
    assert panel.ui.progressBar.visible
    assert panel.ui.statusLabel.text.startswith("Segmenting")
    assert not panel.ui.inputsCollapsibleButton.enabled
    panel.ui.applyButton.click()
    slicer_host.process_events(until=lambda: not panel.logic.busy, timeout=10)


def test_cancelling_and_cancelled(panel, slicer_host, add_scan) -> None:
    choose(panel, add_scan("slow"))
    panel.ui.applyButton.click()
    slicer_host.process_events(until=lambda: panel.ui.progressBar.value > 200, timeout=60)
    panel.ui.applyButton.click()
    assert panel.state is PanelState.CANCELLING
    assert not panel.ui.applyButton.enabled
    assert panel.ui.statusLabel.text == "Cancelling..."
    slicer_host.process_events(until=lambda: not panel.logic.busy, timeout=10)
    assert panel.state in (PanelState.READY, PanelState.WARMING_UP)
    assert panel.ui.applyButton.text == "Segment"
    assert panel.ui.applyButton.enabled
    assert not panel.ui.progressBar.visible
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None


def test_worker_deaf_to_cancel_gives_the_panel_back(panel, slicer_host, add_scan) -> None:
    choose(panel, add_scan("deaf"))
    panel.ui.applyButton.click()
    slicer_host.process_events(until=lambda: panel.ui.progressBar.value > 200, timeout=60)
    panel.ui.applyButton.click()
    slicer_host.process_events(until=lambda: not panel.logic.busy, timeout=10)
    assert panel.ui.applyButton.text == "Segment"
    # A new worker is warmed up at once: the next run is as fast as ever.
    assert panel.logic.workerState in (WorkerState.STARTING, WorkerState.WARMING_UP)


def test_done(panel, run, add_scan) -> None:
    choose(panel, add_scan())
    run()
    assert panel.state is PanelState.DONE
    assert panel.ui.statusLabel.text.startswith("Done: 3 structures in scan FLARE.")
    assert "Not found: right kidney, pancreas" in panel.ui.statusLabel.text
    assert panel._parameterNode.outputSegmentation.GetName() == "scan FLARE"
    assert panel.ui.show3DButton.segmentationNode() is panel._parameterNode.outputSegmentation
    assert panel.ui.saveTableButton.enabled
    assert panel.ui.resultTable.rowCount == len(labels.targets())


def test_failed(panel, run, add_scan, slicer_host) -> None:
    choose(panel, add_scan("not a CT"))
    run()
    assert panel.state is PanelState.FAILED
    assert "A CT is needed" in panel.ui.statusLabel.text
    assert panel.ui.applyButton.enabled
    assert panel.ui.applyButton.text == "Segment"
    assert "A CT is needed" in panel.ui.logText.plainText


def test_crash_is_shown_and_next_run_works(panel, run, add_scan, slicer_host) -> None:
    volume = add_scan("segmentation fault")
    choose(panel, volume)
    run()
    assert panel.state is PanelState.FAILED
    assert "crashed" in panel.ui.statusLabel.text
    assert "about to fault" in panel.ui.logText.plainText
    volume.SetName("scan")
    run()
    assert panel.state is PanelState.DONE


def test_killed_worker_is_explained(panel, slicer_host, add_scan) -> None:
    choose(panel, add_scan("slow"))
    panel.ui.applyButton.click()
    slicer_host.process_events(until=lambda: panel.ui.progressBar.value > 200, timeout=60)
    os.kill(panel.logic.client().facts["pid"], signal.SIGKILL)
    slicer_host.process_events(until=lambda: not panel.logic.busy, timeout=20)
    assert panel.state is PanelState.FAILED
    assert "memory" in panel.ui.statusLabel.text


def test_no_structure_checked(panel, add_scan) -> None:
    choose(panel, add_scan())
    panel.ui.noTargetsButton.click()
    assert panel.state is PanelState.NOTHING_CHOSEN
    assert panel.ui.statusLabel.text == "Check at least one structure."


def test_a_new_choice_ends_the_display_of_the_last_run(panel, run, add_scan) -> None:
    choose(panel, add_scan())
    run()
    panel.ui.organsButton.click()
    assert panel.state is PanelState.READY


# --- installation --------------------------------------------------------------------------------


class NoTorch:
    """An installer that never installs, as one without a network."""

    calls = 0

    def installTorch(self, **options):
        """Fail as pip does."""
        NoTorch.calls += 1
        raise RuntimeError("Could not connect to the package index.")


@pytest.fixture
def installation(module):
    """The part that looks for what is needed and installs it."""
    from FlareSegmentSlicer.shared import installation

    return installation


@pytest.fixture
def without_torch(monkeypatch, installation):
    """A Slicer in which torch is not installed and cannot be."""
    import types

    monkeypatch.setattr(installation, "torchIsInstalled", lambda: False)
    extension = types.ModuleType("PyTorchUtils")
    extension.PyTorchUtilsLogic = NoTorch
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    NoTorch.calls = 0
    return extension


def test_failed_installation_says_what_to_do_and_can_be_retried(
    without_torch, panel, add_scan, slicer_host
) -> None:
    choose(panel, add_scan())
    for attempt in (1, 2):
        panel.ui.applyButton.click()
        assert panel.state is PanelState.FAILED
        assert "Could not connect" in panel.ui.statusLabel.text
        assert "By hand" in panel.ui.logText.plainText
        assert panel.ui.applyButton.enabled
        assert NoTorch.calls == attempt


def test_panel_shows_installing(without_torch, panel, add_scan) -> None:
    seen: list[tuple] = []

    def look(self, **options):
        seen.append((panel.state, panel.ui.applyButton.enabled, panel.ui.statusLabel.text))

    without_torch.PyTorchUtilsLogic = type("Declined", (), {"installTorch": look})
    choose(panel, add_scan())
    panel.ui.applyButton.click()
    assert seen == [(PanelState.INSTALLING, False, "Installing what is needed...")]
    assert "PyTorch was not installed" in panel.ui.statusLabel.text


def test_missing_pytorch_extension_is_named(monkeypatch, installation, panel, add_scan) -> None:
    monkeypatch.setattr(installation, "torchIsInstalled", lambda: False)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    choose(panel, add_scan())
    panel.ui.applyButton.click()
    assert "Install the extension PyTorch" in panel.ui.statusLabel.text


@pytest.mark.parametrize("version", ["5.10", "5.12"])
def test_the_rest_is_installed_within_what_slicer_bundles(
    version, monkeypatch, without_torch, installation, slicer_host, tmp_path
) -> None:
    """Slicer 5.10 has no `slicer.packaging`; later ones have it, and do not import it."""
    import slicer

    calls: list[tuple[list[str], str]] = []

    def pipInstall(words, constraints=None, **_options):
        texts = [str(word) for word in words]
        place = constraints or texts[texts.index("-c") + 1]
        calls.append((texts, Path(place).read_text()))

    monkeypatch.setattr(installation, "torchIsInstalled", lambda: True)
    without_torch.PyTorchUtilsLogic = type("There", (), {"installTorch": lambda _, **kw: True})
    if version == "5.10":
        monkeypatch.setitem(sys.modules, "slicer.packaging", None)
        monkeypatch.setattr(slicer.util, "pip_install", pipInstall)
    else:
        packaging = importlib.import_module("slicer.packaging")
        monkeypatch.setattr(packaging, "pip_install", pipInstall)
        slicer_host.testing_enabled = False
        slicer_host.answer_next_dialog("OK")
    monkeypatch.delattr(slicer, "packaging", raising=False)
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("no-such-package-at-all\n", encoding="utf-8")
    installation.install(requirements)
    ((words, constraints),) = calls
    assert words[:2] == (["-r", str(requirements)] if version == "5.10" else words[:1])
    assert version == "5.10" or words == ["no-such-package-at-all"]
    assert f"numpy=={np.__version__}\n" in constraints


def test_installation_never_replaces_what_slicer_bundles(installation, python) -> None:
    """The constraints given to pip pin numpy, scipy and SimpleITK to what is there."""
    with installation.bundledVersions() as path:
        text = Path(path).read_text()
    assert f"numpy=={np.__version__}\n" in text
    assert "SimpleITK==" in text
    requirements = Path(python.__file__).with_name("Resources") / "requirements.txt"
    lines = [line for line in requirements.read_text().splitlines() if not line.startswith("#")]
    assert not any(line.lower().startswith(("numpy", "simpleitk", "torch")) for line in lines)


def test_torch_is_never_imported_into_slicer(panel, run, add_scan) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]; from SlicerHost import start; h = start();"
        "h.load_module(__import__('pathlib').Path(sys.argv[2]) / 'FlareSegment.py').enter();"
        "print('torch' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[3]
    ended = subprocess.run(
        [sys.executable, "-c", code, str(root / "Testing"), str(root / "FlareSegment")],
        capture_output=True,
        text=True,
    )
    assert ended.stdout.strip().endswith("False"), ended.stderr


# --- choices -------------------------------------------------------------------------------------


def test_first_volume_is_preselected(module, slicer_host, add_scan) -> None:
    volume = add_scan()
    widget = module.enter()
    assert widget.ui.inputSelector.currentNode() is volume


def test_checked_structures_are_what_is_looked_for(panel, run, add_scan) -> None:
    choose(panel, add_scan())
    import qt

    panel.ui.noTargetsButton.click()
    panel.targets.item("spleen").setCheckState(qt.Qt.Checked)
    assert list(panel.choices().targets) == ["spleen"]
    assert panel.ui.targetCountLabel.text == "1 of 14"
    run()
    segmentation = panel._parameterNode.outputSegmentation
    assert segmentation.GetSegmentation().GetNumberOfSegments() == 1


def test_organs_button_leaves_out_tumor(panel) -> None:
    panel.ui.organsButton.click()
    assert list(panel.choices().targets) == [t.key for t in labels.targets() if t.key != "tumor"]
    assert panel.targets.item("tumor").checkState() == UNCHECKED
    panel.ui.allTargetsButton.click()
    assert len(list(panel.choices().targets)) == 14


def test_choices_are_saved_with_the_scene(panel, add_scan, tmp_path: Path) -> None:
    choose(panel, add_scan())
    panel.ui.organsButton.click()
    panel.ui.deviceComboBox.setCurrentText("CPU")
    path = tmp_path / "scene.mrml"
    volume = panel._parameterNode.inputVolume
    slicer.util.saveNode(volume, str(tmp_path / "scan.nrrd"))
    slicer.util.saveScene(str(path))
    slicer.mrmlScene.Clear(0)
    assert len(list(panel.choices().targets)) == 14
    slicer.util.loadScene(str(path))
    panel.initializeParameterNode()
    assert "tumor" not in list(panel.choices().targets)
    assert panel.ui.deviceComboBox.currentText == "CPU"
    assert panel.ui.inputSelector.currentNode().GetName() == "scan"


def test_models_are_listed_with_the_bundled_one_first(panel, tmp_path: Path) -> None:
    combo = panel.ui.modelComboBox
    texts = [combo.itemText(row) for row in range(combo.count)]
    assert texts[0] == "flare-base (bundled)"
    assert texts[-1] == "Other folder..."
    panel._parameterNode.modelFolder = str(tmp_path)
    panel.models.show(str(tmp_path))
    assert panel.ui.modelComboBox.currentData == str(tmp_path)


def test_long_story_of_a_model_is_cut_and_whole_in_the_tool_tip(panel, tmp_path: Path) -> None:
    data = [f"data set {number}" for number in range(60)]
    info = {"name": "many", "version": "3", "facts": {"license": "L", "training_data": data}}
    (tmp_path / "model.json").write_text(json.dumps(info))
    panel.models.show(str(tmp_path))
    label = panel.ui.modelInfoLabel
    assert label.text.startswith("Version 3. License: L. Trained on: data set 0,")
    assert len(label.text) <= 240
    assert label.toolTip.endswith("data set 59.")


def test_model_of_the_user_is_chosen_by_its_folder(panel, tmp_path, slicer_host) -> None:
    (tmp_path / "model.json").write_text('{"name": "My model"}')
    slicer_host.answer_next_dialog(str(tmp_path))
    panel.models.onActivated(panel.ui.modelComboBox.count - 1)
    assert panel._parameterNode.modelFolder == str(tmp_path)
    assert panel.ui.modelComboBox.currentText == "My model"


def test_folder_without_model_is_refused_with_a_sentence(panel, tmp_path, slicer_host) -> None:
    slicer_host.testing_enabled = False
    try:
        slicer_host.answer_next_dialog(str(tmp_path))
        slicer_host.answer_next_dialog("OK")
        panel.models.onActivated(panel.ui.modelComboBox.count - 1)
        assert "holds no model" in slicer_host.dialogs_shown[-1]
        assert panel._parameterNode.modelFolder == ""
    finally:
        slicer_host.testing_enabled = True


def test_new_box_is_laid_around_the_volume_and_limits_the_run(panel, run, add_scan) -> None:
    """As the user does it: create the ROI in the selector, make it smaller, run."""
    volume = add_scan()
    choose(panel, volume)
    panel.ui.roiSelector.addNode()
    roi = panel._parameterNode.roi
    bounds, of_volume = [0.0] * 6, [0.0] * 6
    roi.GetRASBounds(bounds)
    volume.GetRASBounds(of_volume)
    np.testing.assert_allclose(bounds, of_volume, atol=1e-6)
    run()
    everything = panel._parameterNode.outputSegmentation
    assert everything.GetSegmentation().GetNumberOfSegments() == 3
    panel._parameterNode.outputSegmentation = None
    size = roi.GetSize()
    center = roi.GetCenter()
    # The lower half along R: the volume's first axis runs from right to left.
    roi.SetSize(size[0] / 2, size[1], size[2])
    roi.SetCenter(center[0] + size[0] / 4, center[1], center[2])
    run()
    half = panel._parameterNode.outputSegmentation
    names = [half.GetSegmentation().GetNthSegment(n).GetName() for n in range(2)]
    assert half.GetSegmentation().GetNumberOfSegments() == 2
    assert names == ["Liver", "Tumor"]
    assert panel.ui.statusLabel.text.endswith(f"Only the box {roi.GetName()} was looked at.")


def test_replacing_within_a_box_says_what_becomes_of_the_rest(
    panel, run, click, add_scan, slicer_host
) -> None:
    slicer_host.testing_enabled = False
    try:
        choose(panel, add_scan())
        run()
        panel.ui.roiSelector.addNode()
        slicer_host.answer_next_dialog("Cancel")
        click(panel.ui.applyButton)
        assert "empty outside of the box" in slicer_host.dialogs_shown[-1]
    finally:
        slicer_host.testing_enabled = True


# --- output --------------------------------------------------------------------------------------


def test_replacing_asks_and_no_means_no(panel, run, click, add_scan, slicer_host) -> None:
    slicer_host.testing_enabled = False
    try:
        choose(panel, add_scan())
        run()
        segmentation = panel._parameterNode.outputSegmentation
        before = segmentation.GetSegmentation().GetMTime()
        slicer_host.answer_next_dialog("Cancel")
        click(panel.ui.applyButton)
        assert not panel.logic.busy
        assert "already has: Liver, Spleen, Tumor" in slicer_host.dialogs_shown[-1]
        assert segmentation.GetSegmentation().GetMTime() == before
        slicer_host.answer_next_dialog("OK")
        run()
        assert panel.state is PanelState.DONE
        assert panel.ui.undoButton.enabled
        panel.ui.undoButton.click()
        assert panel.ui.statusLabel.text == "The replaced segments are back."
    finally:
        slicer_host.testing_enabled = True


def test_another_volume_gets_a_new_segmentation(panel, run, add_scan) -> None:
    choose(panel, add_scan())
    run()
    choose(panel, add_scan("other"))
    assert panel._parameterNode.outputSegmentation is None


def test_error_is_shown_in_a_dialog(panel, run, add_scan, slicer_host) -> None:
    slicer_host.testing_enabled = False
    try:
        choose(panel, add_scan("not a CT"))
        slicer_host.answer_next_dialog("OK")
        run()
        assert "A CT is needed" in slicer_host.dialogs_shown[-1]
    finally:
        slicer_host.testing_enabled = True


def test_table_can_be_saved_as_csv(panel, run, add_scan, tmp_path: Path) -> None:
    choose(panel, add_scan())
    run()
    path = tmp_path / "Größen.csv"
    panel.results.saveTable(path)
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == "Structure,Volume (ml),Mean HU,SD HU,Voxels"
    assert lines[3].startswith("Spleen,0.0504,1003.0,0.0,36")
    assert lines[2] == "Right kidney,0.0,,,0"


def test_update_measures_an_edited_segment(panel, run, add_scan) -> None:
    volume = add_scan()
    choose(panel, volume)
    run()
    segmentation = panel._parameterNode.outputSegmentation
    edited = np.zeros(slicer.util.arrayFromVolume(volume).shape, np.uint8)
    edited[0, 0, 0:2] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(edited, segmentation, "spleen", volume)
    panel.ui.updateTableButton.click()
    table = panel.ui.resultTable
    rows = {table.item(r, 0).text(): table.item(r, 4).text() for r in range(table.rowCount)}
    assert rows["Spleen"] == "2"


def test_all_frames_is_offered_for_a_sequence_only(panel, add_scan) -> None:
    choose(panel, add_scan())
    assert not panel.ui.allFramesCheckBox.visible
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "4D")
    for number in range(2):
        frame = add_scan("frame")
        sequence.SetDataNodeAtValue(frame, str(number))
        slicer.mrmlScene.RemoveNode(frame)
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateAllProxyNodes()
    choose(panel, browser.GetProxyNode(sequence))
    assert panel.ui.allFramesCheckBox.visible


# --- the scene and the end -----------------------------------------------------------------------


def test_closing_the_scene_cancels_and_starts_anew(panel, slicer_host, add_scan) -> None:
    choose(panel, add_scan("slow"))
    panel.ui.applyButton.click()
    slicer_host.process_events(until=lambda: panel.ui.progressBar.value > 200, timeout=60)
    slicer.mrmlScene.Clear(0)
    slicer_host.process_events(until=lambda: not panel.logic.busy, timeout=10)
    assert panel.state is PanelState.NOTHING_CHOSEN
    assert panel.ui.inputSelector.currentNode() is None


def test_closing_the_module_leaves_no_process(panel, slicer_host, add_scan) -> None:
    choose(panel, add_scan("slow"))
    panel.ui.applyButton.click()
    slicer_host.process_events(until=lambda: panel.ui.progressBar.value > 200, timeout=60)
    pid = panel.logic.client().facts["pid"]
    panel.cleanup()
    assert panel.logic.workerState is WorkerState.STOPPED
    slicer_host.process_events(until=lambda: not Path(f"/proc/{pid}").exists(), timeout=10)


RELOAD = """
import json, sys
from pathlib import Path
root = Path(sys.argv[1])
sys.path[:0] = [str(root / "Testing"), str(root / "FlareSegment")]
from SlicerHost import start
host = start()
module = host.load_module(root / "FlareSegment/FlareSegment.py")
import numpy as np, slicer
module.python.FlareSegmentLogic.workerCommand = json.loads(sys.argv[2])
old = module.enter()
host.process_events(until=lambda: "pid" in old.logic.client().facts, timeout=60)
process = Path("/proc", str(old.logic.client().facts["pid"]))
names = ("FlareSegment", "FlareSegmentSlicer.job", "FlareSegmentSlicer.panel.run_section",
         "FlareSegmentLib.panel_state")
before = {name: sys.modules[name] for name in names}
old.onReload()
print("read again:", all(sys.modules[name] is not before[name] for name in names))
host.process_events(until=lambda: not process.exists(), timeout=20)
new = slicer.modules.FlareSegmentWidget
print("new panel:", new is not old, type(new).__module__, new.logic is not old.logic)
logic_class = sys.modules["FlareSegment"].FlareSegmentLogic
logic_class.workerCommand = json.loads(sys.argv[2])
new.enter()
volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
slicer.util.updateVolumeFromArray(volume, np.full((9, 9, 9), 1001, np.int16))
new.ui.inputSelector.setCurrentNode(volume)
new.ui.applyButton.click()
host.process_events(until=lambda: not new.logic.busy, timeout=60)
print("state:", new.state.value)
logic_class.stopWorker()
print("left:", host.finish_test())
"""


def test_reload_reads_all_files_again(python, repository: Path) -> None:
    """For developers. In a process of its own: other tests hold what is imported now."""
    command = json.dumps(python.FlareSegmentLogic.workerCommand)
    ended = subprocess.run(
        [sys.executable, "-c", RELOAD, str(repository), command], capture_output=True, text=True
    )
    assert ended.stdout.splitlines() == [
        "read again: True",
        "new panel: True FlareSegment True",
        "state: done",
        "left: []",
    ], ended.stderr
