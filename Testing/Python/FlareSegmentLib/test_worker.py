"""The worker and its client: real processes, really killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from FlareSegmentLib import __version__
from FlareSegmentLib.errors import (
    BundleError,
    Cancelled,
    InputError,
    NotCTError,
    OutputError,
    WorkerError,
)
from FlareSegmentLib.volume import Volume
from FlareSegmentLib.worker_client import WorkerClient
from FlareSegmentLib.worker_command import worker_environment
from FlareSegmentLib.worker_process import SubprocessProcess
from FlareSegmentLib.worker_request import SegmentRequest
from FlareSegmentLib.worker_state import WorkerSettings, WorkerState

SCRIPT = str(Path(__file__).with_name("scripted_worker.py"))

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at /proc")


def scan(name: str = "", dtype: type = np.int16) -> Volume:
    """A small volume whose voxels are their own index minus 50."""
    array = (np.arange(5 * 6 * 7).reshape(5, 6, 7) - 50).astype(dtype)
    return Volume(array, np.diag([0.8, 0.9, 2.5, 1.0]), name)


def alive(pid: int) -> bool:
    """Whether the process is there and not a zombie that only waits to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds: float = 15.0) -> bool:
    """Poll `condition` until it holds or the time is over; give whether it holds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


@pytest.fixture(params=["direct", "behind a launcher"])
def command(request, tmp_path: Path) -> list[str]:
    """Command lines of the worker: python itself, and a launcher whose child is python."""
    if request.param == "direct":
        return [sys.executable, SCRIPT]
    launcher = tmp_path / "Python Launcher.sh"
    launcher.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
    launcher.chmod(0o755)
    return [str(launcher), SCRIPT]


@pytest.fixture
def make_client(tmp_path: Path):
    """Make clients that are stopped at the end, with their exchange folder in a known place."""
    clients: list[WorkerClient] = []
    exchange = tmp_path / "größe temp"
    exchange.mkdir()

    def make(command: list[str], settings: WorkerSettings | None = None) -> WorkerClient:
        client = WorkerClient(SubprocessProcess(), command, settings or WorkerSettings(), exchange)
        client.states = []  # type: ignore[attr-defined]
        client.log = []  # type: ignore[attr-defined]
        client.on_state = client.states.append  # type: ignore[attr-defined]
        client.on_log = client.log.append  # type: ignore[attr-defined]
        clients.append(client)
        return client

    make.exchange = exchange  # type: ignore[attr-defined]
    yield make
    for client in clients:
        client.stop()
    assert list(exchange.iterdir()) == []


@pytest.fixture
def client(make_client) -> WorkerClient:
    """A client whose worker runs directly under this interpreter."""
    return make_client([sys.executable, SCRIPT])


def drive(client: WorkerClient, until, seconds: float = 15.0) -> None:
    """Tick and pump as an application does, until the condition holds."""

    def step() -> bool:
        client.tick()
        client._process.pump(0.01)
        return bool(until())

    assert wait_until(step, seconds), f"waited in vain in state {client.state}"


class Run:
    """A request begun on a client and what came back."""

    def __init__(self, client: WorkerClient, volume: Volume) -> None:
        self.progress: list[tuple[str, float]] = []
        self.results: list = []
        self.errors: list[Exception] = []
        client.segment(
            SegmentRequest(volume),
            lambda *step: self.progress.append(step),
            self.results.append,
            self.errors.append,
        )

    @property
    def ended(self) -> bool:
        """Whether the run came to its end, one way or the other."""
        return bool(self.results or self.errors)


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
    pid, launcher_pid = client.facts["pid"], client._process._process.pid
    assert pid != launcher_pid
    os.kill(launcher_pid, signal.SIGKILL)
    drive(client, lambda: run.ended)
    assert wait_until(lambda: not alive(pid))


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
    os.kill(pid, signal.SIGSTOP)  # cannot clean up
    owner.kill()
    owner.wait()
    os.kill(pid, signal.SIGKILL)
    assert list(exchange.glob("*/*.npy"))
    client = WorkerClient(SubprocessProcess(), [sys.executable, SCRIPT], exchange_parent=exchange)
    client.run(SegmentRequest(scan()))
    client.stop()
    assert list(exchange.iterdir()) == []


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
