"""The networks of the papers: shapes, sizes, and the way through a bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from FlareSegmentLib.bundle import (
    BundleInference,
    IntensityStatistics,
    ModelBundle,
    ModelInfo,
    NetworkEntry,
    save_bundle,
)
from FlareSegmentLib.errors import BundleError
from FlareSegmentLib.labels import targets
from FlareSegmentLib.network import NETWORKS, build_network
from FlareSegmentLib.segmenter import Segmenter
from FlareSegmentLib.text_head import DYNAMIC_PARAMETERS, TextDrivenHead
from FlareSegmentLib.volume import Volume

TINY: dict[str, dict[str, Any]] = {
    "SubvoxelUNet": {"widths": [4, 8], "stem_stride": [1, 2, 2]},
    "PlainUNet": {"widths": [4, 6, 8], "strides": [[1, 2, 2], [2, 2, 2]]},
    "TextSegResNet": {"width": 8, "blocks": [1, 1], "text_features": 5, "hidden": 6},
    "FusionUNet": {"widths": [3, 4, 5]},
    "CoarseUNet": {"widths": [3, 4]},
}
SIGMOID = {"TextSegResNet", "FusionUNet", "CoarseUNet"}


def parameters(network: nn.Module) -> float:
    """Millions of trainable parameters."""
    return sum(p.numel() for p in network.parameters()) / 1e6


def test_every_network_has_a_tiny_version_here() -> None:
    assert set(TINY) == set(NETWORKS)


@pytest.mark.parametrize("name", sorted(TINY))
def test_logits_have_the_size_of_the_input(name: str) -> None:
    network = build_network(name, TINY[name]).eval()
    k, j, i = network.size_multiple
    size = (max(k, 8) * 2, max(j, 8), max(i, 8) * 3)
    with torch.no_grad():
        logits = network(torch.randn(2, 1, *size))
    assert logits.shape == (2, 14 if name in SIGMOID else 15, *size)
    assert bool(torch.isfinite(logits).all())


@pytest.mark.parametrize("name", sorted(TINY))
def test_every_parameter_learns(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(name, {**TINY[name]}).train()
    outputs = network(torch.randn(2, 1, 16, 16, 16))
    outputs = outputs if isinstance(outputs, list) else [outputs]
    sum(o.square().mean() for o in outputs).backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    # Instance normalisation cancels a bias before it: that one may be without a gradient.
    assert not [n for n in silent if not n.endswith(".bias")]


@pytest.mark.parametrize(
    ("name", "arguments", "stated", "tolerance"),
    [
        ("PlainUNet", {}, 5.22, 0.03),  # P1, Table 2
        ("PlainUNet", {"transposed": True}, 6.1, 0.10),  # P5, student
    ],
)
def test_size_is_near_the_one_the_paper_states(
    name: str, arguments: dict[str, Any], stated: float, tolerance: float
) -> None:
    assert parameters(build_network(name, arguments)) == pytest.approx(stated, rel=tolerance)


def test_backbone_of_the_universal_model_has_the_size_the_paper_states() -> None:
    network = build_network("TextSegResNet", {})
    backbone = parameters(network) - parameters(network.head)
    assert backbone == pytest.approx(4.69, rel=0.01)  # P2, Table 1


def test_deep_supervision_gives_all_levels_in_training_only() -> None:
    network = build_network("PlainUNet", TINY["PlainUNet"])
    x = torch.randn(1, 1, 8, 16, 16)
    levels = network.train()(x)
    assert [tuple(o.shape[2:]) for o in levels] == [(8, 16, 16), (8, 8, 8)]
    assert network.eval()(x).shape == (1, 15, 8, 16, 16)
    plain = build_network("PlainUNet", {**TINY["PlainUNet"], "deep_supervision": False})
    assert plain.train()(x).shape == (1, 15, 8, 16, 16)


def test_text_head_equals_one_convolution_after_the_other() -> None:
    torch.manual_seed(1)
    head = TextDrivenHead(classes=3, text_features=4, fine=8, deep=16, hidden=5).eval()
    fine, deep = torch.randn(2, 8, 3, 4, 5), torch.randn(2, 16, 2, 2, 2)
    theta = head.parameters_of(deep)
    assert theta.shape == (2, 3, 153)
    assert DYNAMIC_PARAMETERS == 153
    features = head.features(fine)
    with torch.no_grad():
        result = head(fine, deep)
        for sample in range(2):
            for target in range(3):
                x, at = features[sample : sample + 1], 0
                for inputs, outputs in ((8, 8), (8, 8), (8, 1)):
                    t = theta[sample, target]
                    weight = t[at : at + inputs * outputs].reshape(outputs, inputs, 1, 1, 1)
                    at += inputs * outputs
                    bias = t[at : at + outputs]
                    at += outputs
                    x = nn.functional.conv3d(x, weight, bias)
                    x = x.relu() if outputs == 8 else x
                torch.testing.assert_close(result[sample, target], x[0, 0], atol=1e-5, rtol=1e-4)


def test_text_decides_what_is_segmented() -> None:
    """The same image under exchanged prompts gives exchanged channels."""
    torch.manual_seed(2)
    network = build_network("TextSegResNet", {**TINY["TextSegResNet"], "classes": 2}).eval()
    words = torch.randn(2, 5)
    x = torch.randn(1, 1, 8, 8, 8)
    with torch.no_grad():
        network.head.set_embeddings(words)
        first = network(x)
        network.head.set_embeddings(words.flip(0))
        second = network(x)
    torch.testing.assert_close(first.flip(1), second)
    assert not torch.allclose(first, second)
    with pytest.raises(ValueError, match=r"\(2, 5\)"):
        network.head.set_embeddings(torch.zeros(2, 6))


def test_fine_features_reach_every_decoder_level_by_fusion() -> None:
    """With fusion the deepest decoder level depends on the finest encoder level directly."""
    network = build_network("FusionUNet", TINY["FusionUNet"]).eval()
    assert len(network.fusion) == 2
    assert [len(f.reduce) for f in network.fusion] == [3, 3]
    assert len(build_network("CoarseUNet", TINY["CoarseUNet"]).fusion) == 0
    assert parameters(build_network("FusionUNet", {})) > parameters(build_network("CoarseUNet", {}))


def test_arguments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BundleError, match="strides"):
        build_network("PlainUNet", {"widths": [4, 8], "strides": [[2, 2, 2], [2, 2, 2]]})
    with pytest.raises(BundleError, match="which this version does not have"):
        build_network("NoSuchNet", {})


def _entry(name: str, file: str) -> NetworkEntry:
    fixed = (16, 16, 16) if name in ("FusionUNet", "CoarseUNet") else ()
    return NetworkEntry(
        name=name,
        arguments=TINY[name],
        weights=file,
        sha256="",
        spacing=() if fixed else (6.0, 6.0, 6.0),
        patch=(16, 16, 16),
        intensity=IntensityStatistics(-500.0, 500.0, 0.0, 200.0),
        fixed_size=fixed,
    )


@pytest.mark.parametrize("name", sorted(TINY))
def test_bundle_round_trip_keeps_the_weights(name: str, tmp_path: Path) -> None:
    torch.manual_seed(4)
    weights = build_network(name, TINY[name]).state_dict()
    keys = tuple(target.key for target in targets())
    activation = "sigmoid" if name in SIGMOID else "softmax"
    info = ModelInfo("t", "1", keys, activation, _entry(name, "weights.pt"))
    save_bundle(tmp_path, info, weights, half=False)
    loaded = ModelBundle.load(tmp_path).network()
    for key, value in loaded.state_dict().items():
        assert torch.equal(value, weights[key]), key


def test_two_stages_segment_a_scan(tmp_path: Path, tiny_ct: np.ndarray) -> None:
    """P4 as a bundle: both networks at a fixed size, the coarse one as localiser."""
    torch.manual_seed(5)
    fine = build_network("FusionUNet", TINY["FusionUNet"])
    coarse = build_network("CoarseUNet", TINY["CoarseUNet"])
    with torch.no_grad():
        for network in (fine, coarse):
            network.head.bias.fill_(-5.0)
            network.head.bias[0] = 5.0  # the liver is everywhere
    keys = tuple(target.key for target in targets())
    info = ModelInfo(
        "p4",
        "1",
        keys,
        "sigmoid",
        _entry("FusionUNet", "weights.pt"),
        replace(_entry("CoarseUNet", "localiser.pt")),
    )
    save_bundle(tmp_path, info, fine.state_dict(), coarse.state_dict())
    affine = np.diag([-8.0, -8.0, 8.0, 1.0])
    result = Segmenter(ModelBundle.load(tmp_path), "cpu").segment(Volume(tiny_ct, affine))
    assert result.array.shape == tiny_ct.shape
    assert set(np.unique(result.array)) <= {0, 1}
    assert (result.array == 1).mean() > 0.5


def test_the_coarse_stage_keeps_one_component_per_organ_where_the_fine_one_does(
    tmp_path: Path, tiny_ct: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P4: a second piece of "liver" far below does not widen the region that is drawn."""
    torch.manual_seed(5)
    networks = [build_network(name, TINY[name]) for name in ("FusionUNet", "CoarseUNet")]
    entries = _entry("FusionUNet", "weights.pt"), _entry("CoarseUNet", "localiser.pt")
    keys = tuple(target.key for target in targets())
    regions = []
    for largest_only in (False, True):
        inference = BundleInference(largest_only=largest_only)
        info = ModelInfo("p4", "1", keys, "sigmoid", *entries, inference=inference)
        folder = tmp_path / str(largest_only)
        save_bundle(folder, info, *(network.state_dict() for network in networks))
        segmenter = Segmenter(ModelBundle.load(folder), "cpu")
        assert segmenter.localiser is not None
        predict = segmenter.localiser.predict

        def two_livers(*arguments: Any, predict: Any = predict) -> torch.Tensor:
            logits: torch.Tensor = predict(*arguments).fill_(-5.0)
            logits[0] = 0.0
            logits[1, 8:15, 4:12, 4:12] = 5.0
            logits[1, 2:5, 4:8, 4:8] = 5.0
            return logits

        monkeypatch.setattr(segmenter.localiser, "predict", two_livers)
        result = segmenter.segment(Volume(tiny_ct, np.diag([-12.0, -12.0, 12.0, 1.0])))
        regions.append(result.report["region_of_interest"])
    assert regions[0] != regions[1]
    (wide, *_), (narrow, *_) = regions
    assert narrow[0] > wide[0]
    assert narrow[1] == wide[1]
