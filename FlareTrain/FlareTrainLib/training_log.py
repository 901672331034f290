"""The log of a run: one JSON object per line, and its curves as a picture."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from FlareSegmentLib.errors import OutputError

logger = logging.getLogger(__name__)

NOT_CURVES = ("step", "seconds_per_step", "learning_rate", "event", "validation")
COLORS = ((31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189), (140, 86, 75))
SIZE = (900, 420)
FRAME = (60, 20, 880, 370)
"""Left, top, right and bottom of the plot in the picture, pixels."""


def append(run: Path, entry: dict[str, Any]) -> None:
    """Add one line to the run's log.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    logger.info("%s", entry)
    try:
        with (run / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError as error:
        raise OutputError(
            f"The log of the run in '{run}' cannot be written ({error.strerror or error}). Make "
            "room, then start the same command again: it goes on from the last checkpoint."
        ) from error


def read(run: Path) -> list[dict[str, Any]]:
    """Lines of the log that still count.

    A run that goes on from a checkpoint repeats the steps after it: their earlier lines are left
    out, and so is a last line that was cut off.
    """
    path = run / "log.jsonl"
    entries: list[dict[str, Any]] = []
    if not path.is_file():
        return entries
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("event") in ("resumed", "recovered"):
            entries = [e for e in entries if e.get("step", 0) <= entry["step"]]
        entries.append(entry)
    return entries


def curves(entries: Sequence[dict[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """Points (step, value) of every loss term, and of the mean validation DSC."""
    result: dict[str, list[tuple[int, float]]] = {}
    for entry in entries:
        for name, value in entry.items():
            if name not in NOT_CURVES and isinstance(value, int | float):
                result.setdefault(name, []).append((entry["step"], float(value)))
        scores = entry.get("validation")
        if scores:
            mean = sum(scores.values()) / len(scores)
            result.setdefault("validation DSC", []).append((entry["step"], mean))
    return result


def draw_curves(run: Path) -> Path | None:
    """Draw the curves of the log into the run's `curves.png`; None while there is nothing."""
    from PIL import Image, ImageDraw

    found = curves(read(run))
    if not found:
        return None
    picture = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(picture)
    left, top, right, bottom = FRAME
    last = max(1, max(step for points in found.values() for step, _ in points))
    values = [value for points in found.values() for _, value in points]
    low, high = min(0.0, *values), max(1.0, *values)
    pen.rectangle(FRAME, outline="black")
    for part in range(5):
        y = bottom - (bottom - top) * part / 4
        pen.line((left, y, right, y), fill=(220, 220, 220))
        pen.text((8, y - 6), f"{low + (high - low) * part / 4:.2f}", fill="black")
        x = left + (right - left) * part / 4
        pen.text((x - 10, bottom + 6), f"{round(last * part / 4)}", fill="black")
    pen.text(((left + right) / 2 - 10, bottom + 22), "step", fill="black")
    for number, (name, points) in enumerate(found.items()):
        color = COLORS[number % len(COLORS)]
        line = [
            (
                left + (right - left) * step / last,
                bottom - (bottom - top) * (value - low) / (high - low),
            )
            for step, value in points
        ]
        if len(line) > 1:
            pen.line(line, fill=color, width=2)
        for x, y in line[-1:]:
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=color)
        pen.text((right - 150, top + 6 + 14 * number), name, fill=color)
    temporary, path = run / ".curves.part.png", run / "curves.png"
    picture.save(temporary)
    temporary.replace(path)
    return path
