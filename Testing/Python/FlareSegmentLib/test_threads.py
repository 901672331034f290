"""Pieces of work in threads: all done, errors and stops passed on, settings as before."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from FlareSegmentLib.threads import in_threads


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_every_piece_is_done_once(threads: int) -> None:
    done: list[int] = []
    in_threads(done.append, range(20))
    assert sorted(done) == list(range(20))
    assert torch.get_num_threads() == threads


def test_no_pieces_are_no_work(threads: int) -> None:
    in_threads(lambda piece: pytest.fail(f"{piece} is none"), [])


def test_a_piece_has_one_thread_of_pytorch_and_the_mode_of_the_caller(threads: int) -> None:
    seen: list[tuple[int, bool]] = []
    with torch.inference_mode():
        in_threads(
            lambda _: seen.append((torch.get_num_threads(), torch.is_inference_mode_enabled())),
            range(6),
        )
    assert set(seen) == {(1, True)}
    in_threads(lambda _: seen.append((0, torch.is_inference_mode_enabled())), range(6))
    assert seen[-1] == (0, False)


def test_they_run_at_the_same_time(threads: int) -> None:
    """Two pieces that wait for each other end only when they run together."""
    if threads == 1:
        pytest.skip("one thread does one after the other")
    barrier = threading.Barrier(2, timeout=20)
    in_threads(lambda _: barrier.wait() and None, range(2))


def test_an_error_of_a_piece_is_the_callers(threads: int) -> None:
    def work(piece: int) -> None:
        if piece == 3:
            raise ValueError("the fourth")

    with pytest.raises(ValueError, match="the fourth"):
        in_threads(work, range(50))
    assert torch.get_num_threads() == threads


def test_what_tick_raises_ends_the_work(threads: int) -> None:
    done: list[int] = []

    def work(piece: int) -> None:
        time.sleep(0.02)
        done.append(piece)

    def tick(fraction: float) -> None:
        if fraction > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_threads(work, range(400), tick)
    assert 0 < len(done) < 400
    assert torch.get_num_threads() == threads


def test_ticks_come_in_the_callers_thread_and_rise(threads: int) -> None:
    ticks: list[tuple[float, bool]] = []
    here = threading.get_ident()
    in_threads(
        lambda _: time.sleep(0.01),
        range(30),
        lambda fraction: ticks.append((fraction, threading.get_ident() == here)),
    )
    fractions = [fraction for fraction, _ in ticks]
    assert fractions == sorted(fractions)
    assert all(0 <= fraction <= 1 for fraction in fractions)
    assert all(mine for _, mine in ticks)
