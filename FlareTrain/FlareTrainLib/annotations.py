"""What was annotated in each case: ``annotated.json``, or what the label maps hold without it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from FlareSegmentLib.errors import InputError
from FlareSegmentLib.labels import targets
from FlareSegmentLib.reading import read_label_map

from .label_maps import target_ids
from .label_values import IGNORE
from .settings import read_json


def read_annotations(path: Path) -> dict[str, dict[str, tuple[int, ...]]]:
    """Read annotated.json: a list of ids per case, or an object with "annotated" and "absent".

    Raises
    ------
    InputError
        When it has another form, or names an id that is no target.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f'{path} must look like {{"case": {{"annotated": [1, 2]}}}}.')
    return {str(name): _entry(entry, f"{path}: {name}") for name, entry in content.items()}


def derive_annotated(labels: Path | None, values: Mapping[int, int]) -> tuple[int, ...]:
    """Targets that occur in a label map: all that can be said without annotated.json."""
    if labels is None:
        return ()
    array = target_ids(read_label_map(labels)[0], values, labels)
    return tuple(int(v) for v in np.unique(array) if v not in (0, IGNORE))


def _entry(entry: Any, where: str) -> dict[str, tuple[int, ...]]:
    """What a case's entry lists, under both keys."""
    listed = entry if isinstance(entry, dict) else {"annotated": entry}
    if not listed.keys() & {"annotated", "absent"}:
        raise InputError(
            f'{where} has neither "annotated" nor "absent" (found: {", ".join(listed) or "nothing"}'
            "). List target ids under one of them, or take the case out of the file."
        )
    ids = {key: _ids(listed.get(key, []), where) for key in ("annotated", "absent")}
    both = sorted(set(ids["annotated"]) & set(ids["absent"]))
    if both:
        raise InputError(
            f"{where} lists {both[0]} as annotated and as absent. Keep it under one of them: a "
            "target that was looked for and is not there may be under either."
        )
    return ids


def _ids(listed: Any, where: str) -> tuple[int, ...]:
    known = {target.id for target in targets()}
    if not isinstance(listed, list) or any(not isinstance(v, int) for v in listed):
        raise InputError(f"{where} must list target ids like [1, 2].")
    foreign = [v for v in listed if v not in known]
    if foreign:
        raise InputError(
            f"{where} lists {foreign[0]}, which is no target id (1 to {max(known)}). Correct it."
        )
    return tuple(sorted(set(listed)))
