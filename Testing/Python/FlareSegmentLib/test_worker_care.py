"""Workers that hang, idle, are cancelled or orphaned: real processes, really killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from worker_driving import SCRIPT, Run, alive, drive, scan, wait_until

from FlareSegmentLib.errors import (
    Cancelled,
    OutputError,
    WorkerError,
)
from FlareSegmentLib.worker_client import WorkerClient
from FlareSegmentLib.worker_command import worker_environment
from FlareSegmentLib.worker_process import SubprocessProcess
from FlareSegmentLib.worker_request import SegmentRequest
from FlareSegmentLib.worker_state import WorkerSettings, WorkerState

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at /proc")


def test_cancel_is_confirmed_and_the_worker_stays(client) -> None:
    run = Run(client, scan("slow"))
    drive(client, lambda: run.progress)
    pid = client.facts["pid"]
    client.cancel()
    assert client.state is WorkerState.CANCELLING
    drive(client, lambda: run.ended)
    assert isinstance(run.errors[0], Cancelled)
    assert client.state is WorkerState.READY
    assert client.run(SegmentRequest(scan())).report["pid"] == pid


def test_worker_deaf_to_cancel_is_ended(make_client, command) -> None:
    client = make_client(command, WorkerSettings(cancel=0.2))
    run = Run(client, scan("deaf"))
    drive(client, lambda: run.progress)
    pid = client.facts["pid"]
    client.cancel()
    drive(client, lambda: run.ended, seconds=5)
    assert isinstance(run.errors[0], Cancelled)
    assert client.state is WorkerState.STOPPED
    assert wait_until(lambda: not alive(pid))


def test_cancel_before_the_worker_is_up(client) -> None:
    run = Run(client, scan("slow"))
    client.cancel()
    assert isinstance(run.errors[0], Cancelled)
    assert not client.busy


def test_hung_worker_is_ended_with_a_sentence(make_client, command) -> None:
    client = make_client(command, WorkerSettings(heartbeat=0.5))
    run = Run(client, scan("slow"))
    drive(client, lambda: run.progress)
    pid = client.facts["pid"]
    os.kill(pid, signal.SIGSTOP)
    drive(client, lambda: run.ended)
    assert "no sign of life" in str(run.errors[0])
    assert client.state is WorkerState.FAILED
    assert wait_until(lambda: not alive(pid))


def test_stalled_worker_is_ended_although_its_heart_beats(make_client) -> None:
    client = make_client([sys.executable, SCRIPT], WorkerSettings(progress=0.0, heartbeat=30))
    run = Run(client, scan("deaf"))
    drive(client, lambda: run.ended)
    assert "no progress" in str(run.errors[0])


def test_worker_of_another_version_is_refused(make_client) -> None:
    client = make_client([sys.executable, SCRIPT, "--version", "0.0.9"])
    with pytest.raises(WorkerError, match=r"version 0\.0\.9.*two versions"):
        client.run(SegmentRequest(scan()))
    assert client.state is WorkerState.FAILED


def test_program_that_is_no_worker_is_refused(make_client) -> None:
    client = make_client(["/bin/sh", "-c", "echo Hello; echo world >&2"])
    with pytest.raises(WorkerError, match="world"):
        client.run(SegmentRequest(scan()))


def test_silent_program_is_ended(make_client) -> None:
    client = make_client(["/bin/sh", "-c", "sleep 60"], WorkerSettings(hello=0.3))
    with pytest.raises(WorkerError, match="did not start"):
        client.run(SegmentRequest(scan()))


def test_missing_interpreter_is_named(make_client) -> None:
    client = make_client(["/no/such/python"])
    with pytest.raises(WorkerError, match="/no/such/python"):
        client.run(SegmentRequest(scan()))
    assert client.state is WorkerState.FAILED


def test_second_request_is_refused_while_one_runs(client) -> None:
    run = Run(client, scan("slow"))
    with pytest.raises(WorkerError, match="Wait for its end"):
        Run(client, scan())
    client.cancel()
    drive(client, lambda: run.ended)


def test_stop_in_the_middle_tells_the_run_and_leaves_nothing(make_client, command) -> None:
    client = make_client(command)
    run = Run(client, scan("deaf"))
    drive(client, lambda: run.progress)
    pid = client.facts["pid"]
    client.stop()
    assert isinstance(run.errors[0], Cancelled)
    assert wait_until(lambda: not alive(pid))
    assert client.state is WorkerState.STOPPED


def test_idle_worker_gives_its_memory_back(make_client) -> None:
    client = make_client([sys.executable, SCRIPT], WorkerSettings(idle=0.1))
    client.run(SegmentRequest(scan()))
    pid = client.facts["pid"]
    drive(client, lambda: client.state is WorkerState.STOPPED)
    assert wait_until(lambda: not alive(pid))


def test_failing_progress_callback_leaves_no_run_behind(client) -> None:
    def fail(stage: str, fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.run(SegmentRequest(scan("slow")), fail)
    assert not client.busy
    client.run(SegmentRequest(scan()))


def test_temporary_folder_that_cannot_be_used_is_named() -> None:
    client = WorkerClient(
        SubprocessProcess(), [sys.executable, SCRIPT], exchange_parent=Path("/no/such/folder")
    )
    with pytest.raises(OutputError, match="temporary folder"):
        client.run(SegmentRequest(scan()))


FULL_DISK = """
import resource, sys
import numpy as np
from pathlib import Path
from FlareSegmentLib.errors import OutputError
from FlareSegmentLib.volume import Volume
from FlareSegmentLib.worker_client import WorkerClient
from FlareSegmentLib.worker_request import SegmentRequest
from FlareSegmentLib.worker_process import SubprocessProcess

