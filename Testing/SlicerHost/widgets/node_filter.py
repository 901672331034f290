"""What a node selector lists: nodes, and what can be done with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

OPTIONS = ("addEnabled", "removeEnabled", "editEnabled", "renameEnabled")
"""Properties that add a line to the list."""


@dataclass(frozen=True)
class NodeFilter:
    """What a node has to be.

    Attributes
    ----------
    types, hidden_types
        Classes that are listed, and those that are not although they derive from one that is.
    children
        Whether classes derived from `types` are listed.
    hidden
        Whether nodes that are hidden from editors are listed.
    attributes
        Class, name, and value of the attributes that nodes of the class must have; any value
        when None.
    """

    types: Sequence[str]
    hidden_types: Sequence[str]
    children: bool
    hidden: bool
    attributes: Sequence[tuple[str, str, str | None]]

    def accepts(self, node: Any) -> bool:
        """Tell whether a node is listed."""
        if node.GetHideFromEditors() and not self.hidden:
            return False
        if any(node.IsA(name) for name in self.hidden_types):
            return False
        if not any(self._is_a(node, name) for name in self.types):
            return False
        return all(
            self._has(node, name, value)
            for class_name, name, value in self.attributes
            if node.IsA(class_name)
        )

    def _is_a(self, node: Any, name: str) -> bool:
        return bool(node.IsA(name)) if self.children else node.GetClassName() == name

    @staticmethod
    def _has(node: Any, name: str, value: str | None) -> bool:
        found = node.GetAttribute(name)
        return found is not None if value is None else found == value


def node_instead(
    ids: Sequence[str], known: Sequence[str], current: str | None, quite_empty: bool
) -> str | None:
    """Choose when the current node is gone, or when there was none, as Slicer does.

    A removed node gives way to the one in its place, else to the last. A first node is chosen
    by itself only when the list was quite empty: no None, no actions, no nodes.
    """
    if not ids:
        return None
    if current is not None and current in known:
        return ids[min(known.index(current), len(ids) - 1)]
    return ids[0] if quite_empty and not known else None


def action_texts(labels: Sequence[str], enabled: Sequence[str]) -> list[str]:
    """Give the lines for what can be done with nodes of classes called `labels`."""
    texts = [f"Create new {label}" for label in labels] if "addEnabled" in enabled else []
    for option, verb in (
        ("renameEnabled", "Rename"),
        ("editEnabled", "Edit"),
        ("removeEnabled", "Delete"),
    ):
        if option in enabled:
            texts.append(f"{verb} current {', '.join(labels)}")
    return texts
