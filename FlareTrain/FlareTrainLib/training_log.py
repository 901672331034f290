"""The log of a run: one JSON object per line, and its curves as a picture."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from FlareSegmentLib.errors import OutputError

from .whole_files import whole_file

if TYPE_CHECKING:
    from torch import Tensor

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
    logger.info(entry_text(entry))
    try:
        with (run / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError as error:
        raise OutputError(
            f"The log of the run in '{run}' cannot be written ({error.strerror or error}). Make "
            "room, then start the same command again: it goes on from the last checkpoint."
        ) from error


def entry_text(entry: Mapping[str, Any]) -> str:
    """Give a line of the log in words."""
    step = f"step {entry['step']}"
    if "note" in entry:
        return f"{step}: {entry['note']}"
    if entry.get("event") == "resumed":
        return f"going on from {step}"
    if "validation" in entry:
        scores = entry["validation"]
        mean = sum(scores.values()) / max(1, len(scores))
        return f"{step}: mean DSC {mean:.3f} over {len(scores)} targets of the validation cases"
    if not {"loss", "seconds_per_step", "learning_rate"} <= entry.keys():
        return f"{step}: {dict(entry)}"
    terms = ", ".join(
        f"{name.replace('_', '-')} {value:.3f}"
        for name, value in entry.items()
        if name not in (*NOT_CURVES, "loss")
    )
    return (
        f"{step}: loss {entry['loss']:.3f} ({terms}), {entry['seconds_per_step']:.2f} s per step, "
        f"learning rate {entry['learning_rate']:.2g}"
    )


class StepReports:
    """Means of the loss terms over some steps, written as one line of the log.

    Parameters
    ----------
    run
        Folder of the run, or None to write nothing.
    every
        Steps per line.
    """

    def __init__(self, run: Path | None, every: int) -> None:
        self._run = run
        self._every = every
        self._begin()

    def _begin(self) -> None:
        self._start = time.monotonic()
        self._count = 0
        self._sums: dict[str, Tensor] = {}
        self._last = (0, 0.0)

    def add(self, terms: dict[str, Tensor], step: int, learning_rate: float) -> None:
        """Take in the terms of one step; `step` is the number of steps done."""
        for name, term in terms.items():
            # Kept on the device: reading a number waits for the GPU.
            self._sums[name] = self._sums[name] + term if name in self._sums else term
        self._count += 1
        self._last = (step, learning_rate)
        if step % self._every == 0:
            self.finish()

    def finish(self) -> None:
        """Write what came since the last line, if anything."""
        if not self._count:
            return
        step, learning_rate = self._last
        means = {name: round(float(s) / self._count, 4) for name, s in self._sums.items()}
        if self._run is not None:
            entry = {
                "step": step,
                "seconds_per_step": round((time.monotonic() - self._start) / self._count, 4),
                "learning_rate": round(learning_rate, 9),
                "loss": round(sum(means.values()), 4),
                **means,
            }
            append(self._run, entry)
        self._begin()


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
    """Draw the curves of the log into the run's `curves.png`; None while there is nothing.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
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
    path = run / "curves.png"
    with whole_file(path) as unfinished:
        picture.save(unfinished)
    return path
