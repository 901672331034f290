"""The list of what other extensions' users ask for, and what it claims."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

# Modules of the standard library and others that speak to other computers. `socket` is not
# among them: claims on cases ask it for this computer's name.
NETWORK = {"urllib", "http", "ftplib", "smtplib", "requests", "httpx", "aiohttp", "urllib3"}


def asks(repository: Path) -> list[str]:
    """The lines of the table, one per ask."""
    text = (repository / "Testing" / "peer_asks.md").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if re.match(r"\| \d+ \|", line)]


def test_all_twenty_asks_are_answered(repository: Path) -> None:
    numbers = [int(line.split("|")[1]) for line in asks(repository)]
    assert numbers == list(range(1, 21))


def test_each_ask_names_a_test_that_exists(repository: Path) -> None:
    missing = []
    for line in asks(repository):
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", line)
        assert named, line
        for file, name in named:
            path = repository / "Testing" / "Python" / file
            if not path.is_file() or f"def {name}(" not in path.read_text(encoding="utf-8"):
                missing.append(f"{file}::{name}")
    assert not missing


@pytest.mark.parametrize("folder", ["FlareSegment", "FlareTrain"])
def test_engine_and_module_open_no_connection(repository: Path, folder: str) -> None:
    """Nothing is downloaded and nothing sent: no file imports what could do it."""
    found = []
    for path in sorted((repository / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            found += [f"{path.name}: {n}" for n in names if n.split(".")[0] in NETWORK]
    assert not found
