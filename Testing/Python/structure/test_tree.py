"""What must not stand in any file of the source tree."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

MACHINE = re.compile(
    r"/home/\w+|/Users/\w+|/root/|C:\\\\?Users|/wor[k]/|/tmp/\w|/opt/(wheels|pypi)", re.ASCII
)
REGISTRY = re.compile(
    r"(pyp[i]\.org|pythonhoste[d]\.org|download\.pytorch\.org|--(extra-)?index-url|--find-links)"
)


@pytest.fixture(scope="module")
def text_files(repository: Path) -> dict[str, str]:
    """Files under version control, and new ones that are not ignored, that are text."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=repository, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    files = {}
    for name in listed.stdout.decode().split("\0"):
        path = repository / name
        if not name or not path.is_file() or path == Path(__file__).resolve():
            continue
        content = path.read_bytes()
        if b"\0" not in content:
            files[name] = content.decode("utf-8")  # text is UTF-8: anything else fails here
    assert "pyproject.toml" in files
    return files


@pytest.mark.parametrize("pattern", [MACHINE, REGISTRY], ids=["machine path", "registry"])
def test_no_file_depends_on_one_machine(text_files: dict[str, str], pattern: re.Pattern) -> None:
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in text_files.items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


def test_line_ends_are_unix(text_files: dict[str, str]) -> None:
    assert not [name for name, text in text_files.items() if "\r" in text]


def test_no_file_is_left_in_conflict(text_files: dict[str, str]) -> None:
    marker = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
    assert not [name for name, text in text_files.items() if marker.search(text)]
