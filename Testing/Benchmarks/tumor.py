"""Tumors: lesions found, DSC and false ones, on annotated scans, phantoms and scans without any.

.venv-bench/bin/python Testing/Benchmarks/tumor.py
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import inputs
import numpy as np
from inputs import MissingInputError, Options
from measuring import ScriptFailedError, markdown_table
from scipy import ndimage
from segmenting import emptied, segment_folder, write_labels, write_scan

if TYPE_CHECKING:
    from FlareSegmentLib.evaluation_report import CaseEvaluation

TUMOR = 14
SEEDS = range(1, 5)
ANNOTATED, PHANTOM, FREE = "annotated scans", "synthetic, with tumors", "synthetic, without"
TUMOR_KNOWN = ("crlm_1004", "cptac_C3L-00189", "medimagesjl_LCXXEJ", "panccbct_CB_001")
"""Training scans of patients with a tumor of the abdomen that is not annotated here."""


@dataclass(frozen=True)
class Unannotated:
    """What was called tumor in a scan whose tumors nobody annotated."""

    case: str
    lesions: int
    ml: float


def section(chosen: Options) -> str:
    """Measure and give the part of the report."""
    inputs.model(chosen)
    folder = inputs.validation_folder(chosen)
    evaluated = {ANNOTATED: _on_annotated(chosen, folder)}
    evaluated[PHANTOM] = _on_phantoms(chosen, tumors=None)
    evaluated[FREE] = _on_phantoms(chosen, tumors=0)
    unannotated = _on_unannotated(chosen, folder)
    known = [each for each in unannotated if each.case in TUMOR_KNOWN]
    others = [each for each in unannotated if each.case not in TUMOR_KNOWN]
    return "\n\n".join(
        [
            "Found: a lesion of the reference of 1 ml or more of which the segmentation has at "
            "least a voxel. False: a lesion of the segmentation, of any size, that touches none of "
            "the reference. DSC and NSD (tolerance 2 mm) in percent, mean over the cases that have "
            "a tumor; a tumor-free case of the challenge scores 0 with a single false voxel.",
            markdown_table(
                ("", "cases", "lesions", "found", "false", "false per case", "DSC", "NSD"),
                [_row(name, cases) for name, cases in evaluated.items() if cases],
            ),
            "Each annotated scan:",
            markdown_table(
                ("scan", "cases", "lesions", "found", "false", "false per case", "DSC", "NSD"),
                [_row(case.case, [case]) for case in evaluated[ANNOTATED]],
            ),
            _unannotated_sentence("Scans in which no tumor is known (not annotated)", others),
            _unannotated_sentence("Training scans with tumors that are not annotated", known),
        ]
    )


def _on_annotated(chosen: Options, folder: Path) -> list[CaseEvaluation]:
    from FlareSegmentLib.evaluation import ANNOTATED_FILE, read_annotated
    from FlareSegmentLib.reading import read_label_map, read_volume

    annotated = read_annotated(folder / ANNOTATED_FILE)
    work = _work(chosen, "annotated")
    cases = [case for case in inputs.validation_cases(chosen) if TUMOR in annotated[case]]
    for case in cases:
        write_scan(work / "scans", case, read_volume(inputs.scan_of(folder, case)))
        write_labels(work / "labels", case, *read_label_map(folder / f"{case}_label.nii.gz"))
    return _evaluated(chosen, work) if cases else []


def _on_phantoms(chosen: Options, tumors: int | None) -> list[CaseEvaluation]:
    from FlareSegmentLib.phantom import PhantomSettings, make_phantom

    work = _work(chosen, "phantoms")
    for seed in SEEDS:
        volume, labels = make_phantom(PhantomSettings(seed=seed, tumors=tumors))
        write_scan(work / "scans", f"phantom_{seed}", volume)
        write_labels(work / "labels", f"phantom_{seed}", labels, volume.affine)
    return _evaluated(chosen, work)


def _on_unannotated(chosen: Options, folder: Path) -> list[Unannotated]:
    """Count what is called tumor in the other validation scans and the training scans."""
    from FlareSegmentLib.evaluation import ANNOTATED_FILE, read_annotated
    from FlareSegmentLib.reading import read_label_map, read_volume

    annotated = read_annotated(folder / ANNOTATED_FILE)
    scans = {
        case: inputs.scan_of(folder, case)
        for case in inputs.validation_cases(chosen)
        if TUMOR not in annotated[case]
    }
    for path in sorted((chosen.shared / "data" / "ct").glob("*.nii.gz")):
        case = path.name.removesuffix(".nii.gz")
        if not chosen.cases or case in chosen.cases:
            scans[case] = path
    work = _work(chosen, "unannotated")
    for case, path in scans.items():
        write_scan(work / "scans", case, read_volume(path))
    if not scans:
        return []
    segment_folder(chosen, work / "scans", work / "segmentations")
    counted = []
    for case in scans:
        segmentation = work / "segmentations" / f"{case}_seg.nii.gz"
        if segmentation.is_file():
            labels, affine = read_label_map(segmentation)
            tumor = labels == TUMOR
            ml = float(np.count_nonzero(tumor) * abs(np.linalg.det(affine[:3, :3]))) / 1000
            lesions = ndimage.label(tumor, np.ones((3, 3, 3), bool))[1]
            counted.append(Unannotated(case, lesions, ml))
    emptied(work)
    return counted


def _work(chosen: Options, name: str) -> Path:
    work = emptied(chosen.work / "tumor" / name)
    (work / "scans").mkdir()
    (work / "labels").mkdir()
    return work


def _evaluated(chosen: Options, work: Path) -> list[CaseEvaluation]:
    from FlareSegmentLib.evaluation import evaluate_folders

    segment_folder(chosen, work / "scans", work / "segmentations")
    result = evaluate_folders(work / "segmentations", work / "labels")
    emptied(work)
    return list(result.cases)


def _row(name: str, cases: list[CaseEvaluation]) -> tuple[str, ...]:
    counts = [case.lesions for case in cases if case.lesions is not None]
    scores = [s for case in cases for s in case.scores if s.id == TUMOR and s.reference_voxels]
    false = sum(count.false_positive for count in counts)
    return (
        name,
        str(len(cases)),
        str(sum(count.lesions for count in counts)),
        str(sum(count.found for count in counts)),
        str(false),
        f"{false / len(cases):.1f}",
        _percent([s.dsc for s in scores]),
        _percent([s.nsd for s in scores]),
    )


def _percent(values: list[float]) -> str:
    return f"{100 * sum(values) / len(values):.1f}" if values else "-"


def _unannotated_sentence(what: str, scans: list[Unannotated]) -> str:
    if not scans:
        return f"{what}: none here."
    hits = sorted((each for each in scans if each.lesions), key=lambda each: -each.ml)
    lesions = sum(each.lesions for each in scans)
    sentence = (
        f"{what}: {len(scans)}; something is called tumor in {len(hits)}, "
        f"{lesions / len(scans):.1f} lesions per scan"
    )
    words = [f"{each.case} {each.lesions} ({each.ml:.1f} ml)" for each in hits]
    return f"{sentence}: {', '.join(words)}." if words else f"{sentence}."


if __name__ == "__main__":
    try:
        print(section(inputs.options(inputs.parser(__doc__).parse_args())))
    except (MissingInputError, ScriptFailedError) as problem:
        sys.exit(str(problem))
