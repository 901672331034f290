"""Text embeddings of the targets' prompts, for P2's network.

The shipped array was computed once by a sentence encoder (`Resources/Text/prompts_minilm.json`
says how); any other array with a row per target, such as CLIP's, can be given instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from FlareSegmentLib.errors import InputError

from .train_resources import train_resources_folder

SHIPPED = "minilm"
"""Name of the array that comes with the extension."""

COUNT = 14
"""Targets, in the order of their ids."""


def load_text_embeddings(
    path: Path | str = SHIPPED, targets: Sequence[int] = tuple(range(1, COUNT + 1))
) -> np.ndarray:
    """Embeddings (targets, features) float32, made distinct.

    Prompts that differ in one word have embeddings that point almost the same way (cosine 0.97
    for left and right kidney). What all prompts share is taken away and the rest is scaled to
    unit variance, a fixed linear map that spares the controller from learning it.

    Parameters
    ----------
    path
        `SHIPPED`, or an .npy file (14, features) in the order of the target ids.
    targets
        FLARE ids of the rows wanted.

    Raises
    ------
    InputError
        If the file cannot be read or has another shape or values that are not finite.
    """
    file = Path(path)
    if str(path) == SHIPPED:
        file = train_resources_folder() / "Text" / "prompts_minilm.npy"
    try:
        array = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"The text embeddings '{file}' cannot be read ({error}). Give an .npy file with one "
            f"row for each of the {COUNT} targets."
        ) from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.shape[0] != COUNT:
        found = getattr(array, "shape", "no array")
        raise InputError(
            f"The text embeddings '{file}' have the shape {found}; needed is one row for each "
            f"of the {COUNT} targets."
        )
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise InputError(f"The text embeddings '{file}' hold values that are not finite.")
    array -= array.mean(axis=0)
    array /= max(float(array.std()), 1e-12)
    return array[[target - 1 for target in targets]]
