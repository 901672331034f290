"""What all tests share: import paths, the folder of real scans, no window on the screen."""

from __future__ import annotations

import os
import sys
from pathlib import Path

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


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> None:
    """Tests use tiny volumes: more threads than cores make them slower, not faster."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(min(2, os.cpu_count() or 1))


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
