"""What ``slicer_add_python_unittest`` calls to run a module's own tests."""

from __future__ import annotations

import sys
import unittest
from collections.abc import Sequence


def exitSuccess() -> None:
    """Say that all is well."""


def exitFailure(message: str = "") -> None:
    """Say that something failed."""
    raise Exception(message)


def runUnitTest(path: str | Sequence[str], testname: str) -> None:
    """Run the tests of a Python module found on the given paths."""
    sys.path.extend([path] if isinstance(path, str) else path)
    suite = unittest.TestLoader().loadTestsFromName(testname)
    if not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful():
        exitFailure()
