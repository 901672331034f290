"""What a dataset holds, and what may be wrong with it: proposals for people, nothing is changed."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from FlareSegmentLib.errors import FlareError, InputError
from FlareSegmentLib.labels import target_by_id, target_by_key
from FlareSegmentLib.volume import Volume

from .activity import tell
from .case_files import label_files
from .case_loading import LoadedScan, load_case
from .cleaning import CleaningSettings, Proposal, find_suspicious
from .dataset import Dataset, DatasetCase, check_trainable, read_dataset
from .dataset_overview import overview_html, overview_text, write_overview
from .label_values import IGNORE, TUMOR
from .pseudo_sources import map_on_scan, read_pseudo

logger = logging.getLogger(__name__)

SIDES = (
    ("right_kidney", "left_kidney"),
    ("right_adrenal_gland", "left_adrenal_gland"),
    ("liver", "spleen"),
)
"""Pairs of which the first lies on the patient's right of the second."""


@dataclass(frozen=True)
class Finding:
    """Something to look at.

    Attributes
    ----------
    case
        Case name.
    kind
        "unreadable", "duplicate", "sides", "empty", "not annotated", "pseudo-label", "cleaning" or
        "intensity".
    text
        A sentence: what was found, and what it may mean.
    """

    case: str
    kind: str
    text: str


