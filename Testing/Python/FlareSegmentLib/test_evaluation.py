"""Folders of label maps against folders of references."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from FlareSegmentLib.errors import InputError, OutputError
from FlareSegmentLib.evaluation import EvaluationArguments, evaluate_folders, read_annotated, run
from FlareSegmentLib.geometry import set_image_affine

AFFINE = np.diag([-1.0, -1.0, 2.0, 1.0])
LIVER, AORTA, TUMOR = 1, 5, 14


def write(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    set_image_affine(image, affine)
    sitk.WriteImage(image, str(path))


def patient(tumor: bool = False) -> np.ndarray:
    labels = np.zeros((16, 20, 24), dtype=np.uint8)
    labels[3:12, 4:16, 4:16] = LIVER
    labels[4:10, 16:18, 18:20] = AORTA
    if tumor:
        labels[5:10, 6:14, 6:14] = TUMOR
    return labels


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Case a is perfect; case b misses the tumor and half of the liver's slices."""
    predictions, references = tmp_path / "out put", tmp_path / "ref"
    write(predictions / "a_seg.nii.gz", patient())
    write(references / "a_label.nii.gz", patient())
    partial = patient()
    partial[6:12] = np.where(partial[6:12] == LIVER, 0, partial[6:12])
    write(predictions / "b.nrrd", partial)
    write(references / "b_seg.nii.gz", patient(tumor=True))
    return predictions, references


def test_cases_are_paired_by_name_whatever_ending_and_format(folders: tuple[Path, Path]) -> None:
    result = evaluate_folders(*folders)
    assert [case.case for case in result.cases] == ["a", "b"]
    assert result.unpaired == ()
    perfect, partial = result.cases
    assert all(score.dsc == score.nsd == 1.0 for score in perfect.scores)
    by_id = {score.id: score for score in partial.scores}
    found, there, tumor_slice = 3 * 12 * 12, 9 * 12 * 12 - 5 * 8 * 8, 8 * 8
    assert by_id[LIVER].dsc == pytest.approx(2 * (found - tumor_slice) / (found + there))
    assert by_id[TUMOR].dsc == 0.0


def test_organs_and_tumor_have_separate_means(folders: tuple[Path, Path]) -> None:
    result = evaluate_folders(*folders)
    means, summary = result.target_means(), result.summary()
    assert means["tumor"] == {"dsc": 0.5, "nsd": 0.5, "cases": 2}
    assert summary["tumor"] == {"dsc": 0.5, "nsd": 0.5}
    organs = [mean["dsc"] for key, mean in means.items() if key != "tumor"]
    assert len(organs) == 13
    assert summary["organs"]["dsc"] == pytest.approx(sum(organs) / 13)
    # Liver and aorta of two cases are in the references; the other organs are absent in both.
    liver = means["liver"]["dsc"]
    assert summary["organs_in_view"]["dsc"] == pytest.approx((1 + liver) / 2)


def test_lesions_are_counted_in_annotated_cases(folders: tuple[Path, Path]) -> None:
    predictions, references = folders
    lesions = evaluate_folders(predictions, references).summary()["lesions"]
    assert lesions is not None
    assert (lesions["lesions"], lesions["found"]) == (0, 0)  # 0.64 ml, below 1 ml
    large = AFFINE @ np.diag([2.0, 2.0, 2.0, 1.0])
    write(predictions / "b.nrrd", patient(), large)
    write(references / "b_seg.nii.gz", patient(tumor=True), large)
    lesions = evaluate_folders(predictions, references).summary()["lesions"]
    assert lesions is not None
    assert (lesions["lesions"], lesions["found"], lesions["sensitivity"]) == (1, 0, 0.0)
    assert lesions["tumor_free_scans"] == 1
    assert lesions["false_positives_per_tumor_free_scan"] == 0.0


def test_annotated_json_beside_the_references_says_what_is_scored(
    folders: tuple[Path, Path],
) -> None:
    predictions, references = folders
    content = {"a": {"annotated": [LIVER, AORTA], "kind": "manual"}, "b": [LIVER]}
    (references / "annotated.json").write_text(json.dumps(content))
    result = evaluate_folders(predictions, references)
    assert [[s.id for s in case.scores] for case in result.cases] == [[LIVER, AORTA], [LIVER]]
    assert [case.lesions for case in result.cases] == [None, None]
    summary = result.summary()
    assert summary["tumor"] == {"dsc": None, "nsd": None}
    assert summary["lesions"] is None
    assert result.target_means()["aorta"]["cases"] == 1


def test_a_perfect_match_of_a_flipped_file_is_cut_along_the_patient(tmp_path: Path) -> None:
    longer, shorter = patient(), patient()
    longer[0:16, 16:18, 18:20] = AORTA
    # Stored with the patient's axis first in the file, which is the last of the array (k, j, i).
    affine = AFFINE[:, [2, 1, 0, 3]]
    write(tmp_path / "p" / "x.nii.gz", longer.transpose(2, 1, 0).copy(), affine)
    write(tmp_path / "r" / "x.nii.gz", shorter.transpose(2, 1, 0).copy(), affine)
    aorta = [s for s in evaluate_folders(tmp_path / "p", tmp_path / "r").cases[0].scores]
    assert {s.id: s.dsc for s in aorta}[AORTA] == 1.0


def test_two_files_can_be_compared(folders: tuple[Path, Path]) -> None:
    predictions, references = folders
    result = evaluate_folders(predictions / "b.nrrd", references / "a_label.nii.gz")
    assert [case.case for case in result.cases] == ["a"]


