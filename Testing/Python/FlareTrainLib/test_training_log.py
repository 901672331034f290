"""The log of a run: what counts after a restart, and its picture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from FlareSegmentLib.errors import OutputError
from FlareTrainLib import training_log
from FlareTrainLib.training_log import StepReports, append, curves, draw_curves, read


def test_steps_that_are_repeated_count_once(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        append(tmp_path, {"step": step, "loss": float(step)})
    append(tmp_path, {"step": 2, "event": "resumed"})
    append(tmp_path, {"step": 3, "loss": 30.0})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')  # the process was killed here
    assert [(e["step"], e.get("loss")) for e in read(tmp_path)] == [
        (1, 1.0),
        (2, 2.0),
        (2, None),
        (3, 30.0),
    ]


def test_reports_are_means_over_their_steps(tmp_path: Path) -> None:
    reports = StepReports(tmp_path, 2)
    for step, value in enumerate((1.0, 3.0, 5.0), start=1):
        reports.add({"dice": torch.tensor(value)}, step, 0.1)
    (entry,) = read(tmp_path)
    assert (entry["step"], entry["dice"], entry["loss"]) == (2, 2.0, 2.0)


def test_lines_are_told_in_words(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    reports = StepReports(tmp_path, 1)
    reports.add({"cross_entropy": torch.tensor(1.0), "dice": torch.tensor(0.5)}, 7, 0.01)
    append(tmp_path, {"step": 7, "event": "resumed"})
    append(tmp_path, {"step": 7, "validation": {"liver": 0.8, "spleen": 0.6}})
    append(tmp_path, {"step": 7, "event": "recovered", "note": "Back to the last checkpoint."})
    first, *others = [record.getMessage() for record in caplog.records]
    assert first.startswith("step 7: loss 1.500 (cross-entropy 1.000, dice 0.500), ")
    assert first.endswith(" s per step, learning rate 0.01")
    assert others == [
        "going on from step 7",
        "step 7: mean DSC 0.700 over 2 targets of the validation cases",
        "step 7: Back to the last checkpoint.",
    ]


def test_curves_hold_every_term_and_the_validation(tmp_path: Path) -> None:
    append(tmp_path, {"step": 10, "seconds_per_step": 1.0, "learning_rate": 0.1, "dice": 0.5})
    append(tmp_path, {"step": 10, "validation": {"liver": 0.8, "spleen": 0.6}})
    found = curves(read(tmp_path))
    assert found == {"dice": [(10, 0.5)], "validation DSC": [(10, pytest.approx(0.7))]}


def test_curves_are_drawn_where_they_belong(tmp_path: Path) -> None:
    assert draw_curves(tmp_path) is None
    for step in (0, 50, 100):
        append(tmp_path, {"step": step, "loss": 1 - step / 100})
    path = draw_curves(tmp_path)
    assert path is not None
    picture = Image.open(path).convert("RGB")
    left, top, right, bottom = training_log.FRAME
    color = training_log.COLORS[0]
    assert picture.getpixel((left + 2, top + 1)) == color
    assert picture.getpixel(((left + right) // 2, (top + bottom) // 2)) == color
    assert picture.getpixel((right - 1, bottom - 1)) == color
    assert picture.getpixel((right - 20, top + 100)) == (255, 255, 255)


def test_a_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        append(tmp_path / "missing", {"step": 1})
