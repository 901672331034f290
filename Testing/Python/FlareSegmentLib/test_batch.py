"""Batches with the real engine on a model with random weights."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from FlareSegmentLib.batch import Batch, BatchSettings, CaseResult, run_batch
from FlareSegmentLib.cases import find_cases
from FlareSegmentLib.claims import claim
from FlareSegmentLib.errors import BundleError, OutputError
from FlareSegmentLib.reading import read_label_map
from FlareSegmentLib.result_folder import RECORD_FOLDER

Segment = Callable[..., list[CaseResult]]


def states(results: list[CaseResult]) -> dict[str, str]:
    return {result.case.name: result.state for result in results}


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def test_each_case_gives_a_label_map_on_its_grid(segment: Segment, scans: Path) -> None:
    results = segment()
    assert states(results) == {"one": "done", "two": "done"}
    for result in results:
        scan = sitk.ReadImage(str(result.case.source))
        labels = sitk.ReadImage(str(result.path))
        assert labels.GetSize() == scan.GetSize()
        assert labels.GetSpacing() == scan.GetSpacing()
        assert labels.GetOrigin() == scan.GetOrigin()
        assert labels.GetDirection() == scan.GetDirection()
        assert result.report is not None
        voxels = {row["key"]: row["voxels"] for row in result.report["targets"]}
        assert sum(voxels.values()) == np.count_nonzero(sitk.GetArrayFromImage(labels))
    assert visible(results[0].path.parent) == {
        "one_seg.nii.gz",
        "two_seg.nii.gz",
        "statistics.csv",
    }


def test_same_scan_gives_the_same_bytes(segment: Segment) -> None:
    first = [result.path.read_bytes() for result in segment()]
    again = [result.path.read_bytes() for result in segment(overwrite=True)]
    assert first == again


def test_report_and_preview_are_written_when_asked(segment: Segment, tmp_path: Path) -> None:
    segment(json=True, preview=True)
    report = json.loads((tmp_path / "out" / "one_seg.json").read_text(encoding="utf-8"))
    assert report["case"] == "one"
    assert report["model"] == "random 1"
    assert report["device"] == "cpu"
    assert len(report["targets"]) == 14
    assert report["memory"]["peak_bytes"] > 2**20
    assert report["input"]["size"] == [40, 32, 24]
    assert {"read", "network", "write", "total"} <= report["seconds"].keys()
    parts = sum(seconds for stage, seconds in report["seconds"].items() if stage != "total")
    assert parts <= report["seconds"]["total"] + 0.05
    assert (tmp_path / "out" / "one_seg.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("format_", ["nrrd", "seg.nrrd"])
def test_every_format_holds_the_same_labels(segment: Segment, tmp_path: Path, format_: str) -> None:
    results = segment(tmp_path / "scans" / "one.nii.gz")
    other = segment(tmp_path / "scans" / "one.nii.gz", format=format_, output=tmp_path / "other")
    assert other[0].path.name == f"one_seg.{format_}"
    labels, affine = read_label_map(results[0].path)
    again, affine_again = read_label_map(other[0].path)
    assert np.array_equal(labels, again)
    assert np.allclose(affine, affine_again)


def test_only_wanted_targets_are_in_the_result(segment: Segment) -> None:
    full = {result.case.name: result for result in segment()}
    report = full["one"].report
    assert report is not None
    found = [row["key"] for row in report["targets"] if row["voxels"]]
    assert found, "the model with random weights finds nothing: this test needs another seed"
    (one, _) = segment(targets=(found[0],), overwrite=True)
    assert one.report is not None
    assert [row["key"] for row in one.report["targets"]] == [found[0]]
    voxels = {row["key"]: row["voxels"] for row in report["targets"]}
    assert one.report["targets"][0]["voxels"] == voxels[found[0]]


def test_dicom_study_gives_a_result_on_its_grid(
    segment: Segment, tmp_path: Path, tiny_ct: np.ndarray, write_dicom: Callable[..., Path]
) -> None:
    study = write_dicom(tmp_path / "patient 7", tiny_ct, "1.2.3", "1.2.3.4")
    (result,) = segment(study)
    assert (result.state, result.path.name) == ("done", "patient 7_seg.nii.gz")
    labels = sitk.ReadImage(str(result.path))
    assert labels.GetSize() == (40, 32, 24)
    assert labels.GetSpacing() == (8.0, 8.0, 8.0)
    assert [result.state for result in segment(study)] == ["skipped"]
    (other,) = segment(study, series="no such")
    assert other.state == "failed"


def test_bad_case_is_reported_and_the_others_go_on(segment: Segment, scans: Path) -> None:
    (scans / "bad.nii.gz").write_bytes((scans / "one.nii.gz").read_bytes()[:2000])
    (scans / "flat.nii.gz").write_bytes(b"")
    results = segment()
    assert states(results) == {"bad": "failed", "flat": "failed", "one": "done", "two": "done"}
    assert all(result.message for result in results if result.state == "failed")
    assert not (results[0].path.parent / "bad_seg.nii.gz").exists()


def test_statistics_hold_all_cases_of_all_runs(segment: Segment, scans: Path) -> None:
    segment(scans / "one.nii.gz")
    results = segment(scans / "two.nii.gz")
    lines = (results[0].path.parent / "statistics.csv").read_text().splitlines()
    assert lines[0] == "case,target,volume_ml,mean_hu,sd_hu,voxels,model"
    assert [line.split(",")[0] for line in lines[1:]] == ["one"] * 14 + ["two"] * 14
    report = results[0].report
    assert report is not None
    expected = [round(row["volume_ml"], 4) for row in report["targets"]]
    assert [float(line.split(",")[2]) for line in lines[15:]] == expected


def test_statistics_leave_out_what_was_deleted(segment: Segment) -> None:
    one, two = segment()
    one.path.unlink()
    segment(two.case.source)
    lines = (two.path.parent / "statistics.csv").read_text().splitlines()
    assert {line.split(",")[0] for line in lines[1:]} == {"two"}


def test_statistics_say_which_model_and_warn_of_two(
    segment: Segment,
    scans: Path,
    tiny_bundle: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """New scans, a newer model, the same folder: the cases before are not segmented again."""
    segment(scans / "one.nii.gz")
    newer = tmp_path / "newer"
    shutil.copytree(tiny_bundle, newer)
    content = json.loads((newer / "model.json").read_text(encoding="utf-8"))
    content["version"] = "2"
    (newer / "model.json").write_text(json.dumps(content), encoding="utf-8")
    assert not caplog.records
    segment(scans / "two.nii.gz", model=newer)
    assert "2 models: random 1, random 2" in caplog.text
    text = (tmp_path / "out" / "statistics.csv").read_text()
    models = {row["case"]: row["model"] for row in csv.DictReader(text.splitlines())}
    assert models == {"one": "random 1", "two": "random 2"}


def test_case_claimed_by_another_process_is_left_to_it(segment: Segment, tmp_path: Path) -> None:
    records = tmp_path / "out" / RECORD_FOLDER
    records.mkdir(parents=True)
    with claim(records / "one.claim"):
        assert states(segment()) == {"one": "claimed", "two": "done"}
    assert states(segment()) == {"one": "done", "two": "skipped"}


def test_stop_leaves_no_half_file_and_the_next_run_goes_on(
    tiny_bundle: Path, scans: Path, tmp_path: Path, segment: Segment
) -> None:
    output = tmp_path / "out"
    settings = BatchSettings(output, model=tiny_bundle, device="cpu", json=True)
    batch = Batch(find_cases([scans], output), settings)
    began: list[str] = []

    def stop_in_the_second_case(stage: str, fraction: float) -> None:
        if len(began) == 2 and stage == "upsample":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_batch(
            batch, lambda case, *_: began.append(case.name), stop_in_the_second_case, lambda _: None
        )
    assert visible(output) == {"one_seg.nii.gz", "one_seg.json", "statistics.csv"}
    assert {path.name for path in (output / RECORD_FOLDER).iterdir()} == {"one.json"}
    assert states(segment(json=True)) == {"one": "skipped", "two": "done"}


def test_folder_without_model_is_refused_before_any_case(segment: Segment, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        segment(model=tmp_path)


def test_altered_weights_are_refused_before_any_case(
    segment: Segment, tiny_bundle: Path, tmp_path: Path
) -> None:
    altered = tmp_path / "altered"
    shutil.copytree(tiny_bundle, altered)
    content = bytearray((altered / "weights.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (altered / "weights.pt").write_bytes(content)
    with pytest.raises(BundleError):
        segment(model=altered)
    assert visible(tmp_path / "out") == set()


def test_name_too_long_for_a_file_is_told(segment: Segment, scans: Path) -> None:
    long = (scans / "two.nii.gz").rename(scans / ("n" * 248 + ".nii.gz"))
    results = segment(scans)
    assert states(results) == {"one": "done", long.name.removesuffix(".nii.gz"): "failed"}
    (failed,) = [result for result in results if result.state == "failed"]
    assert "shorter name" in failed.message


def test_output_that_is_a_file_is_refused(segment: Segment, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="out"):
        segment()
