"""Curves follow a log that grows, restarts and is cut off in the middle of a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from FlareTrainLib import run_curves
from FlareTrainLib.run_curves import RunCurves, thinned
from FlareTrainLib.settings import write_json


@pytest.fixture
def run(tmp_path: Path) -> Path:
    network: dict[str, Any] = {"training": {"fit": {"steps": 100}}}
    content = {"name": "x", "localiser": network, "network": network}
    write_json(tmp_path / "recipe.json", content)
    return tmp_path


def log(run: Path, stage: str, *entries: dict[str, Any], end: str = "\n") -> None:
    folder = run / stage / "fit"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.jsonl").open("a") as file:
        file.write("\n".join(json.dumps(entry) for entry in entries) + end)


def read_all(curves: RunCurves) -> int:
    parts = 1
    while curves.read_on():
        parts += 1
    return parts


def test_curves_grow_with_the_log(run: Path) -> None:
    curves = RunCurves(run)
    assert not curves.read_on()
    log(run, "localiser", {"step": 40, "loss": 1.5})
    log(run, "network", {"step": 50, "loss": 2.5}, {"step": 50, "validation": {"liver": 0.75}})
    read_all(curves)
    assert curves.losses() == {"localiser": [(40, 1.5)], "network": [(50, 2.5)]}
    assert curves.dsc() == {"liver": [(50, 0.75)]}
    log(run, "network", {"step": 60, "loss": 2.0}, end="")
    read_all(curves)
    assert curves.losses()["network"] == [(50, 2.5)]
    log(run, "network", {}, {"step": 70, "loss": 1.0})
    read_all(curves)
    assert curves.losses()["network"] == [(50, 2.5), (70, 1.0)]


def test_steps_that_are_done_again_do_not_count_twice(run: Path) -> None:
    log(run, "network", {"step": 50, "loss": 2.0}, {"step": 60, "loss": 1.5})
    log(run, "network", {"step": 60, "validation": {"liver": 0.5}})
    curves = RunCurves(run)
    read_all(curves)
    log(run, "network", {"step": 55, "event": "resumed"}, {"step": 60, "loss": 1.25})
    read_all(curves)
    assert curves.losses()["network"] == [(50, 2.0), (60, 1.25)]
    assert curves.dsc() == {}


def test_a_log_that_began_anew_is_read_anew(run: Path) -> None:
    log(run, "network", *({"step": n, "loss": 1.0} for n in range(9)))
    curves = RunCurves(run)
    read_all(curves)
    (run / "network" / "fit" / "log.jsonl").unlink()
    log(run, "network", {"step": 1, "loss": 3.0})
    read_all(curves)
    assert curves.losses()["network"] == [(1, 3.0)]


def test_a_long_log_is_read_in_parts(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_curves, "STEP_BYTES", 1000)
    log(run, "network", *({"step": n, "loss": float(n)} for n in range(500)))
    curves = RunCurves(run)
    assert read_all(curves) > 10
    assert curves.losses()["network"] == [(n, float(n)) for n in range(500)]


def test_thinned_points_end_with_the_last() -> None:
    points = [(n, 0.5) for n in range(2501)]
    few = thinned(points, 1000)
    assert len(few) == 834
    assert few[-1] == (2500, 0.5)
    assert thinned(points[:7], 1000) == points[:7]
