"""One bar and a time left from the engine's stages."""

from __future__ import annotations

import pytest

from FlareSegmentLib.progress import STAGES
from FlareSegmentLib.run_progress import STAGE_SHARES, RunProgress, duration_text


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_shares_cover_all_stages_and_sum_to_one() -> None:
    assert tuple(STAGE_SHARES) == STAGES
    assert sum(STAGE_SHARES.values()) == pytest.approx(1)


def test_bar_runs_from_zero_to_one_without_falling() -> None:
    progress = RunProgress()
    seen = []
    for stage in STAGES:
        for fraction in (0.0, 0.5, 1.0):
            progress.update(stage, fraction)
            seen.append(progress.fraction)
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert seen[-1] == pytest.approx(1)


def test_a_stage_reported_late_does_not_move_the_bar_back() -> None:
    progress = RunProgress()
    progress.update("network", 0.5)
    before = progress.fraction
    progress.update("localise", 0.1)
    assert progress.fraction == before


def test_unknown_stage_is_passed_over() -> None:
    progress = RunProgress()
    progress.update("brew coffee", 0.5)
    assert progress.fraction == 0


def test_time_left_follows_the_pace() -> None:
    clock = Clock()
    progress = RunProgress(clock=clock)
    progress.update("upsample", 0.0)  # 85 % done
    clock.now = 17.0
    assert progress.seconds_left == pytest.approx(3.0)


def test_no_time_left_is_guessed_from_the_first_seconds() -> None:
    clock = Clock()
    progress = RunProgress(clock=clock)
    progress.update("network", 0.5)
    clock.now = 1.0
    assert progress.seconds_left is None


def test_frames_share_the_bar() -> None:
    progress = RunProgress(volumes=4)
    progress.finish_volume()
    progress.finish_volume()
    assert progress.fraction == pytest.approx(0.5)
    assert progress.volume == 3
    progress.update("upsample", 0.0)
    assert progress.fraction == pytest.approx((2 + 0.85) / 4)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (2, "a few seconds"),
        (11, "15 s"),
        (54, "55 s"),
        (60, "1 min"),
        (130, "2 min"),
        (3900, "1 h 5 min"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
