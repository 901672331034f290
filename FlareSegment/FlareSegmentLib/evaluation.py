"""Comparison of a folder of label maps with a folder of references, by FLARE's metrics."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import InputError, OutputError
from .evaluation_report import CaseEvaluation, Evaluation
from .geometry import canonical_axes, spacing_of
from .labels import target_by_key, targets
from .lesions import count_lesions
from .metrics import IGNORE, Mode, evaluate_case
from .reading import SUFFIXES, case_name, read_label_map

log = logging.getLogger(__name__)

ANNOTATED_FILE = "annotated.json"
"""File in the reference folder that says which ids were annotated in which case."""

_PREDICTION_ENDINGS = ("_seg", "_label")
_REFERENCE_ENDINGS = ("_label", "_seg")
_SCAN_ENDINGS = ("_ct", "_0000")
"""Of scans that lie beside the label maps and are none; ``<case>_ct_seg`` is of ``<case>``."""

_SAME_PLACE_MM = 0.1
"""Two grids are the same when no corner differs by more: headers round, scans move by more."""

_TUMOR = "tumor"


@dataclass(frozen=True)
class EvaluationArguments:
    """What ``flare-segment evaluate PRED REF`` takes.

    Attributes
    ----------
    prediction, reference
        Two folders of label maps, or two files.
    annotated
        JSON file with the annotated ids per case; None: ``annotated.json`` in the reference
        folder where there is one, otherwise every id counts as annotated.
    mode
        ``"correct"`` or ``"flare"``, see `metrics`.
    output
        Folder for ``evaluation.csv`` and ``evaluation.json``; None writes nothing.
    """

    prediction: Path
    reference: Path
    annotated: Path | None = None
    mode: Mode = "correct"
    output: Path | None = None


def evaluate_folders(
    prediction: Path,
    reference: Path,
    annotated: Mapping[str, Collection[int]] | None = None,
    mode: Mode = "correct",
) -> Evaluation:
    """Compare label maps with references, paired by case name.

    Parameters
    ----------
    prediction
        Folder with ``<case>_seg.*`` or ``<case>.*``, or one file.
    reference
        Folder with ``<case>_label.*``, ``<case>_seg.*`` or ``<case>.*``, or one file.
    annotated
        Annotated ids per case; a case that is not in it is compared in all. None takes
        ``annotated.json`` of the reference folder where there is one.
    mode
        ``"correct"`` or ``"flare"``.

    Raises
    ------
    InputError
        When there is nothing to compare, a file cannot be read, or two maps of one case do not
        lie on one grid.
    """
    if annotated is None:
        folder = reference if reference.is_dir() else reference.parent
        file = folder / ANNOTATED_FILE
        annotated = read_annotated(file) if file.is_file() else {}
    pairs, unpaired = _pairs(prediction, reference)
    cases = []
    for case, predicted, truth in pairs:
        log.info("Comparing %s", case)
        cases.append(_evaluate_pair(case, predicted, truth, annotated.get(case), mode))
    return Evaluation(mode, tuple(cases), tuple(unpaired))


def run(arguments: EvaluationArguments) -> Evaluation:
    """Do what ``flare-segment evaluate`` asks for; the caller shows `Evaluation.as_table`.

    Raises
    ------
    InputError
        As `evaluate_folders`; also for an unreadable list of annotated ids.
    OutputError
        When the tables cannot be written.
    """
    annotated = None if arguments.annotated is None else read_annotated(arguments.annotated)
    result = evaluate_folders(
        arguments.prediction, arguments.reference, annotated, mode=arguments.mode
    )
    if arguments.output is not None:
        try:
            arguments.output.mkdir(parents=True, exist_ok=True)
            (arguments.output / "evaluation.csv").write_text(result.as_csv(), encoding="utf-8")
            (arguments.output / "evaluation.json").write_text(result.as_json(), encoding="utf-8")
        except OSError as error:
            raise OutputError(
                f"The tables cannot be written to {arguments.output} ({error.strerror}). "
                "Choose a folder you can write to."
            ) from error
    return result


def read_annotated(path: Path) -> dict[str, list[int]]:
    """Read which ids were annotated in which case.

    The file maps a case to a list of ids, or to an object with the list as ``annotated``.

    Raises
    ------
    InputError
        When the file cannot be read or has another form.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        entries = {
            str(case): entry["annotated"] if isinstance(entry, dict) else entry
            for case, entry in content.items()
        }
        return {case: [int(label) for label in ids] for case, ids in entries.items()}
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}). Check the path.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} does not say which ids were annotated in which case. "
            'It must look like {"case": {"annotated": [1, 2]}}.'
        ) from error


