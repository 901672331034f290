"""Lists and dicts that write every change to the parameter node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, MutableSequence
from typing import Any


class ObservedList(MutableSequence):
    """A list whose changes are kept."""

    def __init__(self, values: list[Any], save: Callable[[Any], list[Any]]) -> None:
        self._values = values
        self._save = save

    def _changed(self, values: list[Any]) -> None:
        # Read back, so that a list put into this list tells of its changes, too.
        self._values = self._save(values)

    def __getitem__(self, index: Any) -> Any:
        return self._values[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        values = list(self._values)
        values[index] = value
        self._changed(values)

    def __delitem__(self, index: Any) -> None:
        values = list(self._values)
        del values[index]
        self._changed(values)

    def __len__(self) -> int:
        return len(self._values)

    def insert(self, index: int, value: Any) -> None:
        """Insert a value."""
        values = list(self._values)
        values.insert(index, value)
        self._changed(values)

    def extend(self, values: Any) -> None:
        """Append values, all or none."""
        self._changed([*self._values, *values])

    def sort(self, **options: Any) -> None:
        """Sort the values."""
        self._changed(sorted(self._values, **options))

    def __eq__(self, other: object) -> bool:
        return self._values == (other._values if isinstance(other, ObservedList) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ObservedList({self._values})"


class ObservedDict(MutableMapping):
    """A dict whose changes are kept."""

    def __init__(self, values: dict[Any, Any], save: Callable[[Any], dict[Any, Any]]) -> None:
        self._values = values
        self._save = save

    def _changed(self, values: dict[Any, Any]) -> None:
        self._values = self._save(values)

    def __getitem__(self, key: Any) -> Any:
        return self._values[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._changed({**self._values, key: value})

    def __delitem__(self, key: Any) -> None:
        values = dict(self._values)
        del values[key]
        self._changed(values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return self._values == (other._values if isinstance(other, ObservedDict) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ObservedDict({self._values})"
