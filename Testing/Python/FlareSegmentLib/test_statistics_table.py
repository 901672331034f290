"""The table on the screen and as CSV."""

from __future__ import annotations

import csv
import io

import pytest

from FlareSegmentLib.statistics_table import cell_text, statistics_csv

LIVER = {
    "key": "liver",
    "name": "Liver",
    "volume_ml": 1523.45678,
    "mean_hu": 104.26,
    "sd_hu": 21.5,
    "voxels": 812345,
}
NO_TUMOR = {
    "key": "tumor",
    "name": "Tumor",
    "volume_ml": 0.0,
    "mean_hu": None,
    "sd_hu": None,
    "voxels": 0,
}


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("name", "Liver", "Liver"),
        ("volume_ml", 1523.45678, "1523.5"),
        ("mean_hu", None, "–"),  # noqa: RUF001
        ("mean_hu", float("nan"), "–"),  # noqa: RUF001
        ("voxels", 12, "12"),
    ],
)
def test_cells_are_short(key, value, text) -> None:
    assert cell_text(key, value) == text


def test_csv_reads_back() -> None:
    rows = list(csv.DictReader(io.StringIO(statistics_csv([LIVER, NO_TUMOR]))))
    assert rows[0]["Structure"] == "Liver"
    assert float(rows[0]["Volume (ml)"]) == pytest.approx(1523.4568)
    assert rows[1]["Volume (ml)"] == "0.0"
    assert rows[1]["Mean HU"] == ""


def test_frames_have_a_column_of_their_own() -> None:
    rows = [{"frame": 1, **LIVER}, {"frame": 2, **LIVER}]
    read = list(csv.DictReader(io.StringIO(statistics_csv(rows))))
    assert [row["Frame"] for row in read] == ["1", "2"]
