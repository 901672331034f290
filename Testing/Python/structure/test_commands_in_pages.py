"""Commands that the pages tell people to type exist, with the options that are named."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import subprocess
from pathlib import Path

import pytest

PAGES = (
    "README.md",
    "FlareTrain/README.md",
    "FlareTrain/STUDY.md",
    "Resources/Models/flare-base/README.md",
    "Testing/peer_asks.md",
    "Testing/model_facts.json",
)
PROGRAMS = {"flare-segment": "FlareSegmentLib", "flare-train": "FlareTrainLib"}
TYPED = re.compile(r"(?:^ *|`|\"|/)((?:flare-segment|flare-train) [^`\n#;\"]+)", re.MULTILINE)


def typed(text: str) -> list[list[str]]:
    """Words of each command line of ours, also under torchrun."""
    text = re.sub(r"torchrun .*-m FlareTrainLib", "flare-train", text)
    lines = [re.split(r"\s{3,}", line)[0] for line in TYPED.findall(text)]  # words, then a remark
    # [--minutes 600] is said of an option that may be left out.
    return [shlex.split(re.sub(r"[\[\]]", "", line).replace("small|large|", "")) for line in lines]


def parse(words: list[str]) -> None:
    program, *rest = words
    parser: argparse.ArgumentParser = importlib.import_module(f"{PROGRAMS[program]}.cli")._parser()
    if program == "flare-segment" and rest[0] not in ("evaluate", "phantom", "models", "segment"):
        rest = ["segment", *rest]
    parser.parse_args(rest)


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_understood(
    repository: Path, page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = []
    for words in typed((repository / page).read_text(encoding="utf-8")):
        # "--help" and commands that are only mentioned, without what they need, show their usage.
        if len(words) < 4:
            continue
        try:
            parse(words)
        except SystemExit:
            wrong.append(f"{shlex.join(words)}: {capsys.readouterr().err.splitlines()[-1]}")
    assert not wrong


def test_commands_are_found_in_the_pages(repository: Path) -> None:
    """Guards against a pattern that matches nothing."""
    found = [
        " ".join(words[:2])
        for page in PAGES
        for words in typed((repository / page).read_text(encoding="utf-8"))
    ]
    steps = ("check", "run", "pseudo", "refine", "pack", "fit", "export", "evaluate", "study")
    assert {f"flare-train {step}" for step in steps} <= set(found)
    assert {"flare-segment scan.nii.gz", "flare-segment evaluate"} <= set(found)


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_and_scripts_exist(repository: Path, page: str) -> None:
    text = (repository / page).read_text(encoding="utf-8")
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?m)^([a-z]+):", makefile))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)) <= targets
    for script in re.findall(r"python (\S+\.py)", text):
        assert (repository / script).is_file(), script


@pytest.mark.parametrize("page", [page for page in PAGES if page.endswith(".md")])
def test_links_lead_somewhere(repository: Path, page: str) -> None:
    text = (repository / page).read_text(encoding="utf-8")
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=repository, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    if not tracked:
        pytest.skip("not a git checkout")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = ((repository / page).parent / name).resolve() if name else repository / page
        assert target.exists(), link
        assert target.relative_to(repository).as_posix() in tracked or target.is_dir(), link
        if anchor:
            heads = re.findall(r"(?m)^#+ (.*)$", target.read_text(encoding="utf-8"))
            slugs = [re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads]
            assert anchor in slugs, link
