"""`flare-train check` finds planted faults, and changes nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from FlareSegmentLib.labels import targets
from FlareSegmentLib.reading import read_label_map
from FlareSegmentLib.writing import write_label_map
from FlareTrainLib.cli import main
from FlareTrainLib.dataset_check import check_dataset, wrong_sides


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def kinds(folder: Path, case: str) -> list[str]:
    return [finding.kind for finding in check_dataset(folder).findings if finding.case == case]


def redraw(path: Path, change: dict[int, int] | None = None, island: bool = False) -> None:
    array, affine = read_label_map(path)
    result = array.astype(np.uint8)
    for old, new in (change or {}).items():
        result[array == old] = new
    if island:
        result[0, 0, 0] = 1
    write_label_map(path, result, affine, targets())


def test_a_sound_dataset_has_no_findings_but_small_parts(raw_dataset: Path) -> None:
    before = contents(raw_dataset)
    report = check_dataset(raw_dataset)
    assert {f.kind for f in report.findings} <= {"cleaning"}
    assert contents(raw_dataset) == before
    summary = {case.name: case for case in report.cases}
    assert summary["case_2"].known == (1, 3)
    assert dict(summary["case_0"].ml)[1] > dict(summary["case_0"].ml)[9] > 0
    assert summary["case_3"].sources == ("a", "b", "c")
    assert summary["held_out"].part == "validation"


def test_swapped_kidneys_and_adrenals_are_found(raw_dataset: Path) -> None:
    redraw(raw_dataset / "labelsTr" / "case_0.nii.gz", {2: 13, 13: 2})
    redraw(raw_dataset / "labelsTr" / "case_1.nii.gz", {7: 8, 8: 7})
    report = check_dataset(raw_dataset)
    sides = {f.case: f.text for f in report.findings if f.kind == "sides"}
    assert set(sides) == {"case_0", "case_1"}
    assert sides["case_0"].startswith("Right kidney lies to the left of left kidney")
    assert sides["case_1"].startswith("Right adrenal gland lies to the left")


def test_sides_need_both_organs() -> None:
    labels = np.zeros((4, 4, 10), np.uint8)
    labels[:, :, 8] = 2
    assert wrong_sides(labels) == []
    labels[:, :, 2] = 13
    assert len(wrong_sides(labels)) == 1


def test_duplicates_are_found_whatever_their_file(raw_dataset: Path) -> None:
    import SimpleITK as sitk

    scan = sitk.ReadImage(str(raw_dataset / "imagesTr" / "case_0_0000.nii.gz"))
    sitk.WriteImage(scan, str(raw_dataset / "imagesTr" / "copy_0000.nrrd"))
    report = check_dataset(raw_dataset)
    (duplicate,) = [f for f in report.findings if f.kind == "duplicate"]
    assert (duplicate.case, "case_0" in duplicate.text) == ("copy", True)


def test_empty_annotated_organ_and_drawn_but_not_listed_one(raw_dataset: Path) -> None:
    redraw(raw_dataset / "labelsTr" / "case_0.nii.gz", {9: 0, 14: 0})
    redraw(raw_dataset / "labelsTr" / "case_2.nii.gz", {3: 4})
    assert kinds(raw_dataset, "case_0").count("empty") == 1, "no tumor is a negative example"
    found = kinds(raw_dataset, "case_2")
    assert "empty" in found
    assert "not annotated" in found


def test_islands_are_found(raw_dataset: Path) -> None:
    redraw(raw_dataset / "labelsTr" / "case_2.nii.gz", island=True)
    report = check_dataset(raw_dataset)
    texts = [f.text for f in report.findings if f.case == "case_2" and f.kind == "cleaning"]
    assert any("Liver: an island of 1 voxels" in text for text in texts)


def test_a_case_that_cannot_be_used_is_a_finding_and_the_others_are_checked(
    raw_dataset: Path,
) -> None:
    path = raw_dataset / "labelsTr" / "case_0.nii.gz"
    array, affine = read_label_map(path)
    write_label_map(path, array[2:].astype(np.uint8), affine, targets())
    report = check_dataset(raw_dataset)
    (unreadable,) = [f for f in report.findings if f.kind == "unreadable"]
    assert "does not lie on the grid of its scan" in unreadable.text
    assert len(report.cases) == 5


def test_pseudo_labels_that_no_training_could_use_are_found(raw_dataset: Path) -> None:
    path = raw_dataset / "pseudo" / "b" / "case_3.nii.gz"
    array, affine = read_label_map(path)
    write_label_map(path, array[2:].astype(np.uint8), affine, targets())
    (raw_dataset / "pseudo" / "c" / "case_1.nii.gz").write_bytes(b"no image")
    found = [f for f in check_dataset(raw_dataset).findings if f.kind == "pseudo-label"]
    assert [(f.case, f.text.split(":")[0]) for f in found] == [
        ("case_1", "Source c"),
        ("case_3", "Source b"),
    ]
    assert "does not lie on the grid of the scan" in found[1].text


def test_a_dataset_that_cannot_be_trained_on_is_told(raw_dataset: Path) -> None:
    for part in ("labelsTr", "pseudo", "imagesTs", "labelsTs"):
        shutil.rmtree(raw_dataset / part)
    (raw_dataset / "annotated.json").unlink()
    assert "has no labels at all" in check_dataset(raw_dataset).as_text()


def test_command_prints_a_table_and_writes_a_page(
    raw_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (raw_dataset / "annotated.json").unlink()
    assert main(["check", str(raw_dataset), "-o", str(tmp_path / "out"), "-q"]) == 0
    printed = capsys.readouterr().out
    assert "annotated.json is missing" in printed
    assert "nothing was changed" in printed
    page = (tmp_path / "out" / "index.html").read_text()
    for name in ("case_0", "case_3", "held_out"):
        assert f"<img src='{name}.png'" in page
        assert (tmp_path / "out" / f"{name}.png").stat().st_size > 1000


def test_check_does_not_need_torch(raw_dataset: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from FlareTrainLib.cli import main\n"
        f"sys.exit(main(['check', {str(raw_dataset)!r}, '-q']))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert json.dumps("case_0")[1:-1] in finished.stdout
