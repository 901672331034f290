"""What a dataset folder can be, and every way in which it can be wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import targets
from FlareSegmentLib.reading import read_label_map
from FlareSegmentLib.writing import write_label_map
from FlareTrainLib.case_loading import load_case
from FlareTrainLib.dataset import check_trainable, read_dataset
from FlareTrainLib.reference_data import write_raw_layout

AFFINE = np.diag([-8.0, -8.0, 8.0, 1.0])


def edit_annotations(folder: Path, **entries: object) -> None:
    path = folder / "annotated.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def relabel(path: Path, old: int, new: int) -> None:
    """Change a label value, with a writer that does not mind."""
    import SimpleITK as sitk

    image = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(image)
    array[array == old] = new
    changed = sitk.GetImageFromArray(array)
    changed.CopyInformation(image)
    sitk.WriteImage(changed, str(path))


def test_a_dataset_says_what_is_known_per_case(raw_dataset: Path) -> None:
    dataset = read_dataset(raw_dataset)
    known = {case.name: case.known for case in dataset.cases}
    assert known["case_0"] == frozenset(range(1, 15))
    assert known["case_2"] == {1, 3}
    assert known["case_3"] == frozenset()
    assert [case.name for case in dataset.validation] == ["held_out"]
    assert list(dataset.sources) == ["a", "b", "c"]
    assert dataset.notes == ()
    check_trainable(dataset)


def test_missing_annotations_are_derived_from_what_occurs_and_it_is_said(
    raw_dataset: Path,
) -> None:
    (raw_dataset / "annotated.json").unlink()
    relabel(raw_dataset / "labelsTr" / "case_1.nii.gz", 9, 0)
    dataset = read_dataset(raw_dataset)
    known = {case.name: case.known for case in dataset.cases}
    # Nothing says whether the gallbladder is absent or was not drawn: it is unknown.
    assert known["case_1"] == frozenset(range(1, 15)) - {9}
    assert known["case_2"] == {1, 3}
    assert known["case_3"] == frozenset()
    assert "annotated.json is missing" in dataset.notes[0]
    assert not (raw_dataset / "annotated.json").exists(), "nothing is written into the dataset"


def test_label_values_are_named_by_dataset_json(raw_dataset: Path) -> None:
    path = raw_dataset / "labelsTr" / "case_2.nii.gz"
    relabel(path, 3, 40)
    relabel(path, 1, 3)
    # nnU-Net numbers its labels as it likes; here 3 is the liver.
    for name in ("case_0", "case_1"):
        (raw_dataset / "labelsTr" / f"{name}.nii.gz").unlink()
        edit_annotations(raw_dataset, **{name: {"annotated": []}})
    labels = {"background": 0, "Spleen": 40, "liver": 3}
    (raw_dataset / "dataset.json").write_text(json.dumps({"labels": labels}))
    dataset = read_dataset(raw_dataset)
    case = next(case for case in dataset.cases if case.name == "case_2")
    loaded = load_case(dataset, case)
    assert loaded.labels is not None
    assert set(np.unique(loaded.labels)) == {0, 1, 3}


def test_a_case_is_loaded_in_canonical_axes(raw_dataset: Path) -> None:
    dataset = read_dataset(raw_dataset)
    straight = load_case(dataset, dataset.cases[0])
    path = raw_dataset / "labelsTr" / "case_0.nii.gz"
    array, affine = read_label_map(path)
    flipped = affine.copy()
    flipped[:3, 2] = -affine[:3, 2]
    flipped[:3, 3] += affine[:3, 2] * (array.shape[0] - 1)
    write_label_map(path, np.ascontiguousarray(array[::-1]), flipped, targets())
    import SimpleITK as sitk

    scan = sitk.ReadImage(str(raw_dataset / "imagesTr" / "case_0_0000.nii.gz"))
    sitk.WriteImage(scan[:, :, ::-1], str(raw_dataset / "imagesTr" / "case_0_0000.nii.gz"))
    turned = load_case(dataset, dataset.cases[0])
    assert np.array_equal(turned.volume.array, straight.volume.array)
    assert straight.labels is not None
    assert turned.labels is not None
    assert np.array_equal(turned.labels, straight.labels)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no dataset folder"):
        read_dataset(tmp_path / "nowhere")


def test_no_images_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder imagesTr"):
        read_dataset(tmp_path)


def test_no_scan(tmp_path: Path) -> None:
    (tmp_path / "imagesTr").mkdir()
    with pytest.raises(InputError, match="holds no scan"):
        read_dataset(tmp_path)


def test_two_files_per_case(raw_dataset: Path) -> None:
    scan = raw_dataset / "imagesTr" / "case_1_0000.nii.gz"
    scan.with_name("case_1_0001.nii.gz").write_bytes(scan.read_bytes())
    with pytest.raises(InputError, match=r"case_1 has two files .*_0000.* and .*_0001"):
        read_dataset(raw_dataset)


def test_labels_without_scan(raw_dataset: Path) -> None:
    (raw_dataset / "imagesTr" / "case_1_0000.nii.gz").unlink()
    with pytest.raises(InputError, match=r"labelsTr/case_1\.nii\.gz has no scan"):
        read_dataset(raw_dataset)


def test_annotations_of_an_unknown_case(raw_dataset: Path) -> None:
    edit_annotations(raw_dataset, elsewhere=[1])
    with pytest.raises(InputError, match="names the case elsewhere, which has no scan"):
        read_dataset(raw_dataset)


def test_annotated_without_label_map(raw_dataset: Path) -> None:
    edit_annotations(raw_dataset, case_3={"annotated": [14]})
    with pytest.raises(InputError, match="case_3 was annotated, but there is no label map"):
        read_dataset(raw_dataset)


def test_absent_needs_no_label_map(raw_dataset: Path) -> None:
    edit_annotations(raw_dataset, case_3={"annotated": [], "absent": [14]})
    case = read_dataset(raw_dataset).cases[3]
    assert case.known == {14}


def test_annotated_id_that_is_no_target(raw_dataset: Path) -> None:
    edit_annotations(raw_dataset, case_0=[15])
    with pytest.raises(InputError, match="lists 15, which is no target id"):
        read_dataset(raw_dataset)


def test_a_target_is_not_annotated_and_absent_at_once(raw_dataset: Path) -> None:
    entries = {"case_0": {"annotated": [1, 9], "absent": [9]}}
    (raw_dataset / "annotated.json").write_text(json.dumps(entries))
    with pytest.raises(InputError, match="case_0 lists 9 as annotated and as absent"):
        read_dataset(raw_dataset)


def test_a_misspelled_entry_is_not_taken_for_an_unlabeled_case(raw_dataset: Path) -> None:
    (raw_dataset / "annotated.json").write_text('{"case_0": {"anotated": [1]}}')
    with pytest.raises(InputError, match=r'neither "annotated" nor "absent" \(found: anotated\)'):
        read_dataset(raw_dataset)


def test_what_is_not_read_is_said(raw_dataset: Path) -> None:
    (raw_dataset / "imagesTr" / "case_9_0000.png").write_bytes(b"")
    (raw_dataset / "imagesTr" / ".DS_Store").write_bytes(b"")
    (raw_dataset / "split.json").write_text('{"case_7": "validation"}')
    notes = read_dataset(raw_dataset).notes
    assert any("imagesTr holds case_9_0000.png, which cannot be a scan" in note for note in notes)
    assert any("split.json names the case case_7, which is not there" in note for note in notes)


def test_label_value_15(raw_dataset: Path) -> None:
    relabel(raw_dataset / "labelsTr" / "case_0.nii.gz", 14, 15)
    dataset = read_dataset(raw_dataset)
    with pytest.raises(InputError, match="label value 15, which is no target"):
        load_case(dataset, dataset.cases[0])


def test_name_that_is_no_target(raw_dataset: Path) -> None:
    (raw_dataset / "dataset.json").write_text(json.dumps({"labels": {"cyst": 1}}))
    with pytest.raises(InputError, match="'cyst' that is no target"):
        read_dataset(raw_dataset)


@pytest.mark.parametrize("value", [[1, 2], "1", True, None])
def test_value_that_is_no_whole_number(raw_dataset: Path, value: object) -> None:
    """NnU-Net's regions, among others: the name is right, so the sentence is not about it."""
    (raw_dataset / "dataset.json").write_text(json.dumps({"labels": {"liver": value}}))
    with pytest.raises(InputError, match="for 'liver', which is no whole number"):
        read_dataset(raw_dataset)


