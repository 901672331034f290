"""The logic: sequences of volumes."""

from __future__ import annotations

import numpy as np
import pytest
from segment_actions import mask_of

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")


def test_sequence_is_segmented_frame_by_frame(slicer_host, logic, browser) -> None:
    proxy = logic.process(browser)
    sequence = browser.GetSequenceNode(proxy)
    assert sequence.GetNumberOfDataNodes() == 3
    volumes = browser.GetSequenceNode(browser.GetProxyNode(browser.GetMasterSequenceNode()))
    for number in range(3):
        ct = slicer.util.arrayFromVolume(volumes.GetNthDataNode(number))
        frame = sequence.GetNthDataNode(number)
        assert sequence.GetNthIndexValue(number) == str(number)
        mask = mask_of(frame, "liver", volumes.GetNthDataNode(number))
        np.testing.assert_array_equal(mask, ct == 1001)


def test_sequence_of_segmentations_plays_along(slicer_host, logic, browser) -> None:
    proxy = logic.process(browser)
    centers = []
    for number in range(3):
        browser.SetSelectedItemNumber(number)
        slicer.modules.sequences.logic().UpdateAllProxyNodes()
        centers.append(proxy.GetSegmentCenterRAS("liver"))
    assert not np.allclose(centers[0], centers[2])


def test_statistics_of_a_sequence_name_the_frame(slicer_host, logic, browser) -> None:
    table = logic.tableOf(logic.process(browser, targets=["liver"]))
    assert table.GetColumnName(0) == "Frame"
    assert [table.GetCellText(row, 0) for row in range(table.GetNumberOfRows())] == ["1", "2", "3"]
