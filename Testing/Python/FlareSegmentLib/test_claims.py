"""Claims are taken by real processes; one of them is really killed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from FlareSegmentLib.claims import claim

HOLD = (
    "import sys, time; from pathlib import Path; from FlareSegmentLib.claims import claim\n"
    "with claim(Path(sys.argv[1])) as holder:\n"
    "    print('held' if holder is None else 'refused', flush=True); sys.stdin.read()"
)


def hold_in_another_process(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_claim_is_ours_and_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "a.claim"
    with claim(path) as holder:
        assert holder is None
        assert path.exists()
    assert not path.exists()


def test_claim_is_gone_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.claim"
    with pytest.raises(KeyboardInterrupt), claim(path):
        raise KeyboardInterrupt
    assert not path.exists()


def test_claim_of_a_running_process_is_respected(tmp_path: Path) -> None:
    path = tmp_path / "a.claim"
    process = hold_in_another_process(path)
    with claim(path) as holder:
        assert holder is not None
        assert str(process.pid) in holder
    assert path.exists(), "the claim of the other process was removed"
    process.communicate("")
    assert not path.exists()


def test_claim_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "a.claim"
    process = hold_in_another_process(path)
    process.kill()
    process.communicate()
    assert path.exists()
    with claim(path) as holder:
        assert holder is None
    assert list(tmp_path.iterdir()) == []


def test_number_of_another_process_is_not_mistaken_for_the_owner(tmp_path: Path) -> None:
    """Process numbers come again: here ours is in a claim of a process that started earlier."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("the start time of processes is only known on Linux")
    path = tmp_path / "a.claim"
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "started": "1"}
    path.write_text(json.dumps(owner))
    with claim(path) as holder:
        assert holder is None


def test_claim_of_another_computer_is_respected(tmp_path: Path) -> None:
    path = tmp_path / "a.claim"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 2**22 + 1, "started": "1"}))
    with claim(path) as holder:
        assert holder is not None
        assert "elsewhere" in holder
    assert path.exists()


def test_empty_claim_is_respected_only_while_it_may_be_written(tmp_path: Path) -> None:
    path = tmp_path / "a.claim"
    path.touch()
    with claim(path) as holder:
        assert holder is not None
    long_ago = time.time() - 3600
    os.utime(path, (long_ago, long_ago))
    with claim(path) as holder:
        assert holder is None


def test_one_of_many_takes_an_abandoned_claim(tmp_path: Path) -> None:
    path = tmp_path / "a.claim"
    process = hold_in_another_process(path)
    process.kill()
    process.communicate()
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    answers = [taker.stdout.readline() for taker in takers if taker.stdout is not None]
    for taker in takers:
        taker.communicate("")
    assert sorted(answers) == ["held\n", "refused\n", "refused\n", "refused\n"]
