"""The host of the tests as a stage for pictures: a home folder of its own, and a camera."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def stage() -> Iterator[tuple[Any, Path]]:
    """Give the host, and the home folder; afterwards the worker ends and nothing is left."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    for path in (ROOT / "Testing", ROOT / "FlareSegment", ROOT / "FlareTrain"):
        sys.path.insert(0, str(path))
    with tempfile.TemporaryDirectory() as text:
        # Installed models and settings of the real home are neither shown nor changed.
        os.environ["HOME"] = text
        from SlicerHost import start

        host = start()
        segment = host.load_module(ROOT / "FlareSegment/FlareSegment.py")
        try:
            yield host, Path(text)
        finally:
            os.chdir(ROOT)
            segment.python.FlareSegmentLogic.stopWorker()
            host.finish_test()


def save_picture(host: Any, module: Any, path: Path, size: tuple[int, int]) -> Path:
    """Save the panel of a module as it is now; the file.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    widget = module.panel()
    widget.resize(*size)
    host.process_events()
    if not widget.grab().save(str(path)):
        raise OSError(f"{path} could not be written.")
    return path


def shown_path(path: Path) -> Path:
    """Give the path as it is printed: below the project where it is there."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