client = WorkerClient(SubprocessProcess(), sys.argv[2:], exchange_parent=Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    client.run(SegmentRequest(Volume(np.zeros((64, 128, 128), np.int16), np.eye(4))))
except OutputError as error:
    print(error)
client.stop()
"""


def test_no_room_for_the_scan_is_a_sentence_not_a_crash(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path), sys.executable, SCRIPT],
        capture_output=True,
        env=worker_environment(),
        text=True,
    )
    assert "needs 2 MB in the temporary folder" in ended.stdout, ended.stderr
    assert list(tmp_path.iterdir()) == []


OWNER = """
import sys
from pathlib import Path
import numpy as np
from FlareSegmentLib.volume import Volume
from FlareSegmentLib.worker_client import WorkerClient
from FlareSegmentLib.worker_request import SegmentRequest
from FlareSegmentLib.worker_process import SubprocessProcess

client = WorkerClient(SubprocessProcess(), sys.argv[2:], exchange_parent=Path(sys.argv[1]))
volume = Volume(np.zeros((4, 4, 4), np.int16), np.eye(4), "deaf")
client.run(
    SegmentRequest(volume), lambda stage, fraction: print(client.facts["pid"], flush=True)
)
"""


def start_owner(exchange: Path, command: list[str]) -> tuple[subprocess.Popen[bytes], int]:
    """Start a process that owns a client with a busy worker; give both process ids."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(exchange), *command],
        stdout=subprocess.PIPE,
        env=worker_environment(),
    )
    assert owner.stdout is not None
    return owner, int(owner.stdout.readline())


def test_killed_owner_takes_worker_and_files_along(tmp_path: Path, command) -> None:
    exchange = tmp_path / "exchange"
    exchange.mkdir()
    owner, pid = start_owner(exchange, command)
    assert list(exchange.glob("*/*.npy"))
    owner.kill()
    owner.wait()
    assert wait_until(lambda: not alive(pid), seconds=3)
    assert list(exchange.iterdir()) == []


def test_files_of_a_killed_pair_are_removed_by_the_next_start(tmp_path: Path) -> None:
    exchange = tmp_path / "exchange"
    exchange.mkdir()
    owner, pid = start_owner(exchange, [sys.executable, SCRIPT])
    # A stopped owner cannot clean up. A stopped worker may: its owner's end can continue it.
    os.kill(owner.pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    owner.kill()
    owner.wait()
    assert list(exchange.glob("*/*.npy"))
    client = WorkerClient(SubprocessProcess(), [sys.executable, SCRIPT], exchange_parent=exchange)
    client.run(SegmentRequest(scan()))
    client.stop()
    assert list(exchange.iterdir()) == []
