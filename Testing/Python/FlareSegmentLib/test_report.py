from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np

from FlareSegmentLib.report import (
    CaseFacts,
    case_report,
    found_text,
    statistics_csv,
    versions,
    write_json,
)
from FlareSegmentLib.volume import LabelMap, Volume


def row(key: str, voxels: int) -> dict[str, object]:
    found = bool(voxels)
    return {
        "key": key,
        "name": key.capitalize(),
        "volume_ml": voxels * 0.12345678,
        "mean_hu": 51.5 if found else None,
        "sd_hu": 2.25 if found else None,
        "voxels": voxels,
    }


def report(*rows: dict[str, object]) -> dict[str, object]:
    array = np.zeros((8, 9, 10), np.int16)
    volume = Volume(array, np.diag([-1.0, -1.5, 2.0, 1.0]), "name, with comma", ("Read.",))
    engine: dict[str, object] = {"device": "cpu", "model": "flare-base 1"}
    engine |= {"seconds": {"network": 1.0, "total": 9.0}, "notes": ["Read.", "B"]}
    label_map = LabelMap(array.astype(np.uint8), volume.affine, ("liver",), engine)
    facts = CaseFacts(Path("a b.nii.gz"), 0.5, 0.25, 2.0, {"peak_bytes": 10})
    return case_report(volume, label_map, list(rows), facts)


def test_report_holds_input_times_and_each_note_once() -> None:
    content = report(row("liver", 5))
    assert content["input"] == {
        "path": "a b.nii.gz",
        "size": [10, 9, 8],
        "spacing_mm": [1.0, 1.5, 2.0],
    }
    assert content["seconds"] == {"read": 0.5, "network": 1.0, "write": 0.25, "total": 2.0}
    assert content["notes"] == ["Read.", "B"]
    assert content["device"] == "cpu"


def test_statistics_are_read_back_as_they_were() -> None:
    text = statistics_csv([report(row("liver", 5), row("spleen", 0))])
    liver, spleen = csv.DictReader(io.StringIO(text))
    assert liver == {
        "case": "name, with comma",
        "target": "liver",
        "volume_ml": "0.6173",
        "mean_hu": "51.5",
        "sd_hu": "2.25",
        "voxels": "5",
        "model": "flare-base 1",
    }
    assert (spleen["volume_ml"], spleen["mean_hu"], spleen["voxels"]) == ("0.0", "", "0")


def test_what_was_found_is_said_in_words() -> None:
    assert found_text(report(row("liver", 5))) == "1 of 1 targets"
    some = found_text(report(row("liver", 5), row("spleen", 0)))
    assert some == "1 of 2 targets (not found: spleen)"
    assert found_text(report(row("liver", 0), row("spleen", 0))) == "NO ORGAN FOUND"


def test_file_name_that_is_no_text_does_not_stop_the_report(tmp_path: Path) -> None:
    name = b"scan\xff.nii".decode("utf-8", "surrogateescape")
    write_json(tmp_path / "r.json", {"path": name, "other": "肝"})
    assert "肝" in (tmp_path / "r.json").read_text(encoding="utf-8")


def test_versions_name_what_computes() -> None:
    found = versions()
    assert {"FlareSegment", "python", "torch", "numpy"} <= found.keys()
    assert json.dumps(found)
