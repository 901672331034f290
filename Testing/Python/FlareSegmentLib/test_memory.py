"""Peak memory and the area under its curve."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from FlareSegmentLib.memory import MIB, MemoryCurve, MemorySampler

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's /proc")


def test_area_is_the_integral_over_the_real_times() -> None:
    curve = MemoryCurve([0.0, 0.1, 0.4, 0.5], [0, 10 * MIB, 10 * MIB, 20 * MIB])
    assert curve.area_mib_seconds == pytest.approx(0.5 + 3.0 + 1.5)
    assert curve.flare_area == pytest.approx(0.1 * 40)
    assert curve.peak == 20 * MIB


def test_an_empty_curve_has_neither_peak_nor_area() -> None:
    assert (MemoryCurve().peak, MemoryCurve().area_mib_seconds) == (0, 0)


@linux
def test_memory_that_is_used_is_seen() -> None:
    with MemorySampler() as sampler:
        before = sampler.resident.samples[0]
        block = np.ones(256 * MIB, dtype=np.uint8)
        time.sleep(0.25)
        del block
    assert sampler.peak - before > 200 * MIB
    assert len(sampler.resident.samples) >= 3
    assert sampler.resident.seconds == sorted(sampler.resident.seconds)
    assert sampler.resident.area_mib_seconds > 0


@linux
def test_memory_of_child_processes_counts() -> None:
    code = "import time; block = b'x' * (256 << 20); print('there', flush=True); time.sleep(60)"
    with MemorySampler() as sampler:
        before = sampler.resident.samples[0]
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        try:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(0.25)
        finally:
            child.kill()
            child.communicate()
    assert sampler.resident.peak - before > 200 * MIB


@linux
def test_a_peak_between_two_samples_of_a_watched_process_is_seen() -> None:
    # The block lives for a moment only; the process waits afterwards for the sampler to look.
    code = "input(); block = b'x' * (256 << 20); del block; print('gone', flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        with MemorySampler(child.pid) as sampler:
            child.stdin.write(b"\n")
            child.stdin.flush()
            child.stdout.readline()
    finally:
        child.kill()
        child.communicate()
    assert sampler.peak > 256 * MIB


@linux
def test_the_curve_of_a_watched_process_ends_with_it() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    with MemorySampler(child.pid) as sampler:
        child.wait()
        time.sleep(0.3)
    assert all(sampler.resident.samples)


def test_summary_is_plain_data_without_torch_being_imported() -> None:
    code = (
        "import json, sys\n"
        "from FlareSegmentLib.memory import MemorySampler\n"
        "with MemorySampler() as sampler:\n"
        "    pass\n"
        "assert 'torch' not in sys.modules\n"
        "print(json.dumps(sampler.summary()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert '"peak_bytes"' in done.stdout
    assert '"cuda_peak_bytes": 0' in done.stdout
