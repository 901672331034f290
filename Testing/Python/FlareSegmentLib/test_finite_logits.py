"""A processor, GPU or model that gives no numbers never gives an empty result without a word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from FlareSegmentLib.bundle import IntensityStatistics, ModelBundle, NetworkEntry
from FlareSegmentLib.errors import DeviceError
from FlareSegmentLib.prediction import Predictor, WindowCount
from FlareSegmentLib.progress import Monitor
from FlareSegmentLib.segmenter import InferenceSettings, Segmenter
from FlareSegmentLib.volume import Volume

PATCH = (8, 16, 16)


class FaultyBelowFloat32(nn.Module):
    """Channel 1 wins where a voxel is positive; one value is wrong below float32.

    `float32_too` makes it wrong in every precision.
    """

    def __init__(self, wrong: float, float32_too: bool = False) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.wrong, self.float32_too = wrong, float32_too

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.cat([torch.zeros_like(x), x * self.scale], dim=1)
        if y.dtype != torch.float32 or self.float32_too:
            y[0, 1, -1, -1, -1] = self.wrong
        return y


def predictor(network: nn.Module, precision: torch.dtype = torch.bfloat16) -> Predictor:
    intensity = IntensityStatistics(-1000, 1000, 0, 1)
    entry = NetworkEntry("", {}, "", "", (1.0, 1.0, 1.0), PATCH, intensity)
    return Predictor(network, entry, False, torch.device("cpu"), precision)


def predicted(used: Predictor, image: np.ndarray) -> tuple[np.ndarray, WindowCount]:
    count = WindowCount()
    logits = used.predict(torch.from_numpy(image), PATCH, 1.0, None, Monitor(None, None), count)
    return logits.argmax(0).numpy(), count


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("windows", [1, 4])
def test_such_windows_are_computed_again_in_float32(wrong: float, windows: int) -> None:
    image = np.full((8, 16, 16 * windows), 5.0, np.float32)
    image[:, :8] = -5.0
    labels, count = predicted(predictor(FaultyBelowFloat32(wrong)), image)
    np.testing.assert_array_equal(labels == 1, image > 0)
    assert (count.computed, count.repeated) == (windows, windows)


def test_finite_windows_are_computed_once() -> None:
    image = np.full(PATCH, 5.0, np.float32)
    _, count = predicted(predictor(FaultyBelowFloat32(1.0)), image)
    assert (count.computed, count.repeated) == (1, 0)


def test_no_numbers_in_float32_either_is_an_error() -> None:
    image = np.full(PATCH, 5.0, np.float32)
    for precision in (torch.bfloat16, torch.float32):
        used = predictor(FaultyBelowFloat32(float("nan"), float32_too=True), precision)
        with pytest.raises(DeviceError, match="not a number"):
            predicted(used, image)


def test_the_report_says_that_windows_were_repeated(tiny_bundle: Path, body: Volume) -> None:
    segmenter = Segmenter(ModelBundle.load(tiny_bundle), "cpu", InferenceSettings(cleanup=None))
    wanted = segmenter.segment(body)
    assert not any("float32" in note for note in wanted.report["notes"])
    segmenter.predictor = predictor(_Background(len(segmenter.bundle.info.targets) + 1))
    segmenter.localiser = None
    result = segmenter.segment(body)
    assert any("computed again in float32" in note for note in result.report["notes"])


class _Background(nn.Module):
    """Nothing anywhere, and no number in one voxel below float32."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.new_zeros((1, self.channels, *x.shape[2:]))
        y[:, 0] = 1.0
        if y.dtype != torch.float32:
            y[0, 3, 0, 0, 0] = torch.nan
        return y
