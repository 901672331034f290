"""What all sections of the panel have: work that goes on while the window lives."""

from __future__ import annotations

from typing import Any

from .jobs import Job
from .steps import Steps


class WorkUnderWay:
    """Processes and steps by name; new work takes the place of what has its name."""

    def __init__(self) -> None:
        self._parts: dict[str, Job | Steps] = {}

    def put(self, name: str, part: Job | Steps) -> None:
        """Keep work that has begun."""
        self.cancel(name)
        self._parts[name] = part

    def running(self, *names: str) -> bool:
        """Whether work of one of these names goes on; without names, any work."""
        parts = [self._parts.get(name) for name in names] if names else self._parts.values()
        return any(part is not None and part.running for part in parts)

    def cancel(self, *names: str) -> None:
        """Leave undone what is still to come; without names, everything."""
        for name in names or tuple(self._parts):
            part = self._parts.pop(name, None)
            if part is not None:
                part.cancel()


class Section:
    """A part of the panel.

    Parameters
    ----------
    panel
        The `TrainingPanel` it belongs to.
    """

    def __init__(self, panel: Any) -> None:
        self.panel = panel
        self.work = WorkUnderWay()

    @property
    def busy(self) -> bool:
        """Whether something is about to change."""
        return self.work.running()

    def cancel(self) -> None:
        """Leave everything that is still to come undone."""
        self.work.cancel()
