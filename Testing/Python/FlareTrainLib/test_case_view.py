"""A process leaves arrays of a case that an application only has to copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import targets
from FlareSegmentLib.reading import read_label_map, read_volume
from FlareSegmentLib.writing import write_label_map
from FlareTrainLib.case_view import CaseView, Layer, prepare_view, read_view


def view(folder: Path, data: Path, **wanted: Any) -> CaseView:
    folder.mkdir(exist_ok=True)
    prepare_view(folder, {"data": str(data), **wanted})
    return read_view(folder)


def whole(folder: Path, layer: Layer, shape: tuple[int, ...]) -> np.ndarray:
    """A layer on the whole grid."""
    array = np.zeros(shape, np.uint8)
    array[tuple(slice(first, end) for first, end in layer.extent)] = np.load(folder / layer.file)
    return array


def test_scan_and_labels_are_those_of_the_files(raw_dataset: Path, tmp_path: Path) -> None:
    shown = view(tmp_path / "v", raw_dataset, case="case_2")
    scan = read_volume(raw_dataset / "imagesTr" / "case_2_0000.nii.gz")
    assert np.array_equal(np.load(tmp_path / "v" / "scan.npy"), scan.array)
    assert np.array_equal(shown.affine, scan.affine)
    (layer,) = shown.layers
    assert (layer.name, layer.ids, layer.is_mask) == ("case_2 annotated", (1, 3), False)
    expected, _ = read_label_map(raw_dataset / "labelsTr" / "case_2.nii.gz")
    assert np.array_equal(whole(tmp_path / "v", layer, scan.array.shape), expected)


def test_what_a_run_predicted_lies_beside_the_truth(raw_dataset: Path, tmp_path: Path) -> None:
    predicted = tmp_path / "run 1" / "latest" / "predictions" / "held_out_seg.nii.gz"
    predicted.parent.mkdir(parents=True)
    truth, affine = read_label_map(raw_dataset / "labelsTs" / "held_out.nii.gz")
    liver = np.where(truth == 1, 1, 0).astype(np.uint8)
    write_label_map(predicted, liver, affine, targets())
    run = str(tmp_path / "run 1")
    layers = view(tmp_path / "v", raw_dataset, case="held_out", run=run).layers
    assert [(layer.name, len(layer.ids)) for layer in layers] == [
        ("held_out annotated", 14),
        ("held_out run 1", 1),
    ]


def test_unknown_voxels_are_not_shown_as_a_structure(raw_dataset: Path, tmp_path: Path) -> None:
    path = raw_dataset / "labelsTr" / "case_2.nii.gz"
    array, affine = read_label_map(path)
    array[0, 0, 0] = 255
    import SimpleITK as sitk

    from FlareSegmentLib.geometry import set_image_affine

    image = sitk.GetImageFromArray(array.astype(np.uint8))
    set_image_affine(image, affine)
    sitk.WriteImage(image, str(path))
    (layer,) = view(tmp_path / "v", raw_dataset, case="case_2").layers
    assert layer.ids == (1, 3)
    assert whole(tmp_path / "v", layer, array.shape)[0, 0, 0] == 0


def test_disagreement_is_where_not_all_sources_say_the_same(
    raw_dataset: Path, tmp_path: Path
) -> None:
    path = raw_dataset / "pseudo" / "b" / "case_3.nii.gz"
    array, affine = read_label_map(path)
    moved = np.roll(array, 5, axis=2).astype(np.uint8)
    write_label_map(path, moved, affine, targets())
    first, mask = view(tmp_path / "v", raw_dataset, case="case_3", disagreement=True).layers
    assert (first.name, mask.name) == ("case_3 a", "case_3 disagreement")
    assert mask.is_mask
    assert np.array_equal(whole(tmp_path / "v", mask, array.shape) == 1, array != moved)


def test_one_source_has_nobody_to_disagree_with(raw_dataset: Path, tmp_path: Path) -> None:
    for name in ("b", "c"):
        (raw_dataset / "pseudo" / name / "case_3.nii.gz").unlink()
    with pytest.raises(InputError, match="labeled by one source only"):
        view(tmp_path / "v", raw_dataset, case="case_3", disagreement=True)


def test_a_case_that_is_gone_is_said(raw_dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="The case nobody is not in"):
        view(tmp_path / "v", raw_dataset, case="nobody")
