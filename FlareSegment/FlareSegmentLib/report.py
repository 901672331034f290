"""What is told about a finished case: report, statistics of all cases, one line for people."""

from __future__ import annotations

import csv
import io
import json
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from . import __version__
from .volume import LabelMap, Volume
from .writing import replaced_file

FORMAT_VERSION = 1
"""Raised when a key of the report changes its meaning."""

STATISTICS_COLUMNS = ("case", "target", "volume_ml", "mean_hu", "sd_hu", "voxels", "model")

_DIGITS = 4
"""Digits after the point in tables: more than a scan can tell, fewer than float noise."""


@dataclass(frozen=True)
class CaseFacts:
    """What the batch measured around the engine's run.

    Attributes
    ----------
    source
        File or folder the scan was read from.
    read_seconds, write_seconds, total_seconds
        Times of this case; the total holds everything, also loading the model before it.
    memory
        `MemorySampler.summary`.
    """

    source: Path
    read_seconds: float
    write_seconds: float
    total_seconds: float
    memory: dict[str, Any]


def case_report(
    volume: Volume, label_map: LabelMap, statistics: Sequence[dict[str, Any]], facts: CaseFacts
) -> dict[str, Any]:
    """Give the JSON-able report of one case.

    Parameters
    ----------
    volume, label_map
        The scan and its segmentation.
    statistics
        Of `organ_statistics`: ml, mean and standard deviation of HU per target.
    facts
        What was measured around the engine's run.
    """
    engine = {
        key: value for key, value in label_map.report.items() if key not in ("size", "spacing_mm")
    }
    stages = {k: v for k, v in engine.pop("seconds", {}).items() if k != "total"}
    seconds = {
        "read": facts.read_seconds,
        **stages,
        "write": facts.write_seconds,
        "total": facts.total_seconds,
    }
    notes = [*volume.notes, *engine.pop("notes", [])]
    return {
        "format_version": FORMAT_VERSION,
        "case": volume.name,
        "input": {
            "path": str(facts.source),
            "size": list(volume.array.shape[::-1]),
            "spacing_mm": [round(step, 6) for step in volume.spacing[::-1]],
        },
        "targets": list(statistics),
        "notes": list(dict.fromkeys(notes)),
        "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
        "memory": facts.memory,
        **engine,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Versions of this program, Python and the packages that compute."""
    found = {"FlareSegment": __version__, "python": platform.python_version()}
    for package in ("torch", "numpy", "scipy", "SimpleITK"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON that appears whole or not at all.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with replaced_file(path) as file:
        # Names of files may hold bytes that are no UTF-8; they must not stop the report.
        file.write(text.encode("utf-8", errors="backslashreplace"))


def statistics_csv(reports: Iterable[dict[str, Any]]) -> str:
    """Give one line per case and target; what an absent target cannot have is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(STATISTICS_COLUMNS)
    for report in reports:
        for row in report["targets"]:
            about = {"case": report["case"], "target": row["key"], "model": report.get("model")}
            values = {**about, **row}
            writer.writerow([_cell(values[column]) for column in STATISTICS_COLUMNS])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return round(value, _DIGITS) if isinstance(value, float) else value


def found_text(report: dict[str, Any]) -> str:
    """Say in a few words what was found, e.g. ``13 of 14 targets (not found: tumor)``."""
    rows = report["targets"]
    missing = [row["name"].lower() for row in rows if not row["voxels"]]
    if rows and len(missing) == len(rows):
        return "NO ORGAN FOUND"
    text = f"{len(rows) - len(missing)} of {len(rows)} targets"
    return f"{text} (not found: {', '.join(missing)})" if missing else text
