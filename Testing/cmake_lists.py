"""Compare the file lists in the CMake files with the tree; with ``--fix`` write them anew.

Slicer packages only listed files: an unlisted one is silently missing for every user.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class FileList:
    """One ``set(VARIABLE ...)`` in a CMake file and the files that belong into it.

    Attributes
    ----------
    cmake_file
        The CMake file, relative to the root of the source tree.
    variable
        Name of the CMake variable.
    folder
        Folder that the listed paths are relative to.
    patterns
        Glob patterns below that folder.
    """

    cmake_file: str
    variable: str
    folder: str
    patterns: tuple[str, ...]

    def expected(self, root: Path = ROOT) -> list[str]:
        """Paths of the files in the tree, sorted."""
        base = root / self.folder
        files = {
            path.relative_to(base)
            for pattern in self.patterns
            for path in base.glob(pattern)
            if path.is_file()
        }
        return sorted(path.as_posix() for path in files if not _is_left_out(path))

    def listed(self, root: Path = ROOT) -> list[str]:
        """Paths as they stand in the CMake file."""
        return self._match(root).group("files").split()

    def write(self, root: Path = ROOT) -> None:
        """Replace the list in the CMake file by the files of the tree."""
        text = (root / self.cmake_file).read_text(encoding="utf-8")
        start, end = self._match(root).span("files")
        lines = "".join(f"\n  {path}" for path in self.expected(root))
        new_text = text[:start] + lines + "\n  " + text[end:]
        (root / self.cmake_file).write_text(new_text, encoding="utf-8")

    def _match(self, root: Path) -> re.Match[str]:
        text = (root / self.cmake_file).read_text(encoding="utf-8")
        match = re.search(rf"^set\({self.variable}(?P<files>[^)]*)\)", text, re.MULTILINE)
        if match is None:
            raise ValueError(f"{self.cmake_file} has no set({self.variable} ...)")
        return match


FILE_LISTS = (
    FileList(
        "FlareSegment/CMakeLists.txt",
        "MODULE_PYTHON_SCRIPTS",
        "FlareSegment",
        ("*.py", "FlareSegmentLib/**/*.py", "FlareSegmentSlicer/**/*.py"),
    ),
    FileList(
        "FlareSegment/CMakeLists.txt",
        "MODULE_PYTHON_RESOURCES",
        "FlareSegment",
        ("Resources/**/*",),
    ),
    FileList(
        "FlareTrain/CMakeLists.txt",
        "MODULE_PYTHON_SCRIPTS",
        "FlareTrain",
        ("*.py", "FlareTrainLib/**/*.py", "FlareTrainSlicer/**/*.py"),
    ),
    FileList(
        "FlareTrain/CMakeLists.txt", "MODULE_PYTHON_RESOURCES", "FlareTrain", ("Resources/**/*",)
    ),
    FileList("CMakeLists.txt", "SHARED_RESOURCES", "Resources", ("**/*",)),
)


def _is_left_out(path: Path) -> bool:
    return any(part == "__pycache__" or part.startswith(".") for part in path.parts)


def differences(root: Path = ROOT) -> list[str]:
    """Sentences about files that are missing from a list or listed but not there."""
    sentences = []
    for files in FILE_LISTS:
        expected, listed = files.expected(root), files.listed(root)
        where = f"{files.variable} of {files.cmake_file}"
        sentences += [f"{path} is not in {where}" for path in expected if path not in listed]
        sentences += [
            f"{path} in {where} is not in the tree" for path in listed if path not in expected
        ]
    return sentences


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fix", action="store_true", help="write the lists anew")
    arguments = parser.parse_args()
    found = differences()
    if arguments.fix:
        for files in FILE_LISTS:
            if files.listed() != files.expected():
                files.write()
    for sentence in found:
        print(sentence)
    return 1 if found and not arguments.fix else 0


if __name__ == "__main__":
    sys.exit(main())
