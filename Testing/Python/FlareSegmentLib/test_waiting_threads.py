"""Threads of every program of ours sleep while they wait, unless the user wants otherwise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from FlareSegmentLib.waiting_threads import WAIT_POLICY, let_threads_sleep
from FlareSegmentLib.worker_command import worker_environment

SHOWN = f"{WAIT_POLICY} = 'PASSIVE'"
"""What the OpenMP runtime says of itself when it is loaded, with OMP_DISPLAY_ENV."""


def test_a_wish_of_the_user_stands() -> None:
    environment = {WAIT_POLICY: "ACTIVE"}
    let_threads_sleep(environment)
    assert environment == {WAIT_POLICY: "ACTIVE"}
    assert worker_environment({WAIT_POLICY: "ACTIVE"})[WAIT_POLICY] == "ACTIVE"


def test_workers_are_started_with_sleeping_threads() -> None:
    assert worker_environment({})[WAIT_POLICY] == "PASSIVE"


@pytest.mark.skipif(sys.platform != "linux", reason="the runtime of PyTorch on Linux says so")
def test_the_command_line_sets_it_before_pytorch_is_loaded(
    tiny_bundle: Path, scans: Path, tmp_path: Path
) -> None:
    environment = worker_environment()
    del environment[WAIT_POLICY]
    environment["OMP_DISPLAY_ENV"] = "TRUE"
    command = [sys.executable, "-m", "FlareSegmentLib", str(scans), "-o", str(tmp_path / "out")]
    done = subprocess.run(
        [*command, "--model", str(tiny_bundle)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert SHOWN in done.stderr
