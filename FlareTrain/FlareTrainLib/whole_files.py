"""Folders and files of a run: made whole, or not at all and with a sentence that says why."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from FlareSegmentLib.errors import OutputError


def made_folder(folder: Path) -> Path:
    """Make a folder, and those above it, where they are missing; the folder.

    Raises
    ------
    OutputError
        When it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {folder} cannot be made ({error.strerror or error}). Choose a place that "
            "is writable and has free space."
        ) from error
    return folder


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a name beside `path` to write under; it takes the place of `path` at the end.

    Raises
    ------
    OutputError
        When the file system refuses; what was there before stays, and nothing else is left.
    """
    # The ending stays: some writers choose the format by it.
    part = path.with_name(f".part.{path.name}")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}). Make room, or choose a folder "
            "that is writable; then start the same command again."
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8.

    Raises
    ------
    OutputError
        When it cannot be written; what was there before stays.
    """
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def copy_folder(source: Path, target: Path, texts: Mapping[str, str] | None = None) -> None:
    """Copy a folder beside its place, then rename: `target` is the new one whole, or as it was.

    Parameters
    ----------
    texts
        Text files that are written into the copy, by name.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    fresh = target.with_name(f".{target.name}.part")
    old = target.with_name(f".{target.name}.old")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(source, fresh)
        for name, text in (texts or {}).items():
            (fresh / name).write_text(text, encoding="utf-8")
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
            target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        if old.exists() and not target.exists():
            old.rename(target)
        raise OutputError(
            f"{source} cannot be copied to {target} ({error.strerror or error}). Choose a place "
            "that is writable and has free space."
        ) from error
