"""The benchmarks' own modules, which import each other by their bare names."""

from __future__ import annotations

import sys
from pathlib import Path

_FOLDER = str(Path(__file__).resolve().parents[2] / "Benchmarks")
if _FOLDER not in sys.path:
    sys.path.append(_FOLDER)
