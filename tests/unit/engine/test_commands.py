from __future__ import annotations

from dataclasses import replace

import pytest

from processing_service.engine.commands import LEGAL
from processing_service.engine.decide import CANCEL_GRACE_US, decide, next_due
from processing_service.engine.events import (
    Cancel,
    Command,
    Ended,
    Failed,
    Recovered,
    Run,
    Started,
    Wake,
)
from processing_service.engine.records import (
    Action,
    Kind,
    Outcome,
    SessionState,
    StepPlan,
)
from tests.unit.engine.test_decide import BUDGET, INVALID, Session


def test_pause_lets_calls_end_and_stops_the_clocks() -> None:
    """PAUSING while calls are out, PAUSED after; RESUME goes on with the budget that was left."""
    session = Session(StepPlan("a"), StepPlan("b", (0,)))
    session.give(Started(1))
    session.command(Action.PAUSE, at=100, accepted_at=90)
    assert session.state.state is SessionState.PAUSING
    assert session.succeed(0, at=200) == []
    assert session.state.state is SessionState.PAUSED
    assert next_due(session.plan, session.state) == 0

    left = BUDGET - 90
    assert session.command(Action.RESUME, at=10_000_000_000) == [Run(1, -1, 1, 10_000_000_000 + left)]


def test_a_call_that_goes_out_again_in_a_pause_has_what_was_left_of_the_budget() -> None:
    """The process died, and came back when the budget would have ended if it had not stood still."""
    session = Session(StepPlan("a"))
    session.give(Started(1))
    session.command(Action.PAUSE, at=100)

    assert session.give(Recovered(2 * BUDGET)) == [Run(0, -1, 1, 3 * BUDGET - 100)]
    assert session.state.state is SessionState.PAUSING


def test_cancel_waits_for_a_receipt_of_each_call() -> None:
    """CANCELLING until each call has an outcome, then CANCELLED."""
    session = Session(StepPlan("a"), StepPlan("b"))
    session.give(Started(1))

    assert session.command(Action.CANCEL) == [Cancel(0, -1, 1), Cancel(1, -1, 1)]
    session.give(Ended(6, 0, -1, 1, Outcome.ACKNOWLEDGED))
    session.succeed(1, at=7)
    receipts = [record.outcome for record in session.records if record.kind is Kind.CALL_RECEIPT]
    assert receipts == [Outcome.ACKNOWLEDGED, Outcome.COMPLETED_ANYWAY]
    assert session.state.state is SessionState.CANCELLED


def test_a_call_that_ignores_cancel_does_not_hold_the_session() -> None:
    """After the grace its receipt says IGNORED."""
    session = Session(StepPlan("a"))
    session.give(Started(1))
    session.command(Action.CANCEL, at=5)
    session.give(Wake(5 + CANCEL_GRACE_US))

    assert session.state.state is SessionState.CANCELLED
    assert session.records[-3].outcome == Outcome.IGNORED


def test_retry_keeps_what_succeeded() -> None:
    """Only failed steps run again, in a new attempt of the same session."""
    session = Session(StepPlan("a"), StepPlan("b", (0,)))
    session.give(Started(1))
    session.succeed(0)
    session.give(Failed(3, 1, -1, 1, INVALID))

    assert session.command(Action.RETRY, at=10) == [Run(1, -1, 2, 10 + BUDGET)]
    assert session.state.attempt == 2


@pytest.mark.parametrize("state", SessionState)
@pytest.mark.parametrize("action", Action)
def test_only_legal_commands_do_something(action: Action, state: SessionState) -> None:
    """Every other leaves a record that it was refused, and changes nothing else."""
    session = Session(StepPlan("a"))
    session.state = replace(session.state, state=state)
    decision = decide(session.plan, session.state, Command(5, action, 5))

    if state in LEGAL[action]:
        assert decision.records[0].kind is Kind.COMMAND_APPLIED
    else:
        assert [record.kind for record in decision.records] == [Kind.COMMAND_REFUSED]
        assert decision.state == replace(session.state, sequence=1)
        assert decision.actions == []