def test_mixed_geometries(raw_dataset: Path) -> None:
    path = raw_dataset / "labelsTr" / "case_0.nii.gz"
    array, affine = read_label_map(path)
    moved = affine.copy()
    moved[0, 3] += 5
    write_label_map(path, array.astype(np.uint8), moved, targets())
    dataset = read_dataset(raw_dataset)
    with pytest.raises(InputError, match=r"corners are up to 5\.0 mm apart"):
        load_case(dataset, dataset.cases[0])
    write_label_map(path, array[1:].astype(np.uint8), affine, targets())
    with pytest.raises(InputError, match="the scan has 36 x 32 x 24 voxels, the label map"):
        load_case(dataset, dataset.cases[0])


def test_no_labels_at_all(raw_dataset: Path) -> None:
    import shutil

    shutil.rmtree(raw_dataset / "labelsTr")
    shutil.rmtree(raw_dataset / "pseudo")
    (raw_dataset / "annotated.json").unlink()
    with pytest.raises(InputError, match="has no labels at all"):
        check_trainable(read_dataset(raw_dataset))


def test_one_case_only(raw_dataset: Path) -> None:
    for n in (1, 2, 3):
        (raw_dataset / "imagesTr" / f"case_{n}_0000.nii.gz").unlink()
        (raw_dataset / "labelsTr" / f"case_{n}.nii.gz").unlink(missing_ok=True)
    (raw_dataset / "annotated.json").unlink()
    with pytest.raises(InputError, match="holds one case only"):
        check_trainable(read_dataset(raw_dataset))


