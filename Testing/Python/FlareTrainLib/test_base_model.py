"""The bundled model's one command, on tiny patients with tiny networks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from FlareSegmentLib.bundle import ModelBundle
from FlareSegmentLib.reading import read_volume
from FlareSegmentLib.segmenter import Segmenter
from FlareTrainLib.cli import main


@pytest.fixture
def tiny_settings(tmp_path: Path) -> Path:
    part = {
        "spacing": [12, 12, 12],
        "patch": [16, 32, 32],
        "negatives": 0,
        "fit": {"steps": 4, "widths": [4, 6], "stem_stride": [1, 1, 1]},
        "sampling": {"patches": [[16, 16, 16]], "patch_weights": [1]},
        "tumors": {"probability": 0.0},
    }
    content = {"name": "tiny", "network": part, "localiser": part, "leg_minutes": 5}
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(content))
    return path


def test_one_command_leaves_a_bundle_and_goes_on(
    reference_layout: Path, tiny_settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["base", "--data", str(reference_layout), "--run", str(run), "--minutes", "5"]
    assert main([*words, "--settings", str(tiny_settings), "--device", "cpu"]) == 0
    assert capsys.readouterr().out.strip() == str(run / "bundle")

    bundle = ModelBundle.load(run / "bundle")
    assert bundle.info.name == "tiny"
    assert bundle.localiser() is not None
    assert bundle.info.facts["steps"] == 4
    assert json.loads((run / "bundle" / "score.json").read_text())["score"] is not None
    volume = read_volume(reference_layout / "ct" / "case_0.nii.gz")
    assert Segmenter(bundle, "cpu").segment(volume).array.shape == volume.array.shape

    # Run again with the schedule ended: nothing is trained, and the same weights are there.
    before = (run / "network" / "checkpoint.pt").stat().st_mtime_ns
    sha256 = bundle.info.network.sha256
    assert main([*words, "--device", "cpu"]) == 0
    assert (run / "network" / "checkpoint.pt").stat().st_mtime_ns == before
    assert ModelBundle.load(run / "bundle").info.network.sha256 == sha256


def test_a_begun_run_refuses_other_settings(
    reference_layout: Path, tiny_settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "base.json").write_text("{}")
    words = ["base", "--data", str(reference_layout), "--run", str(run), "--minutes", "1"]
    assert main([*words, "--settings", str(tiny_settings)]) == 1
    assert "was begun with other settings" in capsys.readouterr().err


def test_a_worse_bundle_does_not_replace_a_better_one(
    reference_layout: Path, tiny_settings: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ["base", "--data", str(reference_layout), "--run", str(run), "--minutes", "5"]
    assert main([*words, "--settings", str(tiny_settings), "--device", "cpu"]) == 0
    better = json.loads((run / "bundle" / "score.json").read_text())
    (run / "bundle" / "score.json").write_text(json.dumps({**better, "score": 0.99}))
    state = torch.load(run / "network" / "checkpoint.pt", weights_only=True)
    state["averaged"] = {k: torch.zeros_like(v) for k, v in state["averaged"].items()}
    torch.save(state, run / "network" / "checkpoint.pt")
    kept = (run / "bundle" / "weights.pt").read_bytes()
    assert main([*words, "--device", "cpu"]) == 0
    assert (run / "bundle" / "weights.pt").read_bytes() == kept
    latest = torch.load(run / "latest" / "bundle" / "weights.pt", weights_only=True)
    assert not any(np.any(v.numpy()) for v in latest.values())
