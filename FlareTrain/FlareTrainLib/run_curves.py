"""The curves of a run, read on as its logs grow: a long log is never read twice, or at one go."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .pipeline import RECIPE
from .recipe import Recipe
from .run_folder import stages
from .settings import read_json, settings_from_json

Points = list[tuple[int, float]]

STEP_BYTES = 64 * 1024
"""Read at once; parsing that many takes about 5 ms."""

MOST_POINTS = 1000
"""In a plot; a screen has hardly more columns."""


class _Log:
    """One network's log: what has been read of it, and where to go on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._forget()

    def _forget(self) -> None:
        self._offset = 0
        self.loss: Points = []
        self.dsc: dict[str, Points] = {}

    def read_on(self) -> bool:
        """Take in some more lines; whether there are still others."""
        try:
            size = self._path.stat().st_size
        except OSError:
            return False
        if size < self._offset:  # begun anew
            self._forget()
        with self._path.open("rb") as file:
            file.seek(self._offset)
            block = file.read(STEP_BYTES)
        # A line that is being written at this moment has no end yet.
        whole = block[: block.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            try:
                self._take(json.loads(line))
            except ValueError:
                continue
        return bool(whole) and self._offset < size

    def _take(self, entry: Mapping[str, Any]) -> None:
        step = int(entry.get("step", 0))
        if entry.get("event") in ("resumed", "recovered"):
            # The steps after the checkpoint are done again: what they gave before does not count.
            for points in (self.loss, *self.dsc.values()):
                while points and points[-1][0] > step:
                    points.pop()
        if isinstance(entry.get("loss"), int | float):
            self.loss.append((step, float(entry["loss"])))
        for key, value in (entry.get("validation") or {}).items():
            self.dsc.setdefault(key, []).append((step, float(value)))


class RunCurves:
    """The losses of all networks of a run, and the DSC of its validations.

    Example::

        curves = RunCurves(run)
        while curves.read_on():
            pass
        curves.losses()["network"]
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self._logs: dict[str, _Log] = {}

    def read_on(self) -> bool:
        """Read a little of what came since; whether there is more to read.

        Raises
        ------
        InputError
            When the run's recipe cannot be read.
        """
        if not self._logs and (self.run / RECIPE).is_file():
            path = self.run / RECIPE
            recipe = settings_from_json(Recipe, read_json(path), str(path))
            self._logs = {
                name: _Log(fit / "log.jsonl") for name, fit, _, _ in stages(self.run, recipe)
            }
        return any(log.read_on() for log in self._logs.values())

    def losses(self) -> dict[str, Points]:
        """Points (step, loss) by network, for those that have been trained at least a little."""
        return {name: log.loss for name, log in self._logs.items() if log.loss}

    def dsc(self) -> dict[str, Points]:
        """Points (step, DSC) of the validations during the training, by target key."""
        found = self._logs["network"].dsc if "network" in self._logs else {}
        return {key: points for key, points in found.items() if points}


def thinned(points: Points, most: int = MOST_POINTS) -> Points:
    """Give at most about `most` of the points, evenly, the last one among them."""
    every = max(1, -(-len(points) // most))
    return points[::-1][::every][::-1]


def mean_points(curves: Sequence[Points]) -> Points:
    """Give the mean at every step of those curves that have a point there."""
    at: dict[int, list[float]] = {}
    for points in curves:
        for step, value in points:
            at.setdefault(step, []).append(value)
    return [(step, sum(values) / len(values)) for step, values in sorted(at.items())]
