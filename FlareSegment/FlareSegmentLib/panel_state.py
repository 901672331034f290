"""Which of its states the Segment panel shows, and what that means for its buttons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .worker_state import WorkerState


class PanelState(Enum):
    """What the user sees the module do."""

    NOTHING_CHOSEN = "nothing chosen"
    READY = "ready"
    INSTALLING = "installing"
    WARMING_UP = "warming up"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    FAILED = "failed"

    @property
    def busy(self) -> bool:
        """Whether choices must not change now."""
        return self in (PanelState.INSTALLING, PanelState.RUNNING, PanelState.CANCELLING)


@dataclass(frozen=True)
class PanelFacts:
    """What the state follows from.

    Attributes
    ----------
    chosen
        Whether everything a run needs is chosen.
    installing, running, cancelling
        What is going on.
    outcome
        ``"done"`` or ``"failed"`` after a run, as long as nothing was chosen anew; else None.
    worker
        The worker's own state.
    """

    chosen: bool
    installing: bool = False
    running: bool = False
    cancelling: bool = False
    outcome: str | None = None
    worker: WorkerState = WorkerState.STOPPED


def panel_state(facts: PanelFacts) -> PanelState:
    """Give the state that `facts` amount to; what goes on beats what was."""
    if facts.installing:
        return PanelState.INSTALLING
    if facts.cancelling:
        return PanelState.CANCELLING
    if facts.running:
        return PanelState.RUNNING
    if facts.outcome is not None:
        return PanelState(facts.outcome)
    if not facts.chosen:
        return PanelState.NOTHING_CHOSEN
    if facts.worker in (WorkerState.STARTING, WorkerState.WARMING_UP):
        return PanelState.WARMING_UP
    return PanelState.READY
