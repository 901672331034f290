"""A batch run again: what is finished stays, nothing is passed off, lost or mixed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from FlareSegmentLib.batch import CaseResult
from FlareSegmentLib.errors import OutputError
from FlareSegmentLib.reading import read_label_map
from FlareSegmentLib.result_folder import RECORD_FOLDER

Segment = Callable[..., list[CaseResult]]


def states(results: list[CaseResult]) -> dict[str, str]:
    return {result.case.name: result.state for result in results}


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def test_finished_cases_are_skipped(segment: Segment) -> None:
    times = {result.path: result.path.stat().st_mtime_ns for result in segment()}
    again = segment()
    assert states(again) == {"one": "skipped", "two": "skipped"}
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())


def test_finished_case_gets_what_was_not_asked_for_before(segment: Segment, tmp_path: Path) -> None:
    segment()
    results = segment(json=True, preview=True)
    assert states(results) == {"one": "skipped", "two": "skipped"}
    report = json.loads((tmp_path / "out" / "two_seg.json").read_text(encoding="utf-8"))
    assert report == results[1].report
    assert (tmp_path / "out" / "two_seg.png").exists()


def test_deleted_result_is_made_again(segment: Segment) -> None:
    one, _ = segment()
    one.path.unlink()
    assert states(segment()) == {"one": "done", "two": "skipped"}


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"targets": ("liver",)}, "targets"), ({"format": "nrrd"}, "format"), ({"frame": 0}, "frame")],
)
def test_result_with_other_settings_is_neither_passed_off_nor_replaced(
    segment: Segment, settings: dict[str, object], word: str
) -> None:
    before = [result.path.read_bytes() for result in segment()]
    results = segment(**settings)
    assert states(results) == {"one": "failed", "two": "failed"}
    assert all(word in result.message for result in results)
    assert [path.read_bytes() for path in sorted(results[0].path.parent.glob("*.nii.gz"))] == before
    assert states(segment(**settings, overwrite=True)) == {"one": "done", "two": "done"}


def test_scan_of_the_same_name_is_not_taken_for_the_finished_one(
    segment: Segment, scans: Path, tmp_path: Path
) -> None:
    """Two patients whose scans are called alike, in two runs into one folder."""
    segment(scans / "one.nii.gz")
    other = tmp_path / "patient2" / "one.nii.gz"
    other.parent.mkdir()
    (scans / "two.nii.gz").rename(other)
    (result,) = segment(other)
    assert result.state == "failed"
    assert "another scan" in result.message


def test_file_of_somebody_else_is_left_alone(segment: Segment, tmp_path: Path) -> None:
    theirs = tmp_path / "out" / "one_seg.nii.gz"
    theirs.parent.mkdir()
    theirs.write_text("a correction of many hours")
    results = segment()
    assert states(results) == {"one": "failed", "two": "done"}
    assert theirs.read_text() == "a correction of many hours"


def test_statistics_of_somebody_else_are_left_alone(segment: Segment, tmp_path: Path) -> None:
    theirs = tmp_path / "out" / "statistics.csv"
    theirs.parent.mkdir()
    theirs.write_text("theirs")
    with pytest.raises(OutputError, match=r"statistics\.csv"):
        segment()
    assert theirs.read_text() == "theirs"


def test_result_never_replaces_a_scan(segment: Segment, scans: Path) -> None:
    """Output into the folder of the scans, where one scan has the name of a result."""
    two = scans / "two.nii.gz"
    scan = two.rename(scans / "one_seg.nii.gz")
    before = scan.read_bytes()
    results = segment(scans / "one.nii.gz", scan, output=scans, overwrite=True)
    assert states(results) == {"one": "failed", "one_seg": "done"}
    assert scan.read_bytes() == before


def test_overwriting_leaves_nothing_of_the_run_before(segment: Segment, tmp_path: Path) -> None:
    """A report beside a label map of another model would be taken for that one's."""
    segment(json=True, preview=True)
    segment(format="nrrd", targets=("liver",), overwrite=True)
    expected = {"one_seg.nrrd", "two_seg.nrrd", "statistics.csv"}
    assert visible(tmp_path / "out") == expected


def test_overwriting_leaves_the_files_of_others(segment: Segment, tmp_path: Path) -> None:
    segment()
    for name in ("one_seg.json", "one_seg.nrrd", "one.png"):
        (tmp_path / "out" / name).write_text("theirs")
    segment(overwrite=True)
    for name in ("one_seg.json", "one_seg.nrrd", "one.png"):
        assert (tmp_path / "out" / name).read_text() == "theirs"


def test_deleted_label_map_does_not_make_its_report_somebody_elses(
    segment: Segment, tmp_path: Path
) -> None:
    one, _ = segment(json=True)
    one.path.unlink()
    (tmp_path / "out" / "one_seg.json").write_text("old")
    assert states(segment(json=True)) == {"one": "done", "two": "skipped"}
    assert (tmp_path / "out" / "one_seg.json").read_text() != "old"


def test_run_killed_while_it_wrote_is_repeated(segment: Segment, tmp_path: Path) -> None:
    """Killed between the label map and its record: the result is ours, but not known complete."""
    one, _ = segment()
    record = tmp_path / "out" / RECORD_FOLDER / "one.json"
    content = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps({**content, "report": None}), encoding="utf-8")
    one.path.write_bytes(one.path.read_bytes()[:100])
    assert states(segment()) == {"one": "done", "two": "skipped"}
    assert read_label_map(one.path)[0].shape == (24, 32, 40)