def test_no_validation_cases_is_said(raw_dataset: Path) -> None:
    import shutil

    shutil.rmtree(raw_dataset / "imagesTs")
    edit_annotations(raw_dataset)
    content = json.loads((raw_dataset / "annotated.json").read_text())
    del content["held_out"]
    (raw_dataset / "annotated.json").write_text(json.dumps(content))
    assert "There are no validation cases" in read_dataset(raw_dataset).notes[0]


def test_a_case_for_training_and_validation(raw_dataset: Path) -> None:
    scan = raw_dataset / "imagesTr" / "case_0_0000.nii.gz"
    (raw_dataset / "imagesTs" / scan.name).write_bytes(scan.read_bytes())
    labels = raw_dataset / "labelsTr" / "case_0.nii.gz"
    (raw_dataset / "labelsTs" / labels.name).write_bytes(labels.read_bytes())
    with pytest.raises(InputError, match="case_0 is in imagesTr and in imagesTs"):
        read_dataset(raw_dataset)


def test_the_projects_own_layout_is_a_dataset_and_can_be_laid_out_as_one(
    reference_layout: Path, tmp_path: Path
) -> None:
    dataset = read_dataset(reference_layout)
    known = {case.name: case.known for case in dataset.cases}
    assert known == {"case_0": {1, 14}, "case_1": {14}, "case_2": {14}}
    assert [case.name for case in dataset.validation] == ["held_out"]
    raw = tmp_path / "raw"
    write_raw_layout(dataset, raw)
    again = read_dataset(raw)
    assert {case.name: case.known for case in again.cases} == known
    assert {case.name: case.absent for case in again.cases}["case_1"] == (14,)
    assert set(again.sources) == set(dataset.sources)
    assert [case.known for case in again.validation] == [case.known for case in dataset.validation]


def test_the_projects_own_data(shared_data: Path) -> None:
    dataset = read_dataset(shared_data)
    assert len(dataset.cases) == 22
    known = {case.name: case.known for case in dataset.cases}
    assert known["chaos_ct03"] == {1, 14}
    assert known["lung1_002"] == {10, 14}
    assert known["crlm_1004"] == frozenset()
    assert {case.name for case in dataset.validation} >= {"ircad_01", "amos_0001_slab"}


def test_numbers_of_cases_are_not_taken_for_channels(raw_dataset: Path, tmp_path: Path) -> None:
    """FLARE's and LIDC's names end in numbers as nnU-Net's channels do."""
    scan = raw_dataset / "imagesTr" / "case_0_0000.nii.gz"
    folder = tmp_path / "numbered" / "imagesTr"
    folder.mkdir(parents=True)
    for name in ("lidc_0001_0000", "lidc_0002_0000", "flare_0001", "flare_0002", "plain_0000"):
        shutil.copy(scan, folder / f"{name}.nii.gz")
    found = [case.name for case in read_dataset(folder.parent).cases]
    assert found == ["flare_0001", "flare_0002", "lidc_0001", "lidc_0002", "plain"]
