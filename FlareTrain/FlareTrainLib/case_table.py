"""The cases of a dataset as rows of a table, and a check's findings kept in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import target_by_id, targets

from .case_files import label_files
from .dataset import Dataset, DatasetCase, read_dataset
from .label_values import TUMOR
from .settings import read_json, write_json

if TYPE_CHECKING:
    from .dataset_check import DatasetReport

REPORT, LISTING = "report.json", "listing.json"


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


@dataclass(frozen=True)
class Listing:
    """The rows of the table, and sentences about the whole dataset."""

    rows: tuple[CaseRow, ...] = ()
    notes: tuple[str, ...] = ()


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
    _write(
        folder / REPORT,
        Listing(tuple(case_rows(report.dataset, findings)), tuple(report.dataset.notes)),
    )


def read_report(folder: Path) -> Listing:
    """Rows and notes of the last check, empty when there was none."""
    return _read(folder / REPORT)


def write_listing(folder: Path, data: Path, checked: Path) -> str:
    """List the cases of a dataset as far as that needs no label map; what came out, in words.

    Parameters
    ----------
    folder
        Where ``listing.json`` is left.
    data
        The dataset.
    checked
        Folder of the last check, whose findings are added.

    Raises
    ------
    InputError
        When the folder is no dataset, or a damaged one.
    """
    report = read_report(checked)
    if not (data / "imagesTr").is_dir() and not report.rows:
        raise InputError("This folder is no dataset. Choose another, or click New.")
    if not can_be_listed_at_once(data):
        notes = report.notes or (
            "Click Check: the label maps must be read to know what is annotated.",
        )
        listing = replace(report, notes=notes)
    elif any((data / "imagesTr").iterdir()):
        found = {row.name: row.findings for row in report.rows}
        dataset = read_dataset(data)
        listing = Listing(tuple(case_rows(dataset, found)), dataset.notes)
    else:
        listing = Listing((), ("This dataset has no case yet. Add one below.",))
    _write(folder / LISTING, listing)
    return f"{len(listing.rows)} cases."


def read_listing(folder: Path) -> Listing:
    """Give what `write_listing` left."""
    return _read(folder / LISTING)


def _write(path: Path, listing: Listing) -> None:
    write_json(path, {"notes": list(listing.notes), "rows": [asdict(row) for row in listing.rows]})


def _read(path: Path) -> Listing:
    if not path.is_file():
        return Listing()
    content = read_json(path)
    rows = tuple(
        CaseRow(
            row["name"],
            row["part"],
            row["annotated"],
            tuple(row["sources"]),
            tuple(row["findings"]),
        )
        for row in content["rows"]
    )
    return Listing(rows, tuple(content["notes"]))
