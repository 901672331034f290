"""The 14 targets: 13 abdominal organs and tumor, read from ``Resources/labels.json``.

Names, codes, colors, metric tolerances and command line choices all come from there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from .errors import InputError
from .resources import resources_folder


@dataclass(frozen=True)
class Code:
    """One coded term.

    Attributes
    ----------
    scheme
        Coding scheme designator, ``"SCT"`` for SNOMED CT.
    value
        Code value, e.g. ``"10200004"``.
    meaning
        Code meaning in English, e.g. ``"Liver"``.
    """

    scheme: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Target:
    """One structure that can be segmented.

    Attributes
    ----------
    id
        Value in label maps, 1..14 (FLARE 2023).
    key
        Word for files and the command line, e.g. ``"left_kidney"``.
    name
        English name for people, e.g. ``"Left kidney"``.
    category, type, modifier
        SNOMED CT codes as Slicer's terminologies use them; modifier is the side or None.
    color
        Red, green, blue, 0..255: Slicer's standard color.
    nsd_tolerance_mm
        Tolerance of the normalized surface distance in mm (FLARE 2023).
    cut_to_reference
        True where FLARE compares only the slices in which the reference has the structure
        (aorta, inferior vena cava, esophagus: tubes without a natural end).
    """

    id: int
    key: str
    name: str
    category: Code
    type: Code
    modifier: Code | None
    color: tuple[int, int, int]
    nsd_tolerance_mm: float
    cut_to_reference: bool


def _code(entry: dict[str, str]) -> Code:
    return Code(entry["scheme"], entry["value"], entry["meaning"])


def _target(entry: dict[str, Any]) -> Target:
    red, green, blue = entry["color"]
    return Target(
        id=entry["id"],
        key=entry["key"],
        name=entry["name"],
        category=_code(entry["category"]),
        type=_code(entry["type"]),
        modifier=_code(entry["modifier"]) if entry["modifier"] else None,
        color=(red, green, blue),
        nsd_tolerance_mm=float(entry["nsd_tolerance_mm"]),
        cut_to_reference=entry["cut_to_reference"],
    )


@cache
def targets() -> tuple[Target, ...]:
    """All 14 targets in the order of their ids."""
    text = (resources_folder() / "labels.json").read_text(encoding="utf-8")
    return tuple(_target(entry) for entry in json.loads(text)["targets"])


def target_by_key(key: str) -> Target:
    """The target with this key.

    Raises
    ------
    InputError
        When there is none; the text lists the keys.
    """
    for target in targets():
        if target.key == key:
            return target
    raise InputError(f'"{key}" is not a target. The targets are: {_all_keys()}.')


def target_by_id(label: int) -> Target:
    """The target with this label value, 1..14.

    Raises
    ------
    InputError
        When there is none.
    """
    for target in targets():
        if target.id == label:
            return target
    raise InputError(
        f"{label} is not a target's label value. The values are 1 to {len(targets())}."
    )


def parse_targets(text: str | Iterable[str] | None) -> tuple[str, ...]:
    """Keys of the wanted targets in the order of their ids, each once.

    Parameters
    ----------
    text
        Keys separated by commas, as on the command line (``"liver,left kidney"``; spaces,
        hyphens and capitals do not matter), or several keys. Nothing or ``"all"`` means all.

    Raises
    ------
    InputError
        When a word is no target; the text names the word and lists the keys.

    Examples
    --------
    >>> parse_targets("spleen, Liver")
    ('liver', 'spleen')
    """
    words = text.split(",") if isinstance(text, str) else list(text or ())
    keys = {"_".join(word.lower().replace("-", " ").replace("_", " ").split()) for word in words}
    keys.discard("")
    if not keys or keys == {"all"}:
        return tuple(target.key for target in targets())
    unknown = sorted(keys - {target.key for target in targets()})
    if unknown:
        words_text = " and ".join(f'"{word}"' for word in unknown)
        verb = "is not a target" if len(unknown) == 1 else "are not targets"
        raise InputError(f"{words_text} {verb}. The targets are: {_all_keys()}.")
    return tuple(target.key for target in targets() if target.key in keys)


def _all_keys() -> str:
    return ", ".join(target.key for target in targets())
