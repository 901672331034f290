"""Settings as data: frozen dataclasses from JSON and back, with no key left unread."""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from FlareSegmentLib.errors import InputError

from .whole_files import write_text

S = TypeVar("S")


@dataclass(frozen=True)
class Part:
    """A choice from one of the registries: networks, losses, optimizers, schedules.

    Attributes
    ----------
    name
        Key in the registry.
    arguments
        Keyword arguments of what stands there.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


def settings_from_json(cls: type[S], content: object, where: str) -> S:
    """Build the settings `cls` (a dataclass, possibly of dataclasses) from parsed JSON.

    Missing keys take their defaults; lists become tuples where a tuple is declared.

    Parameters
    ----------
    where
        What is being read, for the error text, e.g. ``recipe p1.json: training``.

    Raises
    ------
    InputError
        For an unknown or missing key, or a value of the wrong kind.
    """
    if not isinstance(content, Mapping):
        raise InputError(f"{where} must be an object of settings, but is {_kind(content)}.")
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    for key in content:
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, 1)
            hint = f"Did you mean '{near[0]}'? " if near else ""
            raise InputError(
                f"{where} has an unknown setting '{key}'. {hint}Known are: {', '.join(fields)}."
            )
    kinds = typing.get_type_hints(cls)
    values = {key: _value(kinds[key], value, f"{where}: {key}") for key, value in content.items()}
    missing = [
        name
        for name, f in fields.items()
        if name not in values
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InputError(f"{where} lacks the setting '{missing[0]}'. Add it.")
    try:
        return cls(**values)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


def settings_to_json(settings: Any) -> dict[str, Any]:
    """Give the JSON form of a settings dataclass; `settings_from_json` reads it back."""
    return {f.name: _plain(getattr(settings, f.name)) for f in dataclasses.fields(settings)}


def read_json(path: Path) -> Any:
    """Parse a JSON file.

    Raises
    ------
    InputError
        When it cannot be read or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}). Check the path."
        ) from error
    except ValueError as error:
        raise InputError(f"{path} is no valid JSON: {error}. Correct the file.") from error


def write_json(path: Path, content: object) -> None:
    """Write JSON: the file is whole or not there.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    write_text(path, json.dumps(content, indent=1) + "\n")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return settings_to_json(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _value(kind: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        return _optional(typing.get_args(kind), value, where)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return settings_from_json(kind, value, where)
    if origin is typing.Literal:
        if value not in typing.get_args(kind):
            choices = ", ".join(map(repr, typing.get_args(kind)))
            raise InputError(f"{where} is {value!r}, but must be one of: {choices}.")
        return value
    if origin is tuple:
        return _items(typing.get_args(kind), value, where)
    if origin is dict or kind is dict:
        if not isinstance(value, Mapping):
            raise InputError(f"{where} must be an object, but is {_kind(value)}.")
        return dict(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind in (int, float, str, bool):
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise InputError(f"{where} must be {_WORDS[kind]}, but is {_kind(value)}.")
        return value
    return value


def _optional(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    others = [kind for kind in kinds if kind is not type(None)]
    return _value(others[0], value, where) if len(others) == 1 else value


def _items(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise InputError(f"{where} must be a list, but is {_kind(value)}.")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_value(kinds[0], item, where) for item in value)
    if len(value) != len(kinds):
        raise InputError(f"{where} must have {len(kinds)} values, but has {len(value)}.")
    return tuple(_value(kind, item, where) for kind, item in zip(kinds, value, strict=True))


_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | str):
        return repr(value)
    return "a list" if isinstance(value, list | tuple) else "an object"
