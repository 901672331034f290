"""Label maps of many scans by a model: a pseudo-label source.

The source is a folder with ``<case>.nii.gz`` and ``source.json``, which says what model made it.
Each label map is written whole or not at all, so a run that was stopped, or lost a computer, goes
on with the cases that are missing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from FlareSegmentLib.cases import find_cases
from FlareSegmentLib.errors import FlareError, InputError
from FlareSegmentLib.labels import target_by_key
from FlareSegmentLib.reading import read_volume
from FlareSegmentLib.writing import write_label_map

from .activity import tell
from .dataset import read_dataset
from .reference_data import is_reference_layout
from .settings import read_json, write_json
from .whole_files import made_folder

if TYPE_CHECKING:
    from FlareSegmentLib.segmenter import Segmenter

logger = logging.getLogger(__name__)

SOURCE = "source.json"


@dataclass(frozen=True)
class LabelJob:
    """One scan to label: everything a computer of a cluster needs to know."""

    name: str
    bundle: Path
    scan: Path
    output: Path
    device: str = "auto"


@dataclass(frozen=True)
class Labeled:
    """What became of a job; `problem` is a sentence, or "" when the label map is there."""

    name: str
    problem: str = ""


JobRunner = Callable[[list[LabelJob]], list[Labeled]]
"""Does the jobs, here or on a cluster."""


def scans_of(folder: Path) -> dict[str, Path]:
    """Scans by case name: those of a dataset, or all below a folder.

    Raises
    ------
    InputError
        When there is none.
    """
    if (folder / "imagesTr").is_dir() or is_reference_layout(folder):
        return {case.name: case.scan for case in read_dataset(folder).cases}
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}. Check the path.")
    scans = {case.name: case.source for case in find_cases([folder], folder / ".none")}
    if list(scans.values()) == [folder]:
        raise InputError(f"There is no scan in {folder}. Give a folder of scans, or a dataset.")
    return scans


def label_scans(
    bundle: Path,
    scans: Mapping[str, Path],
    output: Path,
    device: str = "auto",
    runner: JobRunner | None = None,
) -> dict[str, Path]:
    """Label scans with a model; those that are labeled already are left.

    Parameters
    ----------
    bundle
        Folder of the model.
    scans
        Files or DICOM folders by case name.
    output
        Folder of the source; made when missing.
    runner
        Who does the jobs; None does them here, one after the other.

    Returns
    -------
    Label maps by case name.

    Raises
    ------
    InputError
        When a case could not be labeled, after the others were; or the folder is of another model.
    OutputError
        When the folder cannot be written.
    """
    _claim_folder(bundle, output)
    paths = {name: output / f"{name}.nii.gz" for name in scans}
    jobs = [
        LabelJob(name, bundle, scan, paths[name], device)
        for name, scan in scans.items()
        if not paths[name].exists()
    ]
    if len(jobs) < len(scans):
        logger.info("%d of %d cases are labeled already", len(scans) - len(jobs), len(scans))
    results = (runner or run_here)(jobs) if jobs else []
    problems = [result for result in results if result.problem]
    if problems:
        more = f" ({len(problems) - 1} more failed)" if len(problems) > 1 else ""
        raise InputError(f"{problems[0].name} could not be labeled: {problems[0].problem}{more}")
    return paths


def run_here(jobs: list[LabelJob]) -> list[Labeled]:
    """Do the jobs one after the other in this process."""
    results = []
    for number, job in enumerate(jobs, start=1):
        tell("labeling", number, len(jobs))
        results.append(label_one(job))
        logger.info("labeled %s (%d of %d)", job.name, number, len(jobs))
    return results


def label_one(job: LabelJob) -> Labeled:
    """Do one job; errors of the case become its problem."""
    if job.output.exists():
        return Labeled(job.name)
    try:
        segmenter = _segmenter(str(job.bundle), job.device)
        label_map = segmenter.segment(read_volume(job.scan))
        found = [target_by_key(key) for key in label_map.targets]
        write_label_map(job.output, label_map.array, label_map.affine, found)
    except FlareError as error:
        return Labeled(job.name, str(error))
    return Labeled(job.name)


@lru_cache(maxsize=1)
def _segmenter(bundle: str, device: str) -> Segmenter:
    """Load the model once per process and folder."""
    from FlareSegmentLib.bundle import ModelBundle
    from FlareSegmentLib.segmenter import Segmenter

    return Segmenter(ModelBundle.load(bundle), device)


def _claim_folder(bundle: Path, output: Path) -> None:
    """Say in the folder which model it is of; refuse one that is of another."""
    from FlareSegmentLib.bundle import read_info

    info = read_info(bundle)
    ours = {"model": f"{info.name} {info.version}", "sha256": info.network.sha256}
    path = made_folder(output) / SOURCE
    if path.exists():
        made = read_json(path)
        if {key: made.get(key) for key in ours} != ours:
            raise InputError(
                f"{output} holds pseudo-labels of the model {made.get('model')}, not of "
                f"{ours['model']} as it is now. Choose another folder."
            )
        return
    if any(output.glob("*.nii.gz")):
        raise InputError(
            f"{output} holds label maps that were not made by this program. Choose another folder."
        )
    write_json(path, {**ours, "targets": [target_by_key(key).id for key in info.targets]})
