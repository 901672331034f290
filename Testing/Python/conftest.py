"""What all tests share: import paths, the folder of real scans, no window on the screen."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]

# Tests run in the source tree, as Slicer does when a developer adds the module paths by hand.
for _folder in (ROOT / "FlareTrain", ROOT / "FlareSegment"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(ROOT / "FlareSegment"), str(ROOT / "FlareTrain")]
    + [path for path in [os.environ.get("PYTHONPATH")] if path]
)
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that tests start


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> None:
    """Tests use tiny volumes: threads cost more than they give, most of all on a busy machine."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the source tree."""
    return ROOT


def _shared(name: str) -> Path:
    folder = ROOT.parent / "shared" / name
    if not folder.is_dir():
        pytest.skip(f"real data is not here: no folder ../shared/{name} beside the repository")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real scans and labels; the test is skipped where it is absent."""
    return _shared("data")


@pytest.fixture(scope="session")
def shared_teachers() -> Path:
    """Folder of other people's trained networks; the test is skipped where it is absent."""
    return _shared("teachers")


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model bundle with random weights: the whole engine runs on it in a fraction of a second."""
    import torch

    from FlareSegmentLib.bundle import IntensityStatistics, ModelInfo, NetworkEntry, save_bundle
    from FlareSegmentLib.labels import targets
    from FlareSegmentLib.network import build_network

    arguments = {"channels": 15, "widths": [4, 8], "stem_stride": [1, 1, 1], "convolutions": 1}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        weights = build_network("SubvoxelUNet", arguments).state_dict()
    entry = NetworkEntry(
        name="SubvoxelUNet",
        arguments=arguments,
        weights="weights.pt",
        sha256="",
        spacing=(6.0, 6.0, 6.0),
        patch=(32, 32, 32),
        intensity=IntensityStatistics(-200.0, 300.0, 50.0, 100.0),
    )
    keys = tuple(target.key for target in targets())
    info = ModelInfo("random", "1", keys, "softmax", entry, facts={"license": "none, random"})
    folder = tmp_path_factory.mktemp("models") / "random"
    save_bundle(folder, info, weights)
    return folder


@pytest.fixture(scope="session")
def tiny_ct() -> np.ndarray:
    """A body of soft tissue with bone and a table in air: (k, j, i) int16 HU, 24 x 32 x 40."""
    k, j, i = np.meshgrid(*(np.linspace(-1, 1, n) for n in (24, 32, 40)), indexing="ij")
    hu = np.full(k.shape, -1000.0)
    hu[(j / 0.75) ** 2 + (i / 0.85) ** 2 < 1] = -80
    hu[(j / 0.65) ** 2 + (i / 0.75) ** 2 < 1] = 40
    hu[(j / 0.4) ** 2 + ((i + 0.3) / 0.4) ** 2 + (k / 0.8) ** 2 < 1] = 110
    hu[((j - 0.45) / 0.15) ** 2 + (i / 0.12) ** 2 < 1] = 500
    noise = np.random.default_rng(0).normal(0, 10, hu.shape)
    return np.clip(hu + noise, -1024, 3071).astype(np.int16)


@pytest.fixture(scope="session")
def write_dicom() -> Callable[..., Path]:
    """Function that writes an axial CT series: ``(folder, array, study UID, series UID)``."""
    import SimpleITK as sitk

    def write(folder: Path, array: np.ndarray, study: str, series: str) -> Path:
        """One axial CT series of 8 mm slices."""
        folder.mkdir(parents=True, exist_ok=True)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        for number, values in enumerate(array):
            image = sitk.GetImageFromArray(values)
            image.SetSpacing((8.0, 8.0))
            tags = {
                "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
                "0008|0018": f"{series}.{number + 1}",
                "0008|0060": "CT",
                "0020|000d": study,
                "0020|000e": series,
                "0020|0011": series.rsplit(".", 1)[-1],
                "0020|0013": str(number + 1),
                "0020|0032": f"0\\0\\{8 * number}",
                "0020|0037": "1\\0\\0\\0\\1\\0",
                "0028|1052": "0",
                "0028|1053": "1",
            }
            for tag, value in tags.items():
                image.SetMetaData(tag, value)
            writer.SetFileName(str(folder / f"{series}.{number + 1}.dcm"))
            writer.Execute(image)
        return folder

    return write
