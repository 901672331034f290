"""A training as a process, and as two that share a batch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from training_parts import command, state_of, tiny

from FlareTrainLib import training_log
from FlareTrainLib.cli import INTERRUPTED


def test_sigterm_saves_and_leaves(packed_patients: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = command(run, packed_patients, tiny(steps=100000, save_every=1e6))
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True) as process:
        log = run / "log.jsonl"
        alarm = threading.Timer(900, process.kill)
        alarm.start()
        while process.poll() is None and not (log.exists() and log.stat().st_size):
            threading.Event().wait(0.05)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate()
        alarm.cancel()
    assert process.returncode == INTERRUPTED
    step = state_of(run)["step"]
    assert step > 0
    assert said.strip() == f"step {step}"


def test_two_processes_train_as_one_does(
    whole: Path, packed_patients: Path, tmp_path: Path
) -> None:
    """Same global batch, gloo: every loss term is formed from sums over both processes."""
    run = tmp_path / "run"
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *torchrun, *command(run, packed_patients, tiny())],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    shared, alone = state_of(run), state_of(whole)
    for key, value in alone["network"].items():
        torch.testing.assert_close(shared["network"][key], value, atol=2e-5, rtol=1e-3)
    terms = [
        [
            (e["step"], e["cross_entropy"], e["dice"])
            for e in training_log.read(folder)
            if "loss" in e
        ]
        for folder in (run, whole)
    ]
    assert len(terms[0]) == 6
    for ours, theirs in zip(*terms, strict=True):
        assert ours == pytest.approx(theirs, abs=2e-4)
