"""Scores of a bundle on validation cases, through the same `Segmenter` that users run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from FlareSegmentLib.bundle import ModelBundle
from FlareSegmentLib.errors import FlareError, InputError
from FlareSegmentLib.evaluation import evaluate_folders, read_annotated
from FlareSegmentLib.evaluation_report import Evaluation
from FlareSegmentLib.labels import target_by_key
from FlareSegmentLib.reading import SUFFIXES, case_name, read_volume
from FlareSegmentLib.segmenter import InferenceSettings, Segmenter
from FlareSegmentLib.writing import write_label_map

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReferenceCase:
    """A scan with its reference label map, and which target ids were annotated in it."""

    name: str
    scan: Path
    labels: Path
    annotated: tuple[int, ...]


def find_reference_cases(folder: Path) -> list[ReferenceCase]:
    """Validation cases of a folder with ``<case>_ct.*``, ``<case>_label.*`` and annotated.json.

    Raises
    ------
    InputError
        When the folder has no such case, or a scan without labels.
    """
    annotated_file = folder / "annotated.json"
    annotated = read_annotated(annotated_file) if annotated_file.is_file() else {}
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    names = {case_name(f): f for f in files if f.name.lower().endswith(SUFFIXES)}
    cases = []
    for stem, scan in names.items():
        if not stem.endswith("_ct"):
            continue
        name = stem.removesuffix("_ct")
        labels = names.get(f"{name}_label")
        if labels is None:
            raise InputError(
                f"The validation scan {scan.name} has no label map {name}_label.nii.gz beside it "
                f"in {folder}. Add it, or take the scan out."
            )
        cases.append(ReferenceCase(name, scan, labels, tuple(annotated.get(name, range(1, 15)))))
    if not cases:
        raise InputError(
            f"There is no validation case in {folder}: files <case>_ct.nii.gz with "
            "<case>_label.nii.gz are needed."
        )
    return cases


def predict_cases(
    bundle: Path,
    cases: Mapping[str, Path],
    output: Path,
    device: str = "auto",
    settings: InferenceSettings | None = None,
) -> list[Path]:
    """Segment scans into ``output/<case>_seg.nii.gz``; what is there is replaced."""
    segmenter = Segmenter(ModelBundle.load(bundle), device, settings or InferenceSettings())
    output.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, scan in cases.items():
        label_map = segmenter.segment(read_volume(scan))
        targets = [target_by_key(key) for key in label_map.targets]
        path = output / f"{name}_seg.nii.gz"
        write_label_map(path, label_map.array, label_map.affine, targets)
        paths.append(path)
        logger.info("segmented %s in %.1f s", name, label_map.report["seconds"]["total"])
    return paths


def evaluate_bundle(
    bundle: Path,
    cases: Sequence[ReferenceCase],
    output: Path,
    device: str = "auto",
    settings: InferenceSettings | None = None,
) -> Evaluation:
    """Segment the reference cases with a bundle and score the result by FLARE's metrics.

    The label maps, ``evaluation.csv`` and ``evaluation.json`` are left in `output`.

    Raises
    ------
    FlareError
        When the bundle or a case cannot be used; the text names the case.
    """
    if not cases:
        raise InputError("There is nothing to evaluate on: the dataset has no validation cases.")
    predictions = output / "predictions"
    references = output / "references"
    references.mkdir(parents=True, exist_ok=True)
    try:
        predict_cases(bundle, {c.name: c.scan for c in cases}, predictions, device, settings)
        for case in cases:
            link(case.labels, references / f"{case.name}_label{_ending(case.labels)}")
        annotated = {case.name: case.annotated for case in cases}
        known = {f"{case.name}_seg.nii.gz" for case in cases}
        for stale in predictions.iterdir():
            if stale.name not in known:
                logger.warning("%s is of an earlier run and is not evaluated", stale)
        result = evaluate_folders(predictions, references, annotated)
    except FlareError as error:
        raise type(error)(f"Evaluation of {bundle}: {error}") from error
    (output / "evaluation.csv").write_text(result.as_csv(), encoding="utf-8")
    (output / "evaluation.json").write_text(result.as_json(), encoding="utf-8")
    return result


def mean_score(evaluation: Evaluation) -> float:
    """One number to choose by: mean DSC of organs in view and of tumor, organs 13 times."""
    summary = evaluation.summary()
    organs, tumor = summary["organs_in_view"]["dsc"], summary["tumor"]["dsc"]
    if organs is None or organs != organs:
        return float(tumor or 0.0)
    return float(organs) if tumor is None else float((13 * organs + tumor) / 14)


def link(source: Path, target: Path) -> None:
    """Make `target` a link to the file `source` (a copy where the system has no links)."""
    if target.is_symlink() or target.exists():
        target.unlink()
    try:
        target.symlink_to(source.resolve())
    except OSError:
        import shutil

        shutil.copy2(source, target)


def _ending(path: Path) -> str:
    return path.name[len(case_name(path)) :]
