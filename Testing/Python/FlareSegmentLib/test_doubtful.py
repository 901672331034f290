"""A scan that lies otherwise than its header says gives a wrong result: it must say so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from FlareSegmentLib import Segmenter, Volume, read_volume
from FlareSegmentLib.segmentation_run import DOUBTFUL


@pytest.fixture(scope="module")
def product_model() -> Segmenter:
    return Segmenter(device="cpu")


@pytest.fixture(scope="module")
def scan(shared_data: Path) -> Volume:
    return read_volume(shared_data / "ct" / "chaos_ct03.nii.gz")


def test_scan_as_it_lies_comes_without_doubt(product_model: Segmenter, scan: Volume) -> None:
    assert DOUBTFUL not in product_model.segment(scan).report["notes"]


@pytest.mark.parametrize(
    "turned",
    [np.s_[:, ::-1, ::-1], np.s_[:, :, ::-1], np.s_[::-1]],
    ids=["prone", "mirrored", "upside down"],
)
def test_a_header_with_the_wrong_directions_comes_with_doubt(
    product_model: Segmenter, scan: Volume, turned: tuple[slice, ...]
) -> None:
    wrong = replace(scan, array=np.ascontiguousarray(scan.array[turned]))
    result = product_model.segment(wrong)
    # Either nothing is given, or it is said that it may be wrong.
    assert not result.array.any() or DOUBTFUL in result.report["notes"]
    assert result.report["notes"]
