"""Pack what `make train` needs into a few files of limited size, to carry to another computer.

Usage: python Testing/pack_input.py [DATA] OUTPUT [--megabytes 60]

Writes OUTPUT/input_1.tar, input_2.tar, ... with the scans, manual labels, pseudo-labels and label
maps of other patients of DATA (../shared/data); validation scans are left out unless --validation.
There: `mkdir data && for f in input_*.tar; do tar xf $f -C data; done`, then
`make train DATA=data TRAIN_ARGS=--no-validation`. The same input gives the same files.
"""

from __future__ import annotations

import argparse
import sys
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("ct", "manual", "pseudo", "shapes")
BLOCK = 512
"""A tar file consists of blocks of this many bytes: one for the head of each member."""


def input_files(data: Path, validation: bool) -> list[Path]:
    """Give the files of a training, relative to `data`."""
    folders = (*FOLDERS, "validation") if validation else FOLDERS
    files = [path for name in folders for path in (data / name).rglob("*") if path.is_file()]
    return sorted(path.relative_to(data) for path in files)


def parcels(sizes: Iterable[tuple[Path, int]], limit: int) -> list[list[Path]]:
    """Divide files into as few groups as is easily found, largest first.

    Parameters
    ----------
    sizes
        Files and their bytes in the archive.
    limit
        Most bytes of a group.

    Raises
    ------
    ValueError
        When one file alone is larger.
    """
    groups: list[tuple[int, list[Path]]] = []
    for path, size in sorted(sizes, key=lambda each: (-each[1], each[0])):
        if size > limit:
            raise ValueError(f"{path} alone has {size} bytes, more than the {limit} allowed.")
        for n, (total, files) in enumerate(groups):
            if total + size <= limit:
                groups[n] = (total + size, [*files, path])
                break
        else:
            groups.append((size, [path]))
    return [sorted(files) for _, files in groups]


def packed_size(path: Path) -> int:
    """Give the bytes that a file takes in a tar file; a long name takes two blocks more."""
    blocks = -(-path.stat().st_size // BLOCK)
    return (blocks + 1 + 2) * BLOCK


def write_parcel(target: Path, data: Path, files: Sequence[Path]) -> None:
    """Write a tar file, complete or not at all, that depends on nothing but the files' content."""
    part = target.with_name(f".{target.name}.part")
    with tarfile.open(part, "w", format=tarfile.GNU_FORMAT) as archive:
        for path in files:
            member = archive.gettarinfo(data / path, arcname=path.as_posix())
            member.mtime, member.mode = 0, 0o644
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            with (data / path).open("rb") as content:
                archive.addfile(member, content)
    part.replace(target)


def main(arguments: Sequence[str] | None = None) -> int:
    """Pack; 1 when there is nothing to pack."""
    command = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = command.add_argument
    add("data", nargs="?", type=Path, default=ROOT.parent / "shared" / "data", metavar="DATA")
    add("output", type=Path, metavar="OUTPUT", help="folder; made when missing")
    add("--megabytes", type=int, default=60, help="most of a file (60)")
    add("--validation", action="store_true", help="the validation scans too, to score by")
    options = command.parse_args(arguments)
    files = input_files(options.data, options.validation)
    if not files:
        print(f"{options.data} has none of the folders {', '.join(FOLDERS)}.", file=sys.stderr)
        return 1
    sizes = [(path, packed_size(options.data / path)) for path in files]
    # A tar file ends with empty blocks, up to a multiple of 20.
    groups = parcels(sizes, options.megabytes * 10**6 - tarfile.RECORDSIZE)
    options.output.mkdir(parents=True, exist_ok=True)
    for number, group in enumerate(groups, start=1):
        target = options.output / f"input_{number}.tar"
        write_parcel(target, options.data, group)
        print(f"{target}: {len(group)} files, {target.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
