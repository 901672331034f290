"""The host and its toy module."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from SlicerHost.fixtures import slicer_host  # noqa: F401


@pytest.fixture
def toy(slicer_host):  # noqa: F811
    """Load a module in the shape of Slicer's template."""
    return slicer_host.load_module(Path(__file__).parent / "ToyModule" / "ToyModule.py")
