"""Labeling many scans: resumed, of one model only, and on a cluster whose workers die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from FlareSegmentLib.bundle import ModelBundle
from FlareSegmentLib.errors import InputError
from FlareSegmentLib.reading import read_label_map, read_volume
from FlareSegmentLib.segmenter import Segmenter
from FlareTrainLib import cluster
from FlareTrainLib.cli import main
from FlareTrainLib.pseudo_labels import Labeled, LabelJob, label_scans, scans_of


def test_labels_are_those_of_the_segmenter(
    raw_dataset: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    paths = label_scans(tiny_bundle, scans_of(raw_dataset), tmp_path / "source", "cpu")
    assert sorted(paths) == ["case_0", "case_1", "case_2", "case_3"]
    array, affine = read_label_map(paths["case_1"])
    volume = read_volume(raw_dataset / "imagesTr" / "case_1_0000.nii.gz")
    expected = Segmenter(ModelBundle.load(tiny_bundle), "cpu").segment(volume)
    assert np.array_equal(array, expected.array)
    assert np.allclose(affine, volume.affine)


def test_only_missing_cases_are_labeled(
    raw_dataset: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    scans, output = scans_of(raw_dataset), tmp_path / "source"
    paths = label_scans(tiny_bundle, scans, output, "cpu")
    paths["case_2"].unlink()
    done: list[str] = []

    def runner(jobs: list[LabelJob]) -> list[Labeled]:
        done.extend(job.name for job in jobs)
        return []

    label_scans(tiny_bundle, scans, output, "cpu", runner)
    assert done == ["case_2"]


def test_a_folder_of_another_model_is_refused(
    raw_dataset: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    output = tmp_path / "source"
    output.mkdir()
    (output / "source.json").write_text('{"model": "other 1", "sha256": "0"}')
    with pytest.raises(InputError, match="of the model other 1, not of random 1"):
        label_scans(tiny_bundle, scans_of(raw_dataset), output, "cpu")


def test_label_maps_of_somebody_else_are_not_taken_for_ours(
    raw_dataset: Path, tiny_bundle: Path
) -> None:
    with pytest.raises(InputError, match="were not made by this program"):
        label_scans(tiny_bundle, scans_of(raw_dataset), raw_dataset / "pseudo" / "a", "cpu")


def test_a_bad_scan_is_named_after_the_others_are_done(
    raw_dataset: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (raw_dataset / "imagesTr" / "case_0_0000.nii.gz").write_bytes(b"no scan")
    words = ["pseudo", str(raw_dataset), "--model", str(tiny_bundle), "-o", str(tmp_path / "out")]
    assert main([*words, "--device", "cpu"]) == 1
    assert "case_0 could not be labeled" in capsys.readouterr().err
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 3


def test_cluster_needs_dask_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match="pip install distributed"):
        cluster.cluster_runner(workers=2)


def test_a_scheduler_that_does_not_answer(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed")
    run = cluster.cluster_runner("tcp://127.0.0.1:9")
    with pytest.raises(InputError, match="No Dask scheduler answers at tcp://127"):
        run([LabelJob("x", tmp_path, tmp_path, tmp_path / "x.nii.gz")])


@pytest.fixture
def dask_cluster() -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers, each a process of its own."""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    port = str(18786 + os.getpid() % 1000)
    address = f"tcp://127.0.0.1:{port}"

    def start(module: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{module}", *words, "--no-dashboard"]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL)

    scheduler = start("dask_scheduler", "--host", "127.0.0.1", "--port", port)
    workers = [start("dask_worker", address, "--no-nanny", "--nthreads", "1") for _ in range(2)]
    try:
        with distributed.Client(address, timeout="120s") as client:
            client.wait_for_workers(2, timeout=240)
        yield address, workers
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


def test_cases_of_a_killed_worker_are_done_by_the_other(
    raw_dataset: Path,
    tiny_bundle: Path,
    tmp_path: Path,
    dask_cluster: tuple[str, list[subprocess.Popen[bytes]]],
) -> None:
    import threading

    address, workers = dask_cluster
    output = tmp_path / "source"
    # A stopped worker holds the cases it was given; killing it loses them.
    os.kill(workers[0].pid, signal.SIGSTOP)

    def kill_later() -> None:
        while not list(output.glob("*.nii.gz")):
            time.sleep(0.1)
        workers[0].kill()

    killer = threading.Thread(target=kill_later)
    killer.start()
    paths = label_scans(
        tiny_bundle, scans_of(raw_dataset), output, "cpu", cluster.cluster_runner(address)
    )
    killer.join()
    assert workers[0].wait(10) == -signal.SIGKILL
    expected = label_scans(tiny_bundle, scans_of(raw_dataset), tmp_path / "alone", "cpu")
    for name, path in paths.items():
        assert np.array_equal(read_label_map(path)[0], read_label_map(expected[name])[0])