@dataclass(frozen=True)
class CaseSummary:
    """What one case holds.

    Attributes
    ----------
    part
        "training" or "validation".
    size, spacing
        Voxels and mm (k, j, i), canonical axes; empty when the scan cannot be read.
    known
        Target ids annotated or known to be absent.
    ml
        Volume per target id that occurs in the label map.
    sources
        Pseudo-label sources that labeled it.
    """

    name: str
    part: str
    size: tuple[int, ...] = ()
    spacing: tuple[float, ...] = ()
    known: tuple[int, ...] = ()
    ml: tuple[tuple[int, float], ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetReport:
    """All that `check_dataset` found."""

    dataset: Dataset
    cases: tuple[CaseSummary, ...]
    findings: tuple[Finding, ...]

    def as_text(self) -> str:
        """Give the table of cases and targets, and the findings, for a terminal."""
        return overview_text(self)

    def as_html(self, pictures: dict[str, str]) -> str:
        """Give the same as a page, with pictures by case name (relative paths)."""
        return overview_html(self, pictures)

    def write(self, folder: Path) -> Path:
        """Write the page with a picture per case; the path of ``index.html``.

        Raises
        ------
        OutputError
            When the folder cannot be written.
        """
        return write_overview(self, folder)


def check_dataset(folder: Path, components: CleaningSettings | None = None) -> DatasetReport:
    """Read every case of a dataset and look for what may be wrong.

    Raises
    ------
    InputError
        When the folder is no dataset at all; what is wrong with a case becomes a finding.
    """
    dataset = read_dataset(folder)
    try:
        check_trainable(dataset)
    except InputError as error:
        dataset = replace(dataset, notes=(*dataset.notes, str(error)))
    labeled = {name: label_files(path) for name, path in dataset.sources.items()}
    cases: list[CaseSummary] = []
    findings: list[Finding] = []
    seen: dict[str, str] = {}
    parts = [("training", case) for case in dataset.cases]
    parts += [("validation", case) for case in dataset.validation]
    for number, (part, case) in enumerate(parts, start=1):
        tell("reading", number, len(parts))
        sources = tuple(name for name, names in labeled.items() if case.name in names)
        try:
            scan = load_case(dataset, case)
        except FlareError as error:
            findings.append(Finding(case.name, "unreadable", str(error)))
            cases.append(CaseSummary(case.name, part, sources=sources))
            continue
        digest = image_hash(scan.volume.array)
        if digest in seen:
            text = f"Its scan is the same as that of {seen[digest]}, voxel by voxel. Keep one."
            findings.append(Finding(case.name, "duplicate", text))
        seen.setdefault(digest, case.name)
        findings += check_case(case, scan, components)
        for name in sources:
            findings += _check_pseudo(case, scan, name, labeled[name][case.name])
        cases.append(_summary(case, part, scan, sources))
        logger.info("checked %s", case.name)
    return DatasetReport(dataset, tuple(cases), tuple(findings))


def check_case(
    case: DatasetCase, scan: LoadedScan, components: CleaningSettings | None = None
) -> list[Finding]:
    """Findings of one case in canonical axes."""
    findings = []
    text = _intensity(scan.volume)
    if text:
        findings.append(Finding(case.name, "intensity", text))
    if scan.labels is None:
        return findings
    labels = scan.labels
    for text in wrong_sides(labels):
        findings.append(Finding(case.name, "sides", text))
    found = {int(v) for v in np.unique(labels)} - {0, IGNORE}
    for label in sorted(set(case.annotated) - found):
        name = target_by_id(label).name
        text = (
            f"{name} is listed as annotated, but there is none in the label map. If the patient "
            f"has one that was not drawn, take {label} out of annotated.json."
        )
        # A scan that was searched for tumors and has none is a negative example, and welcome.
        if label != TUMOR:
            findings.append(Finding(case.name, "empty", text))
    for label in sorted(found - set(case.annotated)):
        text = (
            f"{target_by_id(label).name} is in the label map, but not listed as annotated: it is "
            "not used. If it was drawn completely, add it to annotated.json."
        )
        findings.append(Finding(case.name, "not annotated", text))
    proposals = find_suspicious(labels, scan.volume.spacing, components)
    findings += [Finding(case.name, "cleaning", text) for text in summarize_proposals(proposals)]
    return findings


def _check_pseudo(case: DatasetCase, scan: LoadedScan, source: str, path: Path) -> list[Finding]:
    """Say it when a source's label map cannot be used on the scan."""
    try:
        map_on_scan(*read_pseudo(path), source, case.name, scan)
    except FlareError as error:
        return [Finding(case.name, "pseudo-label", f"Source {source}: {error}")]
    return []


def summarize_proposals(proposals: list[Proposal]) -> list[str]:
    """One sentence per target and reason, about the largest of its suspicious components."""
    groups: dict[tuple[int, str], list[Proposal]] = {}
    for proposal in proposals:
        groups.setdefault((proposal.target, proposal.kind), []).append(proposal)
    sentences = []
    for group in groups.values():
        largest = max(group, key=lambda proposal: proposal.voxels)
        k, j, i = largest.centre
        more = ""
        if len(group) > 1:
            ml = sum(proposal.ml for proposal in group)
            more = f" There are {len(group)} such components, {ml:.2f} ml together."
        sentences.append(
            f"{largest.reason} It is {largest.ml:.2f} ml, at slice {k}, row {j}, column {i} "
            f"(axial, feet to head); look whether it is real.{more}"
        )
    return sentences


def wrong_sides(labels: np.ndarray) -> list[str]:
    """Sentences about organs that lie on the other side than they should.

    `labels` is (k, j, i) in canonical axes: i grows towards the patient's left.
    """
    sentences = []
    for right, left in SIDES:
        one, other = target_by_key(right), target_by_key(left)
        columns = [np.flatnonzero((labels == t.id).any(axis=(0, 1))) for t in (one, other)]
        if any(len(c) == 0 for c in columns):
            continue
        # Centres of mass: extents are moved by a single wrong voxel.
        centres = [_centre_column(labels, t.id) for t in (one, other)]
        if centres[0] > centres[1]:
            sentences.append(
                f"{one.name} lies to the left of {other.name.lower()}: the two labels are swapped, "
                "or the scan's left and right are (or the patient has situs inversus)."
            )
    return sentences


def image_hash(array: np.ndarray) -> str:
    """Tell an image from others by its voxels in canonical axes, whatever the file format."""
    digest = hashlib.sha256(repr(array.shape).encode())
    for slice_ in array:
        digest.update(np.ascontiguousarray(slice_, dtype=np.float32).data)
    return digest.hexdigest()


def _centre_column(labels: np.ndarray, label: int) -> float:
    counts = np.count_nonzero(labels == label, axis=(0, 1))
    return float((counts * np.arange(len(counts))).sum() / counts.sum())


def _intensity(volume: Volume) -> str:
    from FlareSegmentLib.checking import check_ct

    try:
        check_ct(volume)
    except FlareError as error:
        return str(error)
    return ""


def _summary(
    case: DatasetCase, part: str, scan: LoadedScan, sources: tuple[str, ...]
) -> CaseSummary:
    ml: list[tuple[int, float]] = []
    if scan.labels is not None:
        counts = np.bincount(scan.labels.ravel(), minlength=256)
        ml = [
            (label, float(counts[label] * scan.volume.voxel_volume_ml))
            for label in range(1, TUMOR + 1)
            if counts[label]
        ]
    return CaseSummary(
        case.name,
        part,
        scan.volume.array.shape,
        scan.volume.spacing,
        tuple(sorted(case.known)),
        tuple(ml),
        sources,
    )
