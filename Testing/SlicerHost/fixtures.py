"""pytest fixtures: ``from SlicerHost.fixtures import slicer_host``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from SlicerHost.host import Host


@pytest.fixture
def slicer_host() -> Iterator[Host]:
    """Give the host with an empty scene; fail the test that leaves something behind.

    Left behind are: running processes, repeating timers, override cursors, nodes a closed scene
    keeps, exceptions in functions that a signal called, queued dialog answers nobody took.
    """
    pytest.importorskip("slicer", reason="slicer-core is not installed (test extra)")
    pytest.importorskip(
        "PySide6.QtWidgets",
        reason="PySide6-Essentials is not installed (test extra), or the system has no libEGL",
        exc_type=ImportError,
    )
    from SlicerHost import start

    host = start()
    yield host
    left = host.finish_test()
    assert not left, "\n".join(left)
