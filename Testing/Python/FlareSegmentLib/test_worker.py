"""The worker and its client: real processes, what goes through them, and how they fail."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from worker_driving import SCRIPT, Run, alive, drive, scan, wait_until

from FlareSegmentLib import __version__
from FlareSegmentLib.errors import (
    BundleError,
    InputError,
    NotCTError,
    WorkerError,
)
from FlareSegmentLib.volume import Volume
from FlareSegmentLib.worker_request import SegmentRequest
from FlareSegmentLib.worker_state import WorkerState

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at /proc")


def test_result_lies_on_the_grid_of_the_volume(client) -> None:
    volume = scan()
    result = client.run(SegmentRequest(volume, targets=("liver", "spleen")))
    assert result.array.dtype == np.uint8
    np.testing.assert_array_equal(result.array, volume.array > 0)
    np.testing.assert_array_equal(result.affine, volume.affine)
    assert result.targets == ("liver", "spleen")


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.uint16, ">i2"])
def test_voxel_types_pass_unchanged(client, dtype) -> None:
    array = (np.arange(60).reshape(3, 4, 5) % 7).astype(dtype)
    result = client.run(SegmentRequest(Volume(array, np.eye(4))))
    np.testing.assert_array_equal(result.array, array > 0)


def test_axes_in_another_memory_order_pass_unchanged(client) -> None:
    array = np.asfortranarray(scan().array)[::-1, :, ::-1]
    result = client.run(SegmentRequest(Volume(array, np.eye(4))))
    np.testing.assert_array_equal(result.array, array > 0)


def test_extent_bounds_what_is_not_background(client) -> None:
    array = np.full((6, 7, 8), -1000, np.int16)
    array[1:4, 2, 5:8] = 50
    result = client.run(SegmentRequest(Volume(array, np.eye(4))))
    assert result.report["extent"] == [[1, 4], [2, 3], [5, 8]]
    empty = client.run(SegmentRequest(Volume(np.full((3, 3, 3), -1.0), np.eye(4))))
    assert empty.report["extent"] is None


def test_second_run_uses_the_same_process(client) -> None:
    first = client.run(SegmentRequest(scan()))
    second = client.run(SegmentRequest(scan()))
    assert first.report["pid"] == second.report["pid"]


def test_arrays_are_deleted_after_a_run(client, make_client) -> None:
    result = client.run(SegmentRequest(scan()))
    assert list(make_client.exchange.glob("*/*.npy")) == []
    assert int(result.array.sum()) > 0  # what was given stays readable


def test_states_of_a_first_run(client) -> None:
    client.run(SegmentRequest(scan()))
    assert [state.value for state in client.states] == [
        "starting",
        "warming up",
        "ready",
        "running",
        "ready",
    ]


def test_warm_up_then_run(client) -> None:
    client.warm_up()
    drive(client, lambda: client.state is WorkerState.READY)
    assert client.facts["model"] == "scripted"
    assert client.facts["version"] == __version__
    client.run(SegmentRequest(scan()))


def test_failed_warm_up_leaves_a_usable_worker(client, tmp_path: Path) -> None:
    client.warm_up(model=tmp_path / "nothing here")
    drive(client, lambda: client.state is WorkerState.READY)
    assert any("No model in" in line for line in client.log)
    client.run(SegmentRequest(scan()))


def test_progress_arrives_in_order(client) -> None:
    steps: list[tuple[str, float]] = []
    client.run(SegmentRequest(scan()), lambda *step: steps.append(step))
    assert steps[0] == ("read", 0.5)
    assert steps[-1] == ("write", 1.0)


def test_library_output_does_not_break_the_protocol(client) -> None:
    result = client.run(SegmentRequest(scan("noisy")))
    assert result.array.any()
    drive(client, lambda: any("printed by Python" in line for line in client.log))
    drive(client, lambda: any("native code" in line for line in client.log))


def test_engine_error_keeps_its_class_and_sentence(client) -> None:
    with pytest.raises(NotCTError, match="values 0–255"):  # noqa: RUF001
        client.run(SegmentRequest(scan("not a CT")))
    client.run(SegmentRequest(scan()))  # and the worker is still there
    assert client.states.count(WorkerState.STARTING) == 1


def test_bug_in_the_engine_is_reported_with_its_traceback_in_the_log(client) -> None:
    with pytest.raises(WorkerError, match="ZeroDivisionError"):
        client.run(SegmentRequest(scan("bug")))
    drive(client, lambda: any("Traceback" in line for line in client.log))


def test_memory_error_says_what_to_do(client) -> None:
    with pytest.raises(WorkerError, match="crop the scan"):
        client.run(SegmentRequest(scan("no memory")))


def test_crash_shows_last_words_and_next_run_restarts(make_client, command) -> None:
    client = make_client(command)
    with pytest.raises(WorkerError, match="about to fault in Müller's folder"):
        client.run(SegmentRequest(scan("segmentation fault")))
    assert client.state is WorkerState.FAILED
    assert client.run(SegmentRequest(scan())).array.any()


def test_unexpected_exit_names_the_code(client) -> None:
    with pytest.raises(WorkerError, match="exit code 3"):
        client.run(SegmentRequest(scan("exit")))


def test_kill_by_the_system_is_explained_as_memory(make_client, command) -> None:
    client = make_client(command)
    run = Run(client, scan("slow"))
    drive(client, lambda: run.progress)
    pid = client.facts["pid"]
    os.kill(pid, signal.SIGKILL)
    drive(client, lambda: run.ended)
    assert isinstance(run.errors[0], WorkerError)
    assert "memory" in str(run.errors[0])
    assert client.state is WorkerState.FAILED
    assert wait_until(lambda: not alive(pid))
    assert client.run(SegmentRequest(scan())).array.any()


def test_killed_launcher_leaves_no_worker(make_client, tmp_path: Path) -> None:
    launcher = tmp_path / "launcher.sh"
    launcher.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
    launcher.chmod(0o755)
    client = make_client([str(launcher), SCRIPT])
    run = Run(client, scan("deaf"))
    drive(client, lambda: run.progress)
    pid, launcher_pid = client.facts["pid"], client._host.process._process.pid
    assert pid != launcher_pid
    os.kill(launcher_pid, signal.SIGKILL)
    drive(client, lambda: run.ended)
    assert wait_until(lambda: not alive(pid))


REAL = [sys.executable, "-m", "FlareSegmentLib.worker"]


def test_real_worker_gives_what_the_engine_gives(make_client, tiny_bundle, tiny_ct) -> None:
    """Through processes and files comes bit for bit what the engine computes here."""
    from FlareSegmentLib.bundle import ModelBundle
    from FlareSegmentLib.segmenter import Segmenter

    volume = Volume(tiny_ct, np.diag([-9.0, -9.0, 9.0, 1.0]), "scan")
    client = make_client(REAL)
    client.warm_up(tiny_bundle, "cpu")
    drive(client, lambda: client.state is WorkerState.READY, seconds=60)
    assert client.facts["model"] == "random 1"
    assert client.facts["device"] == "cpu"
    result = client.run(SegmentRequest(volume, None, tiny_bundle, "cpu"))
    expected = Segmenter(ModelBundle.load(tiny_bundle), "cpu").segment(volume)
    np.testing.assert_array_equal(result.array, expected.array)
    assert result.targets == expected.targets
    voxels = sum(row["voxels"] for row in result.report["statistics"])
    assert voxels == np.count_nonzero(expected.array)


def test_real_worker_refuses_with_the_engines_sentences(make_client, tiny_bundle, tmp_path) -> None:
    client = make_client(REAL)
    nothing = Volume(np.full((9, 9, 9), np.nan), np.eye(4), "hollow")
    with pytest.raises(InputError, match="hollow"):
        client.run(SegmentRequest(nothing, None, tiny_bundle, "cpu"))
    with pytest.raises(BundleError, match=r"model\.json"):
        client.run(SegmentRequest(nothing, None, tmp_path, "cpu"))
    assert client.state is WorkerState.READY
