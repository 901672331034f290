"""Which state the panel shows."""

from __future__ import annotations

import pytest

from FlareSegmentLib.panel_state import PanelFacts, PanelState, panel_state
from FlareSegmentLib.worker_state import WorkerState


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (PanelFacts(chosen=False), PanelState.NOTHING_CHOSEN),
        (PanelFacts(chosen=True), PanelState.READY),
        (PanelFacts(chosen=True, worker=WorkerState.STARTING), PanelState.WARMING_UP),
        (PanelFacts(chosen=True, worker=WorkerState.WARMING_UP), PanelState.WARMING_UP),
        (PanelFacts(chosen=False, worker=WorkerState.WARMING_UP), PanelState.NOTHING_CHOSEN),
        (PanelFacts(chosen=True, installing=True), PanelState.INSTALLING),
        (PanelFacts(chosen=True, running=True, worker=WorkerState.STARTING), PanelState.RUNNING),
        (PanelFacts(chosen=True, running=True, cancelling=True), PanelState.CANCELLING),
        (PanelFacts(chosen=True, outcome="done"), PanelState.DONE),
        (PanelFacts(chosen=True, outcome="failed"), PanelState.FAILED),
        (PanelFacts(chosen=True, outcome="failed", running=True), PanelState.RUNNING),
        # A failed worker is started again by the next run: the panel stays usable.
        (PanelFacts(chosen=True, worker=WorkerState.FAILED), PanelState.READY),
    ],
)
def test_state_follows_from_the_facts(facts: PanelFacts, state: PanelState) -> None:
    assert panel_state(facts) is state


def test_choices_are_locked_exactly_while_something_goes_on() -> None:
    busy = {state for state in PanelState if state.busy}
    assert busy == {PanelState.INSTALLING, PanelState.RUNNING, PanelState.CANCELLING}
