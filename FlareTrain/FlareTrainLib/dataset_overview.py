"""The result of a dataset check as text and as a page with pictures."""

from __future__ import annotations

import html
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from FlareSegmentLib.errors import FlareError, OutputError
from FlareSegmentLib.labels import targets

from .whole_files import made_folder, write_text

if TYPE_CHECKING:
    from .dataset_check import CaseSummary, DatasetReport

logger = logging.getLogger(__name__)

_STYLE = """
body { font-family: sans-serif; margin: 2em; color: #222; }
table { border-collapse: collapse; font-size: 85%; }
th, td { border: 1px solid #ccc; padding: 2px 6px; text-align: right; }
td.name { text-align: left; white-space: nowrap; }
td.unknown { background: #eee; }
img { max-width: 100%; border: 1px solid #ccc; }
"""

_LEGEND = (
    "ml: annotated; 0: annotated and not there; empty (gray): nothing is known of the target in "
    "this case."
)


def overview_text(report: DatasetReport) -> str:
    """Table of cases and targets, notes and findings for a terminal."""
    headings = ["case", "part", "voxels (i j k)", "mm (i j k)"]
    headings += [str(target.id) for target in targets()] + ["pseudo"]
    rows = [headings] + [
        [c.name, c.part, _size(c), _spacing(c), *_cells(c), str(len(c.sources))]
        for c in report.cases
    ]
    widths = [max(len(row[n]) for row in rows) for n in range(len(headings))]
    lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    keys = ", ".join(f"{target.id} {target.key}" for target in targets())
    lines += ["", f"Targets: {keys}.", _LEGEND.replace("empty (gray)", ".")]
    sources = ", ".join(report.dataset.sources) or "none"
    lines += [f"Pseudo-label sources: {sources}."]
    lines += [f"Note: {note}" for note in report.dataset.notes]
    lines += ["", f"{len(report.findings)} findings; nothing was changed."]
    lines += [f"  {finding.case}: [{finding.kind}] {finding.text}" for finding in report.findings]
    return "\n".join(lines)


def overview_html(report: DatasetReport, pictures: dict[str, str]) -> str:
    """Give the page; `pictures` are relative paths by case name."""
    escape = html.escape
    heads = "".join(f"<th title='{escape(t.name)}'>{t.id}</th>" for t in targets())
    rows = []
    for case in report.cases:
        cells = "".join(
            "<td class='unknown'></td>" if cell == "." else f"<td>{cell}</td>"
            for cell in _cells(case)
        )
        rows.append(
            f"<tr><td class='name'><a href='#{escape(case.name)}'>{escape(case.name)}</a></td>"
            f"<td>{case.part}</td><td>{_size(case)}</td><td>{_spacing(case)}</td>{cells}"
            f"<td>{len(case.sources)}</td></tr>"
        )
    notes = "".join(f"<p><b>Note:</b> {escape(note)}</p>" for note in report.dataset.notes)
    findings = "".join(
        f"<li><a href='#{escape(f.case)}'>{escape(f.case)}</a> [{f.kind}] {escape(f.text)}</li>"
        for f in report.findings
    )
    sections = "".join(
        f"<h3 id='{escape(case.name)}'>{escape(case.name)}</h3>"
        + (
            f"<img src='{escape(pictures[case.name])}' alt='three slices with labels'>"
            if case.name in pictures
            else "<p>No picture: the scan cannot be read.</p>"
        )
        for case in report.cases
    )
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>Dataset check</title>"
        f"<style>{_STYLE}</style><h1>{escape(report.dataset.folder.name)}</h1>{notes}"
        f"<table><tr><th>case</th><th>part</th><th>voxels</th><th>mm</th>{heads}"
        f"<th>pseudo</th></tr>{''.join(rows)}</table><p>{_LEGEND}</p>"
        f"<h2>{len(report.findings)} findings; nothing was changed</h2><ul>{findings}</ul>"
        f"<h2>Cases</h2>{sections}</html>\n"
    )


def write_overview(report: DatasetReport, folder: Path) -> Path:
    """Write ``index.html`` and a picture per case; its path.

    Raises
    ------
    OutputError
        When the folder cannot be written.
    """
    from FlareSegmentLib.preview import render_preview

    from .case_loading import load_case

    made_folder(folder)
    pictures = {}
    for case in (*report.dataset.cases, *report.dataset.validation):
        try:
            scan = load_case(report.dataset, case)
            labels = scan.labels
            if labels is None:
                labels = (scan.volume.array * 0).astype("uint8")
            render_preview(
                scan.volume, labels * (labels <= len(targets())), folder / f"{case.name}.png"
            )
        except OutputError:
            raise
        except FlareError as error:
            logger.warning("no picture of %s: %s", case.name, error)
            continue
        pictures[case.name] = f"{case.name}.png"
    path = folder / "index.html"
    write_text(path, overview_html(report, pictures))
    return path


def _cells(case: CaseSummary) -> list[str]:
    ml = dict(case.ml)
    cells = []
    for target in targets():
        if target.id not in case.known:
            cells.append(".")
        else:
            value = ml.get(target.id, 0.0)
            cells.append("0" if value == 0 else f"{value:.1f}" if value < 10 else f"{value:.0f}")
    return cells


def _size(case: CaseSummary) -> str:
    return "x".join(str(n) for n in case.size[::-1]) or "unreadable"


def _spacing(case: CaseSummary) -> str:
    return "x".join(f"{s:.2f}" for s in case.spacing[::-1])
