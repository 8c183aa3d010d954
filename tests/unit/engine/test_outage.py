from __future__ import annotations

from processing_service.engine.decide import next_due
from processing_service.engine.events import Cancel, Failed, Resolved, Run, Started, Wake
from processing_service.engine.records import Action, Kind, RetryPlan, SessionState, StepPlan, StepState
from tests.unit.engine.test_decide import BUDGET, UNAVAILABLE, Session

ONCE = RetryPlan(max_attempts=1)


def miss(session: Session, item: int = -1, took: int = 500) -> None:
    """The call that is out, or the next one once it is due, does not reach its domain."""
    (step,) = session.state.steps
    flights = [] if step.items is None else [flight for flight in step.items.running if flight.item == item]
    attempt = flights[0].attempt if flights else step.attempt
    session.give(Failed(session.records[-1].at + took, 0, item, attempt, UNAVAILABLE, True))


def wake(session: Session) -> None:
    """Time goes on until the session wants to be woken."""
    session.give(Wake(next_due(session.plan, session.state)))


def waited(session: Session) -> list[int]:
    """The delays, in microseconds."""
    return [record.delay_us for record in session.records if record.kind is Kind.STEP_RETRY_SCHEDULED]


def until_it_ends(session: Session) -> None:
    while not session.state.state.terminal:
        miss(session)
        if not session.state.state.terminal:
            wake(session)


def test_a_domain_that_is_away_is_waited_for_until_the_budget_ends() -> None:
    """No number of attempts ends it; the delays grow to max_delay and no further; the end says how often and long."""
    session = Session(StepPlan("a", retry=ONCE))
    session.give(Started(1))
    until_it_ends(session)

    assert session.state.state is SessionState.FAILED
    assert BUDGET - 1_000_000 < session.state.ended_us < BUDGET
    assert len(waited(session)) > 100
    assert max(waited(session)[:2]) <= 400_000
    assert 4_000_000 < max(waited(session)) <= 5_000_000
    assert session.state.fault is not None
    assert f"({len(waited(session)) + 1} tries in 59" in session.state.fault.message
    assert session.state.fault.cause == UNAVAILABLE


def test_a_step_with_a_timeout_waits_no_longer_than_that() -> None:
    """Its timeout counts from when the domain was first missed."""
    session = Session(StepPlan("a", timeout_us=30_000_000))
    session.give(Started(1))
    until_it_ends(session)

    assert session.state.state is SessionState.FAILED
    assert 29_000_000 < session.state.ended_us < 30_000_000


def test_calls_that_did_not_arrive_are_no_attempts() -> None:
    """What the domain answers counts, before an outage and after it."""
    session = Session(StepPlan("a", retry=RetryPlan(max_attempts=3)))
    session.give(Started(1))
    for unreached in (False, True, True, True, False, True):
        session.give(Failed(session.records[-1].at, 0, -1, session.state.steps[0].attempt, UNAVAILABLE, unreached))
        assert session.state.steps[0].state is StepState.WAITING
        wake(session)
    session.give(Failed(session.records[-1].at, 0, -1, 7, UNAVAILABLE))

    assert session.state.state is SessionState.FAILED


def test_an_optional_step_does_not_use_up_the_budget_of_the_others() -> None:
    """Without a timeout of its own it fails after its attempts, and the session goes on."""
    session = Session(StepPlan("a", optional=True, retry=ONCE), StepPlan("b", (0,)))
    session.give(Started(1))

    assert session.give(Failed(2, 0, -1, 1, UNAVAILABLE, True)) == [Run(1, -1, 1, BUDGET)]


def test_a_budget_that_ends_while_a_step_waits_is_told_by_its_cause() -> None:
    """FAILED for want of the domain, not TIMED_OUT, however late the wake-up comes."""
    session = Session(StepPlan("a"))
    session.give(Started(1))
    miss(session)
    session.give(Wake(BUDGET + 1))

    assert session.state.state is SessionState.FAILED
    assert session.state.fault is not None
    assert session.state.fault.cause == UNAVAILABLE


def test_an_item_that_is_out_is_cancelled_when_the_wait_of_another_fails_the_step() -> None:
    """Nobody would end it otherwise: the step has no calls any more."""
    session = Session(StepPlan("a", foreach=True, max_parallel=2))
    session.give(Started(1))
    session.give(Resolved(2, 0, False, 2))
    miss(session, item=0)

    assert session.give(Wake(BUDGET)) == [Cancel(0, 1, 1)]
    assert session.state.state is SessionState.FAILED


def test_items_wait_each_for_itself() -> None:
    """An item whose call did not arrive waits while others go on; the end of the budget names the step."""
    session = Session(StepPlan("a", foreach=True, max_parallel=2, retry=ONCE))
    session.give(Started(1))
    session.give(Resolved(2, 0, False, 2))
    miss(session, item=0)
    session.succeed(0, item=1, at=session.records[-1].at)
    wake(session)
    miss(session, item=0)
    assert session.state.state is SessionState.RUNNING
    session.give(Wake(BUDGET))

    assert session.state.state is SessionState.FAILED
    assert session.state.fault is not None
    assert "step 'a' failed: gone (2 tries in " in session.state.fault.message


def test_a_pause_stops_the_clock_of_what_waits() -> None:
    """PAUSED at once, as no call is out; after RESUME the step has the time that it had."""
    session = Session(StepPlan("a", timeout_us=30_000_000), StepPlan("b", (0,)))
    session.give(Started(1))
    session.give(Failed(1000, 0, -1, 1, UNAVAILABLE, True))
    session.command(Action.PAUSE, at=2000)
    assert session.state.state is SessionState.PAUSED
    session.command(Action.RESUME, at=100_000_000)
    wake(session)
    attempt = session.state.steps[0].attempt
    session.give(Failed(session.records[-1].at, 0, -1, attempt, UNAVAILABLE, True))

    assert session.state.state is SessionState.RUNNING


def test_items_that_wait_stand_still_in_a_pause() -> None:
    """A try that was due in a second is due a second after RESUME."""
    session = Session(StepPlan("a", foreach=True))
    session.give(Started(1))
    session.give(Resolved(2, 0, False, 1))
    session.give(Failed(10, 0, 0, 1, UNAVAILABLE._replace(retry_us=1_000_000)))
    session.command(Action.PAUSE, at=10)
    session.command(Action.RESUME, at=50_000_000)
    items = session.state.steps[0].items

    assert items is not None
    assert [flight.due_us for flight in items.delayed] == [51_000_000]
