from __future__ import annotations

import io

import pytest

from FlareSegmentLib.progress_line import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def width(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", "80")
    return 80


def test_nothing_is_written_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    line = ProgressLine(stream)
    line.start("a", 1, 1)
    line.update("network", 0.5)
    line.finish_case()
    assert stream.getvalue() == ""


def test_line_shows_case_stage_share_and_time_left(width: int) -> None:
    stream, clock = Terminal(), Clock()
    line = ProgressLine(stream, clock)
    line.start("scan", 2, 3)
    clock.now = 60.0
    line.update("network", 0.5)
    drawn = stream.getvalue().split("\r")[-1]
    assert drawn.startswith("[2/3] scan network")
    # Read, localise and resample are 0.20 of a case, half the network 0.325: 0.525 of one of 3.
    assert " 18%" in drawn
    assert "5 min left" in drawn  # 60 s x (1 - 0.175) / 0.175 = 283 s


def test_line_fits_the_terminal_and_is_cleared(width: int) -> None:
    stream, clock = Terminal(), Clock()
    line = ProgressLine(stream, clock)
    line.start("n" * 200, 1, 1)
    line.finish_case()
    drawn, cleared, _ = stream.getvalue().split("\r")[1:]
    assert len(drawn) < width
    assert "..." in drawn
    assert cleared.strip() == ""
    assert len(cleared) >= len(drawn.rstrip())


def test_drawing_does_not_hold_the_work_up(width: int) -> None:
    stream, clock = Terminal(), Clock()
    line = ProgressLine(stream, clock)
    line.start("scan", 1, 1)
    for step in range(1000):
        clock.now += 0.001
        line.update("network", step / 1000)
    assert 5 <= stream.getvalue().count("\r") <= 12


def test_search_for_scans_is_shown_and_cleared(width: int) -> None:
    stream, clock = Terminal(), Clock()
    line = ProgressLine(stream, clock)
    for files in range(1, 1001):
        clock.now += 0.01
        line.look(files)
    shown = stream.getvalue().split("\r")
    assert 90 < len(shown) < 110  # drawn ten times a second
    assert shown[-1].rstrip().endswith("files")
    assert {len(text) for text in shown if text} == {width - 1}
    line.clear()
    assert stream.getvalue().endswith("\r")
