"""The real engine, and batches with it, on a model with random weights."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from FlareSegmentLib.batch import Batch, BatchSettings, CaseResult, run_batch
from FlareSegmentLib.bundle import ModelBundle
from FlareSegmentLib.cases import find_cases
from FlareSegmentLib.geometry import AxisOrder
from FlareSegmentLib.segmenter import InferenceSettings, Segmenter
from FlareSegmentLib.volume import Volume
from FlareSegmentLib.worker_client import WorkerClient
from FlareSegmentLib.worker_process import SubprocessProcess
from FlareSegmentLib.worker_state import WorkerSettings

sys.path.insert(0, str(Path(__file__).parent))  # what tests share

Segment = Callable[..., list[CaseResult]]

WORKER = str(Path(__file__).with_name("scripted_worker.py"))


@pytest.fixture
def scans(tmp_path: Path, tiny_ct: np.ndarray) -> Path:
    """Folder with the scans one and two."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name, array in (("one", tiny_ct), ("two", tiny_ct[:, ::-1])):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((9.0, 9.0, 9.0))
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
    return folder


@pytest.fixture
def segment(tiny_bundle: Path, scans: Path, tmp_path: Path) -> Segment:
    """Run a batch over the scans, or over the paths given, into the folder out."""

    def run(*inputs: Path, **settings: object) -> list[CaseResult]:
        output = tmp_path / "out"
        wanted = BatchSettings(output=output, model=tiny_bundle, device="cpu")
        wanted = type(wanted)(**{**wanted.__dict__, **settings})
        batch = Batch(find_cases(inputs or [scans], output), wanted)
        return run_batch(batch, lambda *_: None, lambda *_: None, lambda *_: None)

    return run


@pytest.fixture(scope="module")
def segmenter(tiny_bundle: Path) -> Segmenter:
    """Without clean-up, which has its own tests: random weights give specks."""
    settings = InferenceSettings(cleanup=None, precision="float32")
    return Segmenter(ModelBundle.load(tiny_bundle), "cpu", settings)


@pytest.fixture(scope="module")
def body(tiny_ct: np.ndarray) -> Volume:
    """The tiny CT with axes to the left, posterior and superior."""
    affine = np.diag([-5.0, -6.5, 7.0, 1.0])
    affine[:3, 3] = [90.0, 70.0, -400.0]
    return Volume(tiny_ct, affine, "body")


@pytest.fixture(scope="session")
def stored_as() -> Callable[[Volume, AxisOrder], Volume]:
    """Function that gives the same anatomy at the same place, stored in another axis order."""

    def give(volume: Volume, order: AxisOrder) -> Volume:
        affine = np.eye(4)
        affine[:3, 3] = volume.affine[:3, 3]
        for axis, (stored, flip) in enumerate(zip(order.permutation, order.flips, strict=True)):
            step = volume.affine[:3, 2 - axis]
            affine[:3, 2 - stored] = -step if flip else step
            if flip:
                affine[:3, 3] += step * (volume.array.shape[axis] - 1)
        return Volume(order.undo(volume.array), affine, volume.name)

    return give


@pytest.fixture(params=["direct", "behind a launcher"])
def command(request, tmp_path: Path) -> list[str]:
    """Command lines of the worker: python itself, and a launcher whose child is python."""
    if request.param == "direct":
        return [sys.executable, WORKER]
    launcher = tmp_path / "Python Launcher.sh"
    launcher.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
    launcher.chmod(0o755)
    return [str(launcher), WORKER]


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
    return make_client([sys.executable, WORKER])
