"""RESULTS.md: which parts there are, with which weights each was measured, and its tables again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

NOT_MEASURED = "Not measured"
"""How the text of a part begins whose input was missing."""

Measured = Mapping[str, Mapping[str, str]]
"""Content of RESULTS.json: by part its text, date, machine, model, and commit."""


@dataclass(frozen=True)
class Part:
    """One part of the report.

    Attributes
    ----------
    title
        Its heading.
    of_weights
        Whether its figures are those of a model; otherwise new weights leave them valid.
    """

    title: str
    of_weights: bool = True


PARTS = {
    "accuracy": Part("Real scans, beside a FLARE 2025 entry"),
    "sources": Part("Beside the networks whose labels it learned from"),
    "robustness": Part("The same scans with other slices, axes, brightness, noise"),
    "negatives": Part("Where nothing is to be found, and left and right"),
    "tumor": Part("Tumors"),
    "peers": Part("Beside nnU-Net's predictor with the same weights"),
    "scaling": Part("Volumes of 55 to 1000 slices, and the floor"),
    "startup": Part("Start-up"),
    "cancelling": Part("From asking to stop until stopped"),
    "busy": Part("While other programs compute"),
    "networks": Part("What the sub-voxel stem saves", of_weights=False),
    "training": Part("A training step beside the bare pass", of_weights=False),
    "paper_sizes": Part("A training step at the papers' sizes", of_weights=False),
}


def weights_of(model: Path) -> str:
    """Give name, version and hash of a bundle's weights; "none" without one."""
    path = model / "model.json"
    if not path.is_file():
        return "none"
    content = json.loads(path.read_text(encoding="utf-8"))
    return f"{content['name']} {content['version']} ({content['network']['sha256'][:12]})"


def read_measured(path: Path) -> dict[str, dict[str, str]]:
    """Give the content of RESULTS.json; nothing when it is not there."""
    if not path.is_file():
        return {}
    content: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return content


def is_missing(part: Mapping[str, str]) -> bool:
    """Tell whether a part only says why it could not be measured."""
    return part["text"].startswith(NOT_MEASURED)


def is_measured(measured: Measured, name: str, weights: str) -> bool:
    """Tell whether a part was measured, and with these weights where weights matter."""
    part = measured.get(name)
    if part is None or is_missing(part):
        return False
    return not PARTS[name].of_weights or part["model"] == weights


def page(measured: Measured, weights: str) -> str:
    """Give RESULTS.md.

    Parameters
    ----------
    measured
        Content of RESULTS.json.
    weights
        Of the model that is there now (`weights_of`); parts of others are marked.
    """
    lines = [
        "# Measured",
        "",
        'Written by `make bench`; one part again: `make bench BENCH_ARGS="--only startup"`; what '
        "a new",
        "model needs: `make measure`. Times are wall clock, memory is the peak resident memory of "
        "the",
        "process and its children.",
    ]
    parts = [name for name in PARTS if name in measured]
    old = [name for name in parts if _is_of_other_weights(measured[name], name, weights)]
    if old:
        lines += ["", f"Measured with other weights than {weights}: {', '.join(old)}."]
    for name in parts:
        part = measured[name]
        lines += ["", f"## {PARTS[name].title}", "", part["text"], "", _origin(part, name, weights)]
    return "\n".join(lines) + "\n"


def _is_of_other_weights(part: Mapping[str, str], name: str, weights: str) -> bool:
    return PARTS[name].of_weights and part["model"] != weights


def _origin(part: Mapping[str, str], name: str, weights: str) -> str:
    model = f"model {part['model']}" if PARTS[name].of_weights else "no trained weights"
    commit = f"; commit {part['commit']}" if part.get("commit") else ""
    words = f"{part['date']}; {model}{commit}; {part['machine']}."
    if _is_of_other_weights(part, name, weights):
        words = (
            f"**Measured with {part['model']}; the model is now {weights}:** "
            f'`make bench BENCH_ARGS="--only {name}"`. {words}'
        )
    return words


def tables(text: str) -> list[list[dict[str, str]]]:
    """Give the Markdown tables of a part: a dictionary per row, by the words of the head.

    Two columns without a word would be one: only the first column may lack it.
    """
    return list(_tables(text.splitlines()))


def _tables(lines: list[str]) -> Iterator[list[dict[str, str]]]:
    rows: list[list[str]] = []
    for line in [*lines, ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
        elif rows:
            head, _, *body = rows
            yield [dict(zip(head, cells, strict=True)) for cells in body]
            rows = []
