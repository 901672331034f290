"""The cases of a dataset as rows of a table, and a check's findings kept in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from FlareSegmentLib.labels import target_by_id, targets

from .dataset import Dataset, DatasetCase, label_files
from .settings import read_json, write_json

if TYPE_CHECKING:
    from .dataset_check import DatasetReport

REPORT = "report.json"
TUMOR = 14


@dataclass(frozen=True)
class CaseRow:
    """One line of the table.

    Attributes
    ----------
    name
        Case name.
    part
        "training" or "validation".
    annotated
        What is annotated, in words.
    sources
        Pseudo-label sources that labeled it.
    findings
        Sentences of the last check.
    """

    name: str
    part: str
    annotated: str
    sources: tuple[str, ...]
    findings: tuple[str, ...] = ()


def can_be_listed_at_once(folder: Path) -> bool:
    """Whether listing needs no label map to be read: what is annotated stands in a file."""
    if (folder / "annotated.json").is_file():
        return True
    drawn = folder / "labelsTr"
    return (folder / "imagesTr").is_dir() and not (drawn.is_dir() and any(drawn.iterdir()))


def case_rows(
    dataset: Dataset, findings: Mapping[str, Sequence[str]] | None = None
) -> list[CaseRow]:
    """Give a row per case, training first."""
    labeled = {name: set(label_files(path)) for name, path in dataset.sources.items()}
    found = findings or {}
    parts = [("training", case) for case in dataset.cases]
    parts += [("validation", case) for case in dataset.validation]
    return [
        CaseRow(
            case.name,
            part,
            annotated_text(case),
            tuple(name for name, names in labeled.items() if case.name in names),
            tuple(found.get(case.name, ())),
        )
        for part, case in parts
    ]


def annotated_text(case: DatasetCase) -> str:
    """Say in few words what a case says something about."""
    known, organs = case.known, {target.id for target in targets()} - {TUMOR}
    if not known:
        return "nothing"
    if organs <= known:
        return "all organs and tumor" if TUMOR in known else "all organs"
    return ", ".join(target_by_id(label).name.lower() for label in sorted(known))


def write_report(folder: Path, report: DatasetReport) -> None:
    """Keep rows and findings of a check."""
    findings: dict[str, list[str]] = {}
    for finding in report.findings:
        findings.setdefault(finding.case, []).append(finding.text)
    rows = case_rows(report.dataset, findings)
    write_json(
        folder / REPORT,
        {
            "notes": list(report.dataset.notes),
            "rows": [
                {
                    "name": row.name,
                    "part": row.part,
                    "annotated": row.annotated,
                    "sources": list(row.sources),
                    "findings": list(row.findings),
                }
                for row in rows
            ],
        },
    )


def read_report(folder: Path) -> tuple[list[CaseRow], list[str]]:
    """Rows and notes of the last check, empty when there was none."""
    if not (folder / REPORT).is_file():
        return [], []
    content = read_json(folder / REPORT)
    rows = [
        CaseRow(
            row["name"],
            row["part"],
            row["annotated"],
            tuple(row["sources"]),
            tuple(row["findings"]),
        )
        for row in content["rows"]
    ]
    return rows, list(content["notes"])
