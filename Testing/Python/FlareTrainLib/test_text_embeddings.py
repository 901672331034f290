"""Text embeddings: the shipped array, other arrays, and bad ones."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import targets
from FlareSegmentLib.network import build_network
from FlareTrainLib.settings import Part
from FlareTrainLib.text_embeddings import load_text_embeddings
from FlareTrainLib.training_settings import TrainingSettings, completed


def test_shipped_embeddings_are_those_of_their_provenance(repository: Path) -> None:
    folder = repository / "FlareTrain" / "Resources" / "Text"
    facts = json.loads((folder / "prompts_minilm.json").read_text())
    content = (folder / facts["array"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == facts["array_sha256"]
    assert facts["targets"] == [target.key for target in targets()]
    raw = np.load(folder / facts["array"])
    assert list(raw.shape) == facts["shape"]
    # What the encoder says: kidneys are alike, and unlike the aorta.
    assert raw[1] @ raw[12] > raw[1] @ raw[4]


def test_every_prompt_is_distinct_once_the_common_part_is_gone() -> None:
    array = load_text_embeddings()
    assert array.shape == (14, 384)
    assert array.std() == pytest.approx(1, rel=1e-4)
    unit = array / np.linalg.norm(array, axis=1, keepdims=True)
    cosines = unit @ unit.T - np.eye(14)
    # Left and right differ by a word; all else is told apart clearly.
    pairs = {(1, 12), (6, 7)}
    rest = [cosines[a, b] for a in range(14) for b in range(a) if (b, a) not in pairs]
    assert max(rest) < 0.6
    assert cosines[1, 12] < 0.97
    np.testing.assert_array_equal(load_text_embeddings(targets=(14, 2)), array[[13, 1]])


def test_embeddings_of_another_encoder_fit(shared_data: Path, tmp_path: Path) -> None:
    """The universal model's own CLIP embeddings: the network takes their length."""
    stored = np.load(shared_data / "text" / "clip_vitb32_ct_prompts.npz")
    names = [str(name).lower() for name in stored["names"]]
    wanted = [
        "liver", "right kidney", "spleen", "pancreas", "arota", "postcava",
        "right adrenal gland", "left adrenal gland", "gall bladder", "esophagus", "stomach",
        "duodenum", "left kidney", "liver tumor",
    ]  # fmt: skip
    rows = stored["embeddings"][[names.index(name) for name in wanted]]
    np.save(tmp_path / "clip.npy", rows)
    settings = completed(
        TrainingSettings(
            network=Part("TextSegResNet", {"width": 8, "blocks": [1, 1]}),
            loss=Part("masked_bce_dice"),
            text_embeddings=str(tmp_path / "clip.npy"),
        )
    )
    assert settings.network.arguments["text_features"] == 512
    network = build_network(settings.network.name, settings.network.arguments)
    assert network.head.embeddings.shape == (14, 512)


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.zeros((13, 8), np.float32), r"\(13, 8\).*each of the 14 targets"),
        (np.zeros(14, np.float32), "one row for each"),
        (np.full((14, 8), np.nan, np.float32), "not finite"),
    ],
)
def test_unusable_embeddings_are_refused(array: np.ndarray, sentence: str, tmp_path: Path) -> None:
    np.save(tmp_path / "text.npy", array)
    with pytest.raises(InputError, match=sentence):
        load_text_embeddings(tmp_path / "text.npy")
    with pytest.raises(InputError, match="cannot be read"):
        load_text_embeddings(tmp_path / "missing.npy")
