"""Files and folders are there whole or as they were, and the reason is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from FlareSegmentLib.errors import OutputError
from FlareTrainLib.whole_files import copy_folder, made_folder, whole_file, write_text


@contextmanager
def full_disk() -> Iterator[None]:
    """No file grows beyond 2000 bytes, as on a disk with as much room."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_file_that_cannot_be_finished_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_text(path, "before")
    with full_disk(), pytest.raises(OutputError, match=r"table.csv cannot be written.*Make room"):
        write_text(path, "x" * 5000)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_the_writer_itself_is_passed_on_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with pytest.raises(ZeroDivisionError), whole_file(path) as part:
        part.write_text(f"{part.write_text('half') / 0}")
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        made_folder(tmp_path / "file" / "below")
    assert made_folder(tmp_path / "a" / "b").is_dir()


def test_a_copied_folder_is_the_new_one_or_the_old_one(tmp_path: Path) -> None:
    source, target = tmp_path / "new", tmp_path / "best"
    for folder, text in ((source, "new"), (target, "old")):
        made_folder(folder)
        (folder / "weights").write_text(text)
    (source / "large").write_text("x" * 5000)
    with full_disk(), pytest.raises(OutputError, match="cannot be copied"):
        copy_folder(source, target)
    assert (target / "weights").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"new", "best"}
    copy_folder(source, target, {"score.json": "1"})
    assert (target / "weights").read_text() == "new"
    assert (target / "score.json").read_text() == "1"
    assert {path.name for path in tmp_path.iterdir()} == {"new", "best"}
