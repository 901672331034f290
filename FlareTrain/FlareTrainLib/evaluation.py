"""Scores of a bundle on validation cases, through the same `Segmenter` that users run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from FlareSegmentLib.errors import FlareError, InputError
from FlareSegmentLib.evaluation import evaluate_folders
from FlareSegmentLib.evaluation_report import Evaluation
from FlareSegmentLib.labels import target_by_key, targets
from FlareSegmentLib.reading import case_name, read_label_map, read_volume
from FlareSegmentLib.writing import write_label_map

from .activity import tell
from .dataset import DatasetCase
from .file_links import link
from .label_maps import target_ids
from .whole_files import made_folder, write_text

logger = logging.getLogger(__name__)

ORGANS = 13


def predict_cases(
    bundle: Path,
    cases: Mapping[str, Path],
    output: Path,
    device: str = "auto",
) -> list[Path]:
    """Segment scans into ``output/<case>_seg.nii.gz``; what is there is replaced."""
    from FlareSegmentLib.bundle import ModelBundle
    from FlareSegmentLib.segmenter import Segmenter

    segmenter = Segmenter(ModelBundle.load(bundle), device)
    made_folder(output)
    paths = []
    for number, (name, scan) in enumerate(cases.items(), start=1):
        tell("scoring", number, len(cases))
        label_map = segmenter.segment(read_volume(scan))
        found = [target_by_key(key) for key in label_map.targets]
        path = output / f"{name}_seg.nii.gz"
        write_label_map(path, label_map.array, label_map.affine, found)
        paths.append(path)
        logger.info("segmented %s", name)
    return paths


def evaluate_bundle(
    bundle: Path,
    cases: Sequence[DatasetCase],
    output: Path,
    device: str = "auto",
    values: Mapping[int, int] | None = None,
) -> Evaluation:
    """Segment the validation cases with a bundle and score the result by FLARE's metrics.

    The label maps, ``evaluation.csv`` and ``evaluation.json`` are left in `output`.

    Parameters
    ----------
    values
        Target id by value in the reference label maps; None where they hold target ids.

    Raises
    ------
    FlareError
        When there is no case, or the bundle or a case cannot be used.
    """
    judged = [case for case in cases if case.labels is not None]
    if not judged:
        raise InputError(
            "There is nothing to evaluate on: the dataset has no validation cases. Put scans into "
            "imagesTs and their label maps into labelsTs."
        )
    predictions, references = output / "predictions", output / "references"
    for folder in (predictions, references):
        made_folder(folder)
        _remove_all_but({case.name for case in judged}, folder)
    try:
        predict_cases(bundle, {c.name: c.scan for c in judged}, predictions, device)
        for case in judged:
            _place_reference(case, references, values)
        annotated = {case.name: sorted(case.known) for case in judged}
        result = evaluate_folders(predictions, references, annotated)
    except FlareError as error:
        raise type(error)(f"Evaluation of {bundle}: {error}") from error
    write_text(output / "evaluation.csv", result.as_csv())
    write_text(output / "evaluation.json", result.as_json())
    return result


def mean_score(evaluation: Evaluation) -> float:
    """One number to choose by: mean DSC of the organs in view, 13 times, and of tumor, once."""
    return score_of_summary(evaluation.summary())


def score_of_summary(summary: Mapping[str, Any]) -> float:
    """The same from `Evaluation.summary`, as it stands in ``evaluation.json``."""
    organs, tumor = summary["organs_in_view"]["dsc"], summary["tumor"]["dsc"]
    parts = [(value, weight) for value, weight in ((organs, ORGANS), (tumor, 1)) if _is(value)]
    total = sum(weight for _, weight in parts)
    return sum(value * weight for value, weight in parts) / total if total else 0.0


def _is(value: float | None) -> bool:
    return value is not None and value == value


def _place_reference(case: DatasetCase, folder: Path, values: Mapping[int, int] | None) -> None:
    assert case.labels is not None
    ending = case.labels.name[len(case_name(case.labels)) :]
    if values is None or all(value == target for value, target in values.items()):
        link(case.labels, folder / f"{case.name}_label{ending}")
        return
    array, affine = read_label_map(case.labels)
    path = folder / f"{case.name}_label.nii.gz"
    write_label_map(path, target_ids(array, values, case.labels), affine, targets())


def _remove_all_but(names: set[str], folder: Path) -> None:
    """Remove what an earlier evaluation of other cases left in its own folder."""
    for path in folder.iterdir():
        if case_name(path).removesuffix("_seg").removesuffix("_label") not in names:
            path.unlink()
