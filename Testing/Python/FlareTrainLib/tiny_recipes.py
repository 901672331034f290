"""The smallest recipe there is, for tests of what goes on around a training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def tiny_recipe(folder: Path, steps: int, **more: Any) -> Path:
    """Write a recipe that trains some steps per second, with `more` of a recipe's settings."""
    network = {
        "grid": {"spacing": [16, 16, 16]},
        "patch": [16, 32, 32],
        "training": {
            "network": {
                "name": "SubvoxelUNet",
                "arguments": {"widths": [4, 6], "stem_stride": [1, 1, 1], "convolutions": 1},
            },
            "fit": {"steps": steps, "batch": 1, "prefetch": 0, "report_every": 1},
            "sampling": {"patches": [[8, 8, 8]], "patch_weights": [1]},
            "tumors": {"probability": 0.0},
        },
    }
    path = folder / "tiny.json"
    path.write_text(json.dumps({"name": "tiny", "network": network, **more}))
    return path
