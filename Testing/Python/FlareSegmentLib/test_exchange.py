"""The folder through which arrays pass."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from FlareSegmentLib.exchange import (
    ArrayWriter,
    ExchangeFolder,
    remove_if_abandoned,
    remove_leftovers,
)


def test_folder_is_private_and_removed(tmp_path: Path) -> None:
    exchange = ExchangeFolder(tmp_path)
    assert stat.S_IMODE(exchange.path.stat().st_mode) == 0o700
    (exchange.path / "scan.npy").write_bytes(b"x")
    exchange.close()
    exchange.close()
    assert list(tmp_path.iterdir()) == []


def test_folder_of_a_living_owner_is_left_alone(tmp_path: Path) -> None:
    exchange = ExchangeFolder(tmp_path)
    assert remove_leftovers(tmp_path) == []
    assert not remove_if_abandoned(exchange.path)
    assert exchange.path.is_dir()
    exchange.close()


def test_folder_without_a_held_lock_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "flaresegment-dead"
    left.mkdir()
    (left / "scan.npy").write_bytes(b"x")
    (tmp_path / "flaresegment-dead.lock").touch()
    assert remove_leftovers(tmp_path) == [left]
    assert list(tmp_path.iterdir()) == []


def test_nothing_else_is_removed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "flaresegment-notes.txt").touch()
    (tmp_path / "flaresegment-results").mkdir()
    (tmp_path / "flaresegment-results" / "thesis.txt").touch()
    remove_leftovers(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    assert (tmp_path / "flaresegment-results" / "thesis.txt").exists()


def test_link_in_the_temporary_folder_is_not_followed(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").touch()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (temporary / "flaresegment-trap").symlink_to(mine)
    remove_leftovers(temporary)
    assert (mine / "thesis.txt").exists()


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<f4", "u1"])
def test_array_reads_back_whatever_its_memory_order(tmp_path: Path, dtype: str) -> None:
    array = np.arange(7 * 5 * 3).reshape(7, 5, 3).astype(dtype)
    for number, view in enumerate((array, np.asfortranarray(array), array[::-1, :, ::-1])):
        path = tmp_path / f"{number}.npy"
        writer = ArrayWriter(path, view, slab_bytes=40)
        steps = 0
        while not writer.done:
            writer.step()
            steps += 1
        assert steps > 1
        np.testing.assert_array_equal(np.load(path), view)
