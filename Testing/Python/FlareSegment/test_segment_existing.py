"""The logic: what a run leaves alone, and what can be taken back."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from segment_actions import add_user_segment, mask_of, scene_state, segment_names

from FlareSegmentLib.errors import Cancelled, InputError, NotCTError, WorkerError

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")


# --- existing segmentations -----------------------------------------------------------------------


def test_other_segments_are_kept(logic, add_scan) -> None:
    volume = add_scan()
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
    segment_id = add_user_segment(segmentation)
    before = slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentation, segment_id).copy()
    assert logic.process(volume, segmentation) is segmentation
    assert segment_names(segmentation) == ["Mine", "Liver", "Spleen", "Tumor"]
    after = slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentation, segment_id)
    np.testing.assert_array_equal(after, before)


def test_users_own_liver_is_never_replaced(logic, add_scan) -> None:
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
    segment_id = add_user_segment(segmentation, "Liver")
    logic.process(add_scan(), segmentation)
    logic.process(add_scan(), segmentation)
    assert segment_names(segmentation).count("Liver") == 2
    assert segmentation.GetSegmentation().GetSegment(segment_id) is not None


def test_second_run_replaces_only_its_targets_and_can_be_undone(logic, add_scan) -> None:
    volume = add_scan()
    segmentation = logic.process(volume)
    array = slicer.util.arrayFromVolume(volume)
    old_spleen = mask_of(segmentation, "spleen", volume)
    array[array == 1003] = -900
    array[0:2, 0:2, 0:2] = 1003
    volume.Modified()
    assert logic.segmentsToReplace(segmentation, ["spleen"]) == ["Spleen"]
    logic.process(volume, segmentation, targets=["spleen"])
    assert sorted(segment_names(segmentation)) == ["Liver", "Spleen", "Tumor"]
    np.testing.assert_array_equal(mask_of(segmentation, "spleen", volume), array == 1003)
    assert logic.canUndo(segmentation)
    logic.undo(segmentation)
    np.testing.assert_array_equal(mask_of(segmentation, "spleen", volume), old_spleen)


def test_nothing_to_undo_is_a_sentence(logic, add_scan) -> None:
    segmentation = logic.process(add_scan())
    assert not logic.canUndo(segmentation)
    with pytest.raises(InputError, match="nothing to undo"):
        logic.undo(segmentation)


# --- nothing is touched ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "error"), [("not a CT", NotCTError), ("exit", WorkerError), ("bug", WorkerError)]
)
def test_failed_run_touches_nothing(logic, add_scan, name, error) -> None:
    volume = add_scan(name)
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
    add_user_segment(segmentation)
    before = scene_state()
    with pytest.raises(error):
        logic.process(volume, segmentation)
    assert scene_state() == before


@pytest.fixture
def slow_run(slicer_host, logic, add_scan) -> tuple:
    """A run under way: its volume, the errors it will tell, the scene as it was before."""
    volume = add_scan("slow")
    before = scene_state()
    progress: list[tuple] = []
    errors: list[Exception] = []
    logic.start(volume, onProgress=lambda *step: progress.append(step), onError=errors.append)
    slicer_host.process_events(until=lambda: progress, timeout=60)
    return volume, errors, before


def test_cancelled_run_touches_nothing(slicer_host, logic, slow_run) -> None:
    _volume, errors, before = slow_run
    logic.cancel()
    slicer_host.process_events(until=lambda: errors, timeout=10)
    assert isinstance(errors[0], Cancelled)
    assert scene_state() == before
    assert not logic.busy


def test_killed_worker_touches_nothing_and_next_run_works(slicer_host, logic, slow_run) -> None:
    volume, errors, before = slow_run
    os.kill(logic.client().facts["pid"], signal.SIGKILL)
    slicer_host.process_events(until=lambda: errors, timeout=20)
    assert "memory" in str(errors[0])
    assert scene_state() == before
    volume.SetName("scan")
    assert segment_names(logic.process(volume)) == ["Liver", "Spleen", "Tumor"]


def test_volume_removed_during_the_run_is_a_sentence(slicer_host, logic, add_scan) -> None:
    volume = add_scan()
    errors: list[Exception] = []
    logic.start(volume, onError=errors.append)
    slicer.mrmlScene.RemoveNode(volume)
    slicer_host.process_events(until=lambda: errors, timeout=60)
    assert "removed or changed" in str(errors[0])


def test_second_start_is_refused_while_one_runs(slicer_host, logic, add_scan) -> None:
    errors: list[Exception] = []
    logic.start(add_scan("slow"), onError=errors.append)
    with pytest.raises(WorkerError, match="is running"):
        logic.start(add_scan())
    with pytest.raises(WorkerError, match="is running"):
        logic.process(add_scan())
    logic.cancel()
    slicer_host.process_events(until=lambda: errors, timeout=20)


def test_start_tells_when_finished(slicer_host, logic, add_scan) -> None:
    finished: list[tuple] = []
    logic.start(add_scan(), onFinished=lambda *result: finished.append(result))
    slicer_host.process_events(until=lambda: finished, timeout=60)
    segmentation, rows = finished[0]
    assert segment_names(segmentation) == ["Liver", "Spleen", "Tumor"]
    assert {row["key"] for row in rows if row["voxels"]} == {"liver", "spleen", "tumor"}
