"""The panel: what the user sees in each state."""

from __future__ import annotations

import os
import signal

import pytest
from segment_actions import choose

from FlareSegmentLib import labels
from FlareSegmentLib.panel_state import PanelState
from FlareSegmentLib.worker_state import WorkerState

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")


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
