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
    Resolved,
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
from tests.unit.engine.test_decide import BUDGET, INVALID, UNAVAILABLE, Session


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


def test_a_retry_that_a_pause_delays_waits_its_own_delay_and_no_more() -> None:
    """The call failed an hour into the pause; after RESUME the step waits as if there had been none."""
    hour, wait = 3600_000_000, 30_000_000
    session = Session(StepPlan("a"))
    session.give(Started(1))
    session.command(Action.PAUSE, at=100)
    session.give(Failed(hour, 0, -1, 1, UNAVAILABLE._replace(retry_us=wait)))
    assert session.state.state is SessionState.PAUSED
    assert session.command(Action.RESUME, at=2 * hour) == []
    assert next_due(session.plan, session.state) == 2 * hour + wait


def test_an_item_that_fails_in_a_pause_waits_its_own_delay_and_no_more() -> None:
    """As a step does."""
    hour, wait = 3600_000_000, 30_000_000
    session = Session(StepPlan("a", foreach=True))
    session.give(Started(1))
    session.give(Resolved(1, 0, False, 1))
    session.command(Action.PAUSE, at=100)
    session.give(Failed(hour, 0, 0, 1, UNAVAILABLE._replace(retry_us=wait)))
    session.command(Action.RESUME, at=2 * hour)
    assert next_due(session.plan, session.state) == 2 * hour + wait


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


def test_a_retry_keeps_nothing_that_depends_on_what_runs_again() -> None:
    """Not on a step that failed, nor on one whose output does not hold any more, however far behind it."""
    chain = [StepPlan("a"), StepPlan("b", (0,)), StepPlan("c", (1,)), StepPlan("d"), StepPlan("e", optional=True)]
    session = Session(*chain, StepPlan("f", (4,)), StepPlan("g", (2, 3, 5)))
    session.give(Started(1))
    session.give(Failed(2, 4, -1, 1, INVALID))
    for step in (0, 1, 2, 3, 5):
        session.succeed(step)
    session.give(Failed(3, 6, -1, 1, INVALID))
    session.give(Command(4, Action.RETRY, 4, "r", "me", rerun=(1,)))

    (record,) = [record for record in session.records if record.kind is Kind.COMMAND_APPLIED]
    assert record.rerun == (1, 2, 5)
    states = [step.state.name for step in session.state.steps]
    assert states == ["SUCCEEDED", "RUNNING", "WAITING", "SUCCEEDED", "RUNNING", "WAITING", "WAITING"]