def _pairs(prediction: Path, reference: Path) -> tuple[list[tuple[str, Path, Path]], list[str]]:
    for path in (prediction, reference):
        if not path.exists():
            raise InputError(f"There is no file or folder {path}. Check the path.")
    references = _label_maps(reference, _REFERENCE_ENDINGS)
    if prediction.is_file() and reference.is_file():
        (case, truth), *_ = references.items()
        return [(case, prediction, truth)], []
    predictions = _label_maps(prediction, _PREDICTION_ENDINGS)
    both = sorted(predictions.keys() & references.keys())
    if not both:
        raise InputError(
            f"No case is in both {prediction} ({_some(predictions)}) and {reference} "
            f"({_some(references)}). Predictions are named <case>_seg.nii.gz or <case>.nii.gz, "
            "references <case>_label.nii.gz or <case>.nii.gz (or another image format)."
        )
    unpaired = [f"{case} has no prediction." for case in sorted(references.keys() - both)]
    unpaired += [f"{case} has no reference." for case in sorted(predictions.keys() - both)]
    for sentence in unpaired:
        log.warning(sentence)
    return [(case, predictions[case], references[case]) for case in both], unpaired


def _label_maps(path: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    """Files by case name. A name with an ending wins over the bare name, which may be the scan."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    files = [file for file in files if file.is_file() and file.name.lower().endswith(SUFFIXES)]
    found: dict[str, Path] = {}
    ranks: dict[str, int] = {}
    for file in files:
        name, rank = case_name(file), len(endings)
        if name.endswith(_SCAN_ENDINGS):
            continue
        for n, ending in enumerate(endings):
            if name.endswith(ending):
                name, rank = name.removesuffix(ending), n
                for scan_ending in _SCAN_ENDINGS:
                    name = name.removesuffix(scan_ending)
                break
        if name in found and ranks[name] == rank:
            raise InputError(
                f"Case {name} is there twice: {found[name].name} and {file.name} in {path}. "
                "Keep one of them in the folder."
            )
        if name not in found or rank < ranks[name]:
            found[name], ranks[name] = file, rank
    return found


def _some(cases: Collection[str]) -> str:
    if not cases:
        return "no label maps"
    names = sorted(cases)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _evaluate_pair(
    case: str, prediction: Path, reference: Path, annotated: Collection[int] | None, mode: Mode
) -> CaseEvaluation:
    labels, affine = read_label_map(prediction)
    truth, truth_affine = read_label_map(reference)
    for path, array in ((prediction, labels), (reference, truth)):
        _check_ids(path, array)
    _check_same_grid(case, labels, affine, truth, truth_affine)
    spacing = spacing_of(truth_affine)
    # The tubes are cut across the patient, whichever array axis that is; FLARE's script takes the
    # last axis of the file as it is.
    z_axis = canonical_axes(truth_affine).permutation[0] if mode == "correct" else 0
    scores = evaluate_case(labels, truth, spacing, annotated, mode=mode, z_axis=z_axis)
    tumor = target_by_key(_TUMOR).id
    lesions = None
    if annotated is None or tumor in annotated:
        voxel_ml = float(abs(np.linalg.det(truth_affine[:3, :3]))) / 1000.0
        lesions = count_lesions(labels, truth, voxel_ml, tumor)
    return CaseEvaluation(case, tuple(scores), lesions)


def _check_ids(path: Path, labels: np.ndarray) -> None:
    last = len(targets())
    lowest = int(labels.min(initial=0))
    highest = int(labels.max(initial=0, where=labels != IGNORE))
    if lowest < 0 or highest > last:
        raise InputError(
            f"{path.name} holds values from {lowest} to {highest}, but a label map has 0 to {last} "
            f"({IGNORE} for voxels to ignore). Give a segmentation, not a scan, with FLARE's ids."
        )


def _check_same_grid(
    case: str, labels: np.ndarray, affine: np.ndarray, truth: np.ndarray, truth_affine: np.ndarray
) -> None:
    if labels.shape != truth.shape:
        sizes = [" x ".join(str(n) for n in array.shape[::-1]) for array in (labels, truth)]
        raise InputError(
            f"{case}: the prediction has {sizes[0]} voxels and the reference {sizes[1]}. Both "
            "must lie on the grid of the same scan; segment the scan the reference belongs to."
        )
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in truth.shape[::-1]])).reshape(3, -1)
    corners = np.vstack([corners, np.ones(corners.shape[1])])
    apart = np.linalg.norm(((affine - truth_affine) @ corners)[:3], axis=0).max()
    if apart > _SAME_PLACE_MM:
        raise InputError(
            f"{case}: the prediction and the reference lie in different places (up to "
            f"{apart:.1f} mm apart). Both must lie on the grid of the same scan; check the "
            "position and orientation in their headers."
        )
