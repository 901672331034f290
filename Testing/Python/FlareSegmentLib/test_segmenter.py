"""The engine end to end, on random weights: geometry, progress, cancel, memory, emptiness."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from FlareSegmentLib.bundle import ModelBundle
from FlareSegmentLib.cleanup import CleanupSettings
from FlareSegmentLib.errors import Cancelled, DeviceError, InputError
from FlareSegmentLib.geometry import AxisOrder
from FlareSegmentLib.segmenter import InferenceSettings, Segmenter
from FlareSegmentLib.upsampling import reference_argmax
from FlareSegmentLib.volume import Volume

# Random weights give specks; clean-up has its own tests.
SETTINGS = InferenceSettings(cleanup=None, precision="float32")


@pytest.fixture(scope="module")
def reference(segmenter: Segmenter, body: Volume) -> np.ndarray:
    labels = segmenter.segment(body).array
    assert len(np.unique(labels)) > 3
    return labels


ALL_ORDERS = [
    AxisOrder(permutation, flips)
    for permutation in itertools.permutations(range(3))
    for flips in itertools.product((False, True), repeat=3)
]


@pytest.mark.parametrize("order", ALL_ORDERS, ids=str)
def test_axis_order_does_not_change_the_anatomy(
    segmenter: Segmenter,
    body: Volume,
    reference: np.ndarray,
    stored_as: Callable[[Volume, AxisOrder], Volume],
    order: AxisOrder,
) -> None:
    volume = stored_as(body, order)
    result = segmenter.segment(volume)
    assert result.array.shape == volume.array.shape
    np.testing.assert_array_equal(result.affine, volume.affine)
    np.testing.assert_array_equal(result.array, order.undo(reference))


@pytest.mark.parametrize("degrees", [(10, 0, 0), (0, -20, 5), (25, 15, -20)])
def test_oblique_volume_gives_same_anatomy(
    segmenter: Segmenter, body: Volume, reference: np.ndarray, degrees: tuple[int, int, int]
) -> None:
    a, b, c = np.radians(degrees)
    turn = np.eye(4)
    turn[:3, :3] = (
        np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
        @ np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
        @ np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    )
    volume = Volume(body.array, turn @ body.affine, "oblique")
    result = segmenter.segment(volume)
    np.testing.assert_array_equal(result.affine, volume.affine)
    # The spacing is the same up to rounding, so the working grid is too.
    np.testing.assert_array_equal(result.array, reference)


def test_input_is_not_changed(segmenter: Segmenter, body: Volume) -> None:
    before = body.array.copy()
    segmenter.segment(body)
    np.testing.assert_array_equal(body.array, before)


def test_result_does_not_depend_on_what_ran_before(
    tiny_bundle: Path, body: Volume, reference: np.ndarray
) -> None:
    segmenter = Segmenter(ModelBundle.load(tiny_bundle), "cpu", SETTINGS)
    segmenter.warm_up()
    other = Volume(body.array[:, :, ::-1] + np.int16(20), body.affine)
    segmenter.segment(other)
    np.testing.assert_array_equal(segmenter.segment(body).array, reference)


def test_a_target_does_not_depend_on_the_others_wanted(
    segmenter: Segmenter, body: Volume, reference: np.ndarray
) -> None:
    present = [n for n in np.unique(reference) if n]
    keys = segmenter.bundle.info.targets
    for label in present[:3]:
        result = segmenter.segment(body, [keys[label - 1]])
        assert set(np.unique(result.array)) == {0, label}
        np.testing.assert_array_equal(result.array == label, reference == label)


def test_unknown_target_is_named(segmenter: Segmenter, body: Volume) -> None:
    with pytest.raises(InputError, match="appendix"):
        segmenter.segment(body, ["appendix"])


def test_pipeline_equals_the_plain_reference_path(
    tiny_bundle: Path, body: Volume, reference: np.ndarray
) -> None:
    """One window, no tricks: resample with torch, network, full logits, argmax."""
    bundle = ModelBundle.load(tiny_bundle)
    entry = bundle.info.network
    spacing = body.spacing
    size = [
        round(n * s / t) for n, s, t in zip(body.array.shape, spacing, entry.spacing, strict=True)
    ]
    image = torch.nn.functional.interpolate(
        torch.from_numpy(body.array.astype(np.float32))[None, None],
        size=size,
        mode="trilinear",
        align_corners=False,
    )[0, 0]
    image = (image.clamp(-200, 300) - 50) / 100
    settings = InferenceSettings(cleanup=None, precision="float32", patch=(64, 64, 64))
    labels = Segmenter(bundle, "cpu", settings).segment(body).array
    pad = [(-n) % m for n, m in zip(size, (2, 2, 2), strict=True)]
    padded = torch.nn.functional.pad(
        image[None, None], (0, pad[2], 0, pad[1], 0, pad[0]), mode="replicate"
    )
    with torch.no_grad():
        logits = bundle.network()(padded)[0, :, : size[0], : size[1], : size[2]]
    expected = reference_argmax(logits, body.array.shape)
    assert (labels != expected).mean() < 1e-4


def test_progress_rises_through_the_stages(segmenter: Segmenter, body: Volume) -> None:
    seen: list[tuple[str, float]] = []
    segmenter.segment(body, progress=lambda stage, part: seen.append((stage, part)))
    stages = list(dict.fromkeys(stage for stage, _ in seen))
    assert stages == ["localise", "resample", "network", "upsample"]
    for stage in stages:
        parts = [part for name, part in seen if name == stage]
        assert parts == sorted(parts)
        assert parts[-1] == 1.0


@pytest.mark.parametrize("asked", [1, 4, 9])
def test_cancel_stops_at_the_next_window_or_slice(
    segmenter: Segmenter, body: Volume, asked: int
) -> None:
    count = 0

    def cancel() -> bool:
        nonlocal count
        count += 1
        return count >= asked

    with pytest.raises(Cancelled):
        segmenter.segment(body, cancel=cancel)
    assert count == asked


def test_out_of_memory_takes_smaller_windows_and_says_so(
    tiny_bundle: Path, body: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = Segmenter(ModelBundle.load(tiny_bundle), "cpu", SETTINGS)
    forward = segmenter.predictor.forward
    sizes: list[int] = []

    def short_of_memory(image: torch.Tensor, *_: object) -> torch.Tensor:
        sizes.append(image.numel())
        if image.numel() > 10_000:
            raise torch.OutOfMemoryError("CUDA out of memory (injected)")
        return forward(image)

    monkeypatch.setattr(segmenter.predictor, "forward", short_of_memory)
    result = segmenter.segment(body)
    assert result.array.any()
    assert max(sizes) > 10_000 > min(sizes)
    assert any("smaller windows" in note for note in result.report["notes"])


def test_hopeless_memory_ends_in_a_sentence(
    tiny_bundle: Path, body: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = Segmenter(ModelBundle.load(tiny_bundle), "cpu", SETTINGS)

    def never(image: torch.Tensor, *_: object) -> torch.Tensor:
        raise MemoryError

    monkeypatch.setattr(segmenter.predictor, "forward", never)
    with pytest.raises(DeviceError, match="not enough memory"):
        segmenter.segment(body)


def test_an_error_of_another_kind_is_not_hidden(
    tiny_bundle: Path, body: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = Segmenter(ModelBundle.load(tiny_bundle), "cpu", SETTINGS)

    def broken(image: torch.Tensor, *_: object) -> torch.Tensor:
        raise RuntimeError("expected 5D input")

    monkeypatch.setattr(segmenter.predictor, "forward", broken)
    with pytest.raises(RuntimeError, match="5D"):
        segmenter.segment(body)


def test_an_empty_result_says_so(tiny_bundle: Path, body: Volume) -> None:
    vanish = CleanupSettings(
        least_ml=dict.fromkeys(ModelBundle.load(tiny_bundle).info.targets, 1e9)
    )
    segmenter = Segmenter(ModelBundle.load(tiny_bundle), "cpu", InferenceSettings(cleanup=vanish))
    result = segmenter.segment(body)
    assert not result.array.any()
    assert any("No organ found" in note for note in result.report["notes"])


def test_logit_offsets_draw_a_target_smaller_or_larger(
    tiny_bundle: Path, segmenter: Segmenter, body: Volume
) -> None:
    plain = segmenter.segment(body).array
    label = int(np.bincount(plain.ravel())[1:].argmax()) + 1
    key = segmenter.bundle.info.targets[label - 1]
    volumes = []
    for offset in (-1e3, -0.02, 0.0, 0.02, 1e3):
        settings = replace(segmenter.settings, logit_offsets={key: offset})
        labels = Segmenter(ModelBundle.load(tiny_bundle), "cpu", settings).segment(body).array
        volumes.append(int((labels == label).sum()))
    assert volumes == sorted(set(volumes))
    assert volumes[0] == 0
    assert volumes[2] == int((plain == label).sum())


def test_an_organ_that_wins_no_voxel_does_not_appear_between_two(
    tiny_bundle: Path, body: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Liver left, stomach right, gallbladder second everywhere: interpolation lets it win between.

    The network is replaced by these logits, because no input gives them on purpose.
    """
    liver, gallbladder, stomach = 1, 9, 11

    def logits(image: torch.Tensor, *_: object) -> torch.Tensor:
        result = torch.full((15, *image.shape), -5.0)
        half = image.shape[2] // 2
        result[liver, :, :, :half], result[liver, :, :, half:] = 1.0, -1.0
        result[stomach, :, :, :half], result[stomach, :, :, half:] = -1.0, 1.0
        result[gallbladder] = 0.9
        return result

    found = {}
    for cleanup in (None, CleanupSettings()):
        settings = InferenceSettings(cleanup=cleanup, precision="float32", patch=(64, 64, 64))
        segmenter = Segmenter(ModelBundle.load(tiny_bundle), "cpu", settings)
        monkeypatch.setattr(segmenter.predictor, "forward", logits)
        found[cleanup is None] = set(np.unique(segmenter.segment(body).array).tolist())
    assert found[True] == {liver, gallbladder, stomach}  # so the case is a case
    assert found[False] == {liver, stomach}


def test_report_holds_what_a_reader_needs(segmenter: Segmenter, body: Volume) -> None:
    report = segmenter.segment(body).report
    assert report["precision"] == "float32"
    assert report["device"] == "cpu"
    assert report["windows"] >= 1
    assert set(report["seconds"]) == {"localise", "resample", "network", "upsample", "total"}
    assert report["seconds"]["total"] > 0