def test_scans_beside_the_label_maps_are_left_alone(folders: tuple[Path, Path]) -> None:
    predictions, references = folders
    scan = np.full((16, 20, 24), -1000, dtype=np.int16)
    write(references / "a_ct.nii.gz", scan)
    write(predictions / "a.nii.gz", scan)  # the scan itself, beside a_seg
    assert [case.case for case in evaluate_folders(predictions, references).cases] == ["a", "b"]


def test_a_segmented_ct_file_is_paired_with_the_label_of_its_case(
    folders: tuple[Path, Path],
) -> None:
    """`flare-segment a_ct.nii.gz` writes a_ct_seg.nii.gz, its reference is a_label.nii.gz."""
    predictions, references = folders
    (predictions / "a_seg.nii.gz").rename(predictions / "a_ct_seg.nii.gz")
    result = evaluate_folders(predictions, references)
    assert "a" in [case.case for case in result.cases]
    assert not [sentence for sentence in result.unpaired if "a_ct" in sentence]


def test_cases_without_counterpart_are_named(folders: tuple[Path, Path]) -> None:
    predictions, references = folders
    write(predictions / "c_seg.nii.gz", patient())
    write(references / "d.nii.gz", patient())
    result = evaluate_folders(predictions, references)
    assert result.unpaired == ("d has no prediction.", "c has no reference.")
    assert "d has no prediction." in result.as_table()


def test_table_csv_and_json_hold_the_same_scores(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    predictions, references = folders
    arguments = EvaluationArguments(predictions, references, output=tmp_path / "new" / "tables")
    result = run(arguments)
    with (tmp_path / "new/tables/evaluation.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 28
    content = json.loads((tmp_path / "new/tables/evaluation.json").read_text(encoding="utf-8"))
    liver = next(s for s in result.cases[1].scores if s.id == LIVER)
    line = next(x for x in lines if (x["case"], x["target"]) == ("b", "liver"))
    assert float(line["dsc"]) == pytest.approx(liver.dsc, abs=1e-4)
    assert content["cases"][1]["targets"]["liver"]["nsd"] == liver.nsd
    assert content["summary"] == result.summary()
    row = next(x for x in result.as_table().splitlines() if x.startswith("liver"))
    assert f"{100 * liver.dsc:.1f}" in row
    assert row.split()[1:3] == [f"{50 * (1 + liver.dsc):.1f}", f"{50 * (1 + liver.nsd):.1f}"]


def test_a_score_that_is_not_a_number_is_null_in_json(tmp_path: Path) -> None:
    one_slice = np.zeros((16, 20, 24), dtype=np.uint8)
    one_slice[5, 5:9, 5:9] = AORTA
    write(tmp_path / "x.nii.gz", one_slice)
    result = evaluate_folders(tmp_path, tmp_path, mode="flare")
    assert math.isnan(result.target_means()["aorta"]["dsc"])
    content = json.loads(result.as_json())
    assert content["cases"][0]["targets"]["aorta"]["dsc"] is None
    assert "nan" not in result.as_table()


@pytest.mark.parametrize(
    ("array", "affine", "words"),
    [
        (patient()[:-1], AFFINE, "24 x 20 x 15 voxels and the reference 24 x 20 x 16"),
        (patient(), np.diag([1.0, -1.0, 2.0, 1.0]), "different places"),
        (patient(), np.diag([-1.0, -1.0, 2.5, 1.0]), "7.5 mm apart"),
        (patient().astype(np.int16) * 100, AFFINE, "holds values from 0 to 500"),
        (patient().astype(np.int16) - 1, AFFINE, "holds values from -1 to 4"),
    ],
)
def test_maps_that_cannot_be_compared_are_refused(
    folders: tuple[Path, Path], array: np.ndarray, affine: np.ndarray, words: str
) -> None:
    write(folders[0] / "a_seg.nii.gz", array, affine)
    with pytest.raises(InputError, match=words):
        evaluate_folders(*folders)


def test_nothing_to_compare_is_said(folders: tuple[Path, Path], tmp_path: Path) -> None:
    predictions, references = folders
    with pytest.raises(InputError, match="no file or folder"):
        evaluate_folders(tmp_path / "absent", references)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"No case is in both .* \(no label maps\)"):
        evaluate_folders(tmp_path / "empty", references)
    shutil.copy(predictions / "b.nrrd", predictions / "b.mha.nrrd")
    write(predictions / "a_seg.nrrd", patient())
    with pytest.raises(InputError, match="Case a is there twice"):
        evaluate_folders(predictions, references)


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"a": 5}', '{"a": {"ids": [1]}}', '{"a": ["x"]}'])
def test_a_broken_list_of_annotated_ids_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "annotated.json").write_text(text)
    with pytest.raises(InputError, match="It must look like"):
        read_annotated(tmp_path / "annotated.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_annotated(tmp_path / "absent.json")


def test_tables_that_cannot_be_written_are_reported(folders: tuple[Path, Path]) -> None:
    blocked = folders[0] / "b.nrrd" / "tables"  # below a file
    with pytest.raises(OutputError, match="cannot be written"):
        run(EvaluationArguments(*folders, output=blocked))


def test_real_validation_labels_agree_with_themselves_and_know_what_was_annotated(
    shared_data: Path, tmp_path: Path
) -> None:
    references = shared_data / "validation"
    shutil.copy(references / "totalseg_example_label.nii.gz", tmp_path / "totalseg_example.nii.gz")
    result = evaluate_folders(tmp_path, references)
    (case,) = result.cases
    assert [s.id for s in case.scores] == list(range(1, 14))  # tumor was not annotated there
    assert result.summary()["organs"] == {"dsc": 1.0, "nsd": 1.0}
    assert case.lesions is None
