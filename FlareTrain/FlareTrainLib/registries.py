"""Parts that recipes choose by name: losses, optimizers, schedules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from FlareSegmentLib.errors import InputError

T = TypeVar("T")


def chosen(registry: Mapping[str, T], name: str, kind: str) -> T:
    """Give what is called `name`.

    Parameters
    ----------
    kind
        What the registry holds, for the error: "loss", "optimizer".

    Raises
    ------
    InputError
        When there is no such name.
    """
    if name not in registry:
        known = ", ".join(sorted(registry))
        raise InputError(f"There is no {kind} '{name}'. Known are: {known}.")
    return registry[name]


@contextmanager
def arguments_of(kind: str, name: str) -> Iterator[None]:
    """Turn what Python says of arguments that do not fit into a sentence.

    Raises
    ------
    InputError
        When they do not fit.
    """
    try:
        yield
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(
            f"The arguments of the {kind} '{name}' do not fit: {error}. Correct them in the recipe."
        ) from error
