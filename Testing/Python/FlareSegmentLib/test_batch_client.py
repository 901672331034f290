"""A batch as a process of its own: followed, stopped, gone on with."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from FlareSegmentLib.batch import BatchSettings
from FlareSegmentLib.batch_client import BatchClient
from FlareSegmentLib.batch_worker import request_for, settings_from
from FlareSegmentLib.worker_process import SubprocessProcess


@pytest.fixture
def scans(tmp_path: Path, tiny_ct: np.ndarray) -> Path:
    """Folder with three scans; the one in the middle is no CT."""
    folder = tmp_path / "scans größe"
    folder.mkdir()
    for name, array in (("a", tiny_ct), ("b", np.zeros_like(tiny_ct)), ("c", tiny_ct)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((9.0, 9.0, 9.0))
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
    return folder


@pytest.fixture
def client() -> BatchClient:
    """A client that notes each change of its table."""
    seen: list[list[str]] = []

    def note() -> None:
        seen.append([case.state for case in client.table.cases])

    client = BatchClient(SubprocessProcess(), note)
    client.seen = seen  # type: ignore[attr-defined]
    return client


@pytest.fixture
def settings(tiny_bundle: Path, tmp_path: Path) -> BatchSettings:
    """A batch with a network of random weights."""
    return BatchSettings(tmp_path / "out", format="seg.nrrd", device="cpu", model=tiny_bundle)


def wait(client: BatchClient, until: Callable[[], bool], seconds: float = 60) -> None:
    """Follow the batch until the condition holds."""
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, client.table
        client._process.pump(0.05)
        client.tick()


def test_settings_pass_the_pipe_unchanged(settings: BatchSettings) -> None:
    assert settings_from(request_for([], None, settings)) == settings
    all_set = BatchSettings(
        Path("o"), ("liver",), "nrrd", "cpu", Path("m"), "2", 1, json=True, overwrite=True
    )
    assert settings_from(request_for([], None, all_set)) == all_set


def test_each_case_is_followed_to_its_end(client, scans, settings) -> None:
    client.start([scans], None, settings)
    client.wait(120)
    cases = {case.name: case for case in client.table.cases}
    assert {name: case.state for name, case in cases.items()} == {
        "a": "done",
        "b": "failed",
        "c": "done",
    }
    assert "every voxel has the value 0" in cases["b"].message
    assert cases["a"].seconds > 0
    assert ["running", "waiting", "waiting"] in client.seen
    assert client.table.error == ""
    assert client.table.progress.fraction == pytest.approx(1.0)
    assert (settings.output / "a_seg.seg.nrrd").is_file()
    assert (settings.output / "statistics.csv").is_file()


def test_stopped_batch_is_gone_on_with(client, scans, settings) -> None:
    # So many that a busy computer cannot finish them before it is told to stop.
    for n in range(100):
        shutil.copy(scans / "a.nii.gz", scans / f"d{n:02}.nii.gz")
    client.start([scans], None, settings)
    wait(client, lambda: client.table.count("done") >= 1)
    client.stop()
    client.wait(20)
    assert not client.running
    assert client.table.error == ""
    left = client.table.count("stopped")
    assert left >= 1
    client.start([scans], None, settings)
    client.wait(900)  # a hundred cases, on a busy computer
    assert client.table.count("skipped") >= 1
    assert client.table.count("done", "skipped") == 102


def test_killed_batch_is_told_and_finished_cases_stay(client, scans, settings) -> None:
    client.start([scans], None, settings)
    wait(client, lambda: client.table.count("done") >= 1)
    client._process.kill()
    client.wait(20)
    assert "ended unexpectedly" in client.table.error
    assert (settings.output / "a_seg.seg.nrrd").is_file()


def test_folder_without_model_is_a_sentence(client, scans, settings, tmp_path: Path) -> None:
    client.start([scans], None, BatchSettings(tmp_path / "out", model=tmp_path))
    client.wait(60)
    assert "model.json" in client.table.error


def test_studies_limit_a_dicom_folder(client, settings, tmp_path, tiny_ct, write_dicom) -> None:
    root = tmp_path / "database"
    write_dicom(root / "1", tiny_ct, "1.2.3", "1.2.3.4")
    write_dicom(root / "2", tiny_ct, "9.8.7", "9.8.7.6")
    client.start([root / "1", root / "2"], ["9.8.7"], settings)
    client.wait(120)
    assert [case.state for case in client.table.cases] == ["done"]


def test_program_that_ends_at_once_is_told() -> None:
    client = BatchClient(
        SubprocessProcess(), lambda: None, command=[sys.executable, "-c", "raise SystemExit(7)"]
    )
    client.start([], None, BatchSettings(Path("out")))
    client.wait(20)
    assert "code 7" in client.table.error
