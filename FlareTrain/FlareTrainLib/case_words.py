"""Files beside a dataset that say one word about each of some cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from FlareSegmentLib.errors import InputError

from .settings import read_json


def read_case_words(path: Path, words: Sequence[str]) -> dict[str, str]:
    """Give the word of each case in the file; none without the file.

    Raises
    ------
    InputError
        When it holds anything but these words.
    """
    if not path.is_file():
        return {}
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f'{path} must look like {{"case": "{words[0]}"}}. Correct or remove it.')
    for case, word in content.items():
        if word not in words:
            raise InputError(
                f"{path} says {word!r} of the case {case}; it can say "
                f"{' or '.join(map(repr, words))}. Correct it, or take the case out of the file."
            )
    return content
