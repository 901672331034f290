"""Translation of texts: the host speaks English, so every text is its own translation."""

from __future__ import annotations


def translate(context: str, text: str) -> str:
    """Give the text in the application's language."""
    _check(text)
    return text


def tr(text: str) -> str:
    """Give the text in the application's language; the context is the calling file."""
    _check(text)
    return text


def _check(text: object) -> None:
    # Slicer's Qt refuses anything but a string here, at run time and in every language.
    if not isinstance(text, str):
        raise TypeError(f"Only a string can be translated, not {text!r}.")
