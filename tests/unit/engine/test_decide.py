from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing_service.engine.decide import MAX_RECOVERIES, Decision, decide, next_due
from processing_service.engine.events import (
    Cancel,
    Command,
    Conclude,
    Concluded,
    Ended,
    Event,
    Failed,
    Recovered,
    Resolve,
    Resolved,
    Run,
    Started,
    Succeeded,
    Wake,
    Withdrawn,
)
from processing_service.engine.projection import restore
from processing_service.engine.records import (
    Action,
    Fault,
    Kind,
    Outcome,
    Output,
    Plan,
    Record,
    RetryPlan,
    SessionState,
    StepPlan,
    StepState,
)
from processing_service.engine.state import initial
from processing_service.engine.turn import flights

BUDGET = 600_000_000
OUTPUT = Output("test.Result", b"1")
UNAVAILABLE = Fault(14, 80, "gone")
INVALID = Fault(3, 21, "wrong")


class Session:
    """A session at work: gives events to `decide` and keeps what came of them."""

    def __init__(self, *steps: StepPlan) -> None:
        self.plan = Plan.of(steps)
        self.start = initial("s", self.plan, 0, BUDGET)
        self.state = self.start
        self.records: list[Record] = []
        self.actions: list[object] = []

    def give(self, event: Event) -> list[object]:
        decision = decide(self.plan, self.state, event)
        self.state, self.actions = decision.state, list(decision.actions)
        self.records += decision.records
        assert restore(self.plan, self.start, self.records) == self.state
        return self.actions

    def succeed(self, step: int, item: int = -1, attempt: int = 1, at: int = 2) -> list[object]:
        return self.give(Succeeded(at, step, item, attempt, OUTPUT))

    def command(self, action: Action, at: int = 5, accepted_at: int | None = None) -> list[object]:
        return self.give(Command(at, action, at if accepted_at is None else accepted_at, "r", "me"))

    @property
    def kinds(self) -> list[str]:
        return [record.kind.name for record in self.records]


def test_a_chain_runs_step_by_step_and_ends_once() -> None:
    """Each step starts when the one before has ended; the outputs are evaluated before the end."""
    session = Session(StepPlan("a"), StepPlan("b", (0,)))

    assert session.give(Started(1)) == [Run(0, -1, 1, BUDGET)]
    assert session.succeed(0) == [Run(1, -1, 1, BUDGET)]
    assert session.succeed(1) == [Conclude()]
    assert session.give(Concluded(3)) == []
    assert session.state.state is SessionState.SUCCEEDED
    assert [record.sequence for record in session.records] == list(range(1, 7))


def test_branches_run_side_by_side_and_join() -> None:
    """A step with two dependencies starts after the later of them."""
    session = Session(StepPlan("a"), StepPlan("b"), StepPlan("c", (0, 1)))

    assert session.give(Started(1)) == [Run(0, -1, 1, BUDGET), Run(1, -1, 1, BUDGET)]
    assert session.succeed(1) == []
    assert session.succeed(0) == [Run(2, -1, 1, BUDGET)]


def test_a_false_condition_skips_the_step_and_goes_on() -> None:
    """A skipped step counts as ended."""
    session = Session(StepPlan("a", conditional=True), StepPlan("b", (0,)))

    assert session.give(Started(1)) == [Resolve(0)]
    assert session.give(Resolved(2, 0, True, 0)) == [Run(1, -1, 1, BUDGET)]
    assert session.state.steps[0].state is StepState.SKIPPED


def test_a_foreach_keeps_to_its_width() -> None:
    """No more items than max_parallel are out, and the step ends after the last."""
    session = Session(StepPlan("a", foreach=True, max_parallel=2))
    session.give(Started(1))

    assert session.give(Resolved(2, 0, False, 3)) == [Run(0, 0, 1, BUDGET), Run(0, 1, 1, BUDGET)]
    assert session.succeed(0, item=1) == [Run(0, 2, 1, BUDGET)]
    assert session.succeed(0, item=0) == []
    assert session.succeed(0, item=2) == [Conclude()]
    assert session.state.steps[0].state is StepState.SUCCEEDED


def test_a_foreach_over_nothing_succeeds() -> None:
    """No items, no calls, and the session goes on."""
    session = Session(StepPlan("a", foreach=True))
    session.give(Started(1))

    assert session.give(Resolved(2, 0, False, 0)) == [Conclude()]


def test_a_failed_item_fails_the_step_and_cancels_the_others() -> None:
    """The session fails with the step as cause."""
    session = Session(StepPlan("a", foreach=True, max_parallel=2))
    session.give(Started(1))
    session.give(Resolved(2, 0, False, 2))

    assert session.give(Failed(3, 0, 0, 1, INVALID)) == [Cancel(0, 1, 1)]
    assert session.state.state is SessionState.FAILED
    assert session.state.fault is not None
    assert session.state.fault.cause == INVALID


def test_a_failure_that_may_pass_is_tried_again_later() -> None:
    """UNAVAILABLE waits a while that a replay waits as well, then goes out with the next attempt."""
    session = Session(StepPlan("a"))
    session.give(Started(1))

    assert session.give(Failed(10, 0, -1, 1, UNAVAILABLE)) == []
    due = next_due(session.plan, session.state)
    assert 10 <= due <= 10 + 200_000
    assert session.give(Wake(due)) == [Run(0, -1, 2, BUDGET)]


def test_retries_end() -> None:
    """After max_attempts the step fails for good."""
    session = Session(StepPlan("a", retry=RetryPlan(max_attempts=2)))
    session.give(Started(1))
    session.give(Failed(2, 0, -1, 1, UNAVAILABLE))
    session.give(Wake(next_due(session.plan, session.state)))
    session.give(Failed(300_000, 0, -1, 2, UNAVAILABLE))

    assert session.state.state is SessionState.FAILED
    assert session.kinds.count("STEP_RETRY_SCHEDULED") == 1


def test_a_retry_never_passes_the_budget() -> None:
    """What would start after the deadline is not started."""
    session = Session(StepPlan("a"))
    session.give(Started(1))
    session.give(Failed(BUDGET - 1, 0, -1, 1, UNAVAILABLE))

    assert session.state.state is SessionState.FAILED
    assert session.state.fault is not None
    assert session.state.fault.cause == UNAVAILABLE


def test_a_wait_that_the_peer_asks_for_and_that_is_not_left_fails_at_once() -> None:
    """BUDGET_TOO_SHORT with both numbers, and what the peer said as its cause."""
    session = Session(StepPlan("a"))
    session.give(Started(1))
    asked = UNAVAILABLE._replace(retry_us=30_000_000)
    session.give(Failed(BUDGET - 20_500_000, 0, -1, 1, asked))

    assert session.state.state is SessionState.FAILED
    assert session.state.fault is not None
    fault = session.state.fault.cause
    assert fault is not None
    assert (fault.code, fault.reason, fault.cause) == (4, 71, asked)
    assert fault.facts == (("needed_seconds", "30"), ("left_seconds", "20.5"))
    assert "in 30 s, and 20.5 s are left" in fault.message


def test_what_the_peer_asked_to_wait_is_the_least() -> None:
    """RetryInfo is obeyed."""
    session = Session(StepPlan("a"))
    session.give(Started(1))
    session.give(Failed(2, 0, -1, 1, UNAVAILABLE._replace(retry_us=7_000_000)))

    assert next_due(session.plan, session.state) == 7_000_002


@pytest.mark.parametrize(("idempotent", "state"), [(True, SessionState.RUNNING), (False, SessionState.FAILED)])
def test_a_time_out_is_tried_again_only_where_that_is_safe(idempotent: bool, state: SessionState) -> None:
    """A call that ran out of time may have been carried out."""
    session = Session(StepPlan("a", idempotent=idempotent, timeout_us=1000))
    session.give(Started(1))

    assert Cancel(0, -1, 1) in session.give(Wake(1001))
    assert session.state.state is state


@pytest.mark.parametrize("timeout_us", [1000, 0])
def test_a_call_that_is_out_keeps_its_deadline_while_its_session_pauses(timeout_us: int) -> None:
    """It is cancelled then, and its retry waits for RESUME; the step's own timeout does not stand still."""
    due = 1 + timeout_us if timeout_us else BUDGET
    session = Session(StepPlan("a", idempotent=True, timeout_us=timeout_us))
    session.give(Started(1))
    session.command(Action.PAUSE, at=5)

    assert next_due(session.plan, session.state) == due
    assert session.give(Wake(due)) == [Cancel(0, -1, 1)]
    assert session.state.state is SessionState.PAUSED
    assert next_due(session.plan, session.state) == 0
    assert session.give(Wake(2 * BUDGET)) == []
    session.command(Action.RESUME, at=2 * BUDGET)
    assert next_due(session.plan, session.state) <= 2 * BUDGET + 200_000
    assert session.give(Wake(next_due(session.plan, session.state))) != []
    assert session.state.steps[0].attempt == 2


def test_a_call_that_outlasts_a_pause_keeps_its_deadline() -> None:
    """RESUME moves what waits, and not what has left."""
    session = Session(StepPlan("a", timeout_us=1000), StepPlan("b", foreach=True))
    session.give(Started(1))
    session.give(Resolved(2, 1, False, 1))
    session.command(Action.PAUSE, at=5)
    session.command(Action.RESUME, at=900)

    assert next_due(session.plan, session.state) == 1001
    assert session.state.steps[1].items is not None
    assert session.state.steps[1].items.running[0].due_us == BUDGET


def test_a_call_that_a_crash_interrupted_has_all_its_time_again() -> None:
    """A server that was down for longer than a step's timeout does not fail the step, nor does a pause end it."""
    session = Session(StepPlan("a", timeout_us=1000), StepPlan("b", foreach=True, timeout_us=2000))
    session.give(Started(1))
    session.give(Resolved(2, 1, False, 1))

    assert session.give(Recovered(50_000)) == [Run(0, -1, 1, 51_000), Run(1, 0, 1, 52_000)]
    session.command(Action.PAUSE, at=50_001)
    assert session.give(Recovered(2 * BUDGET)) == [
        Run(0, -1, 1, 2 * BUDGET + 1000),
        Run(1, 0, 1, 2 * BUDGET + 2000),
    ]


def test_nothing_starts_past_the_budget() -> None:
    """A start that was long in becoming durable, and a pause that came too late: the next Wake ends the session."""
    session = Session(StepPlan("a"))

    assert session.give(Started(BUDGET + 1)) == []
    assert next_due(session.plan, session.state) == BUDGET
    session.command(Action.PAUSE, at=BUDGET + 2)
    assert session.state.left_us == 0
    assert session.command(Action.RESUME, at=BUDGET + 5) == []
    session.give(Wake(BUDGET + 6))
    assert session.state.state is SessionState.TIMED_OUT


def test_a_retry_has_the_whole_budget_again() -> None:
    """Also after a pause, which had kept what was left of it."""
    session = Session(StepPlan("a"))
    session.give(Started(1))
    session.command(Action.PAUSE, at=BUDGET - 10)
    session.command(Action.RESUME, at=BUDGET)
    session.command(Action.TERMINATE, at=BUDGET + 1)

    assert session.command(Action.RETRY, at=BUDGET + 2) == [Run(0, -1, 2, 2 * BUDGET + 2)]
    assert session.state.started_us == BUDGET + 2


def test_an_optional_step_may_fail() -> None:
    """The session goes on without its result."""
    session = Session(StepPlan("a", optional=True), StepPlan("b", (0,)))
    session.give(Started(1))

    assert session.give(Failed(2, 0, -1, 1, INVALID)) == [Run(1, -1, 1, BUDGET)]


def test_the_budget_ends_the_session() -> None:
    """Calls that are out are cancelled; nothing changes the end."""
    session = Session(StepPlan("a"))
    session.give(Started(1))

    assert session.give(Wake(BUDGET)) == [Cancel(0, -1, 1)]
    assert session.state.state is SessionState.TIMED_OUT
    before = session.state
    session.succeed(0)
    assert session.state == before


@pytest.mark.parametrize(
    "event",
    [
        Succeeded(9, 0, -1, 7, OUTPUT),
        Succeeded(9, 1, -1, 1, OUTPUT),
        Failed(9, 0, -1, 7, INVALID),
        Resolved(9, 0, True, 0),
        Ended(9, 0, -1, 1, Outcome.ACKNOWLEDGED),
        Started(9),
        Wake(9),
    ],
)
def test_a_stale_event_changes_nothing(event: Event) -> None:
    """What comes twice, too late or for another attempt is dropped."""
    session = Session(StepPlan("a"), StepPlan("b", (0,)))
    session.give(Started(1))

    assert decide(session.plan, session.state, event) == Decision(session.state, [], [])


def test_a_crash_runs_again_what_was_out_under_the_same_attempt() -> None:
    """So that a domain can tell a repeat."""
    session = Session(StepPlan("a"), StepPlan("b", (0,)))
    session.give(Started(1))
    session.succeed(0)

    assert session.give(Recovered(3)) == [Run(1, -1, 1, BUDGET)]


def test_a_call_that_goes_out_again_has_its_whole_timeout() -> None:
    """The process was away for longer than the step may take: that is not the step's time."""
    session = Session(StepPlan("a", timeout_us=100), StepPlan("b", foreach=True, timeout_us=50, optional=True))
    session.give(Started(1))
    session.give(Resolved(2, 1, False, 1))

    assert session.give(Recovered(1000)) == [Run(0, -1, 1, 1100), Run(1, 0, 1, 1050)]
    assert session.give(Wake(1049)) == []
    assert session.give(Wake(1050)) == [Cancel(1, 0, 1)]


def test_a_step_that_kills_the_process_is_given_up() -> None:
    """After MAX_RECOVERIES the step fails instead of running again."""
    session = Session(StepPlan("a"))
    session.give(Started(1))
    for _ in range(MAX_RECOVERIES):
        assert session.give(Recovered(2)) != []
    session.give(Recovered(2))

    assert session.state.state is SessionState.FAILED


def test_a_session_outlives_any_number_of_deaths_between_which_its_calls_end() -> None:
    """A long session is no suspect because servers are restarted."""
    deaths = 3 * MAX_RECOVERIES
    session = Session(StepPlan("a", foreach=True, max_parallel=2))
    session.give(Started(1))
    session.give(Resolved(2, 0, False, 2 * deaths))
    for item in range(0, 2 * deaths, 2):
        assert session.give(Recovered(2)) == [Run(0, item, 1, BUDGET), Run(0, item + 1, 1, BUDGET)]
        session.succeed(0, item)
        session.succeed(0, item + 1)

    assert session.state.steps[0].state.name == "SUCCEEDED"


def test_only_the_call_that_was_out_at_each_death_is_given_up() -> None:
    """Those beside it go out again, however often the process died since the first of them."""
    session = Session(StepPlan("a", optional=True), StepPlan("b", foreach=True, max_parallel=1))
    session.give(Started(1))
    session.give(Resolved(2, 1, False, 20))
    for item in range(MAX_RECOVERIES):
        assert session.give(Recovered(2)) == [Run(0, -1, 1, BUDGET), Run(1, item, 1, BUDGET)]
        session.succeed(1, item)

    assert session.give(Recovered(2)) == [Run(1, MAX_RECOVERIES, 1, BUDGET)]
    assert [step.state.name for step in session.state.steps] == ["FAILED", "RUNNING"]


def test_deaths_that_nobody_could_write_down_count() -> None:
    """A call that kills the process before the recovery is durable is given up as well."""
    session = Session(StepPlan("a"))
    session.give(Started(1))
    session.give(Recovered(2, unrecorded=MAX_RECOVERIES))

    assert session.state.steps[0].fault is not None
    assert session.state.steps[0].fault.reason.name == "WORKER_LOST"


def test_an_optional_step_that_kills_the_process_does_not_leave_the_session_behind() -> None:
    """It is given up alone: what follows it runs, and nothing is out that nobody has sent."""
    session = Session(StepPlan("a", optional=True), StepPlan("b", (0,)), StepPlan("c", optional=True))
    session.give(Started(1))
    for _ in range(MAX_RECOVERIES):
        session.give(Recovered(2))

    assert session.give(Recovered(2)) == [Run(1, -1, 1, BUDGET)]
    assert [step.state.name for step in session.state.steps] == ["FAILED", "RUNNING", "FAILED"]
    assert session.state.in_flight == 1


def test_a_crash_before_the_first_record_starts_the_session() -> None:
    """A session that is only opened begins when it is taken up."""
    assert Session(StepPlan("a")).give(Recovered(1)) == [Run(0, -1, 1, BUDGET)]


STEPS = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.integers(0, 7)), min_size=1, max_size=6)


@settings(max_examples=500, deadline=None)
@given(shape=STEPS, seed=st.integers(0, 2**32 - 1))
def test_any_schedule_ends_each_attempt_once(shape: list[tuple[bool, bool, bool, int]], seed: int) -> None:
    """Results, failures, crashes, commands and time in any order: one end an attempt, one result a call."""
    plans = [
        StepPlan(
            f"s{i}", tuple(n for n in range(i) if mask >> n & 1), conditional, foreach, 2, 50_000, optional=optional
        )
        for i, (conditional, foreach, optional, mask) in enumerate(shape)
    ]
    session, chance, now = Session(*plans), random.Random(seed), 1
    waiting: list[object] = session.give(Started(now))
    for _ in range(60):
        now += chance.randrange(40_000)
        waiting += session.give(_any_event(chance, now, waiting))
    _check_history(session)


def _any_event(chance: random.Random, now: int, waiting: list[object]) -> Event:
    roll = chance.random()
    if roll < 0.1:
        return Command(now, chance.choice(list(Action)), now)
    if roll < 0.15:
        return Recovered(now)
    if roll < 0.3 or not waiting:
        return Wake(now)
    match waiting.pop(chance.randrange(len(waiting))):
        case Run(step, item, attempt, _):
            if chance.random() < 0.7:
                return Succeeded(now, step, item, attempt, OUTPUT)
            fault = chance.choice([UNAVAILABLE, INVALID])
            return Failed(now, step, item, attempt, fault, fault is UNAVAILABLE and chance.random() < 0.5)
        case Resolve(step):
            return Resolved(now, step, chance.random() < 0.3, chance.randrange(4))
        case Cancel(step, item, attempt):
            return Ended(now, step, item, attempt, Outcome.ACKNOWLEDGED)
        case _:
            return Concluded(now)


def _check_history(session: Session) -> None:
    assert [record.sequence for record in session.records] == list(range(1, len(session.records) + 1))
    ends = [record.session_attempt for record in session.records if record.kind is Kind.SESSION_ENDED]
    assert len(ends) == len(set(ends))
    results = [(r.step, r.item, r.attempt) for r in session.records if r.kind is Kind.STEP_SUCCEEDED and r.attempt]
    assert len(results) == len(set(results))
    out = 0 if session.state.state.terminal else sum(len(flights(step)) for step in session.state.steps)
    assert session.state.in_flight == out
    assert session.state.unended == sum(not step.ended for step in session.state.steps)


def test_decide_uses_neither_clock_nor_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs where time, random, uuid and os do not work."""
    import os
    import time
    import uuid

    def poison(*args: object, **kwargs: object) -> object:
        raise AssertionError("decide looked outside")

    session = Session(StepPlan("a"), StepPlan("b", (0,), foreach=True))
    with monkeypatch.context() as poisoned:
        for module in (time, random, uuid, os):
            for name in [name for name, value in vars(module).items() if name[0].islower() and callable(value)]:
                poisoned.setattr(module, name, poison)
        session.give(Started(1))
        session.give(Failed(2, 0, -1, 1, UNAVAILABLE))
        session.give(Wake(300_000))
        session.command(Action.PAUSE, at=300_001)
        session.succeed(0, attempt=2)
        session.command(Action.RESUME, at=300_002)
        session.give(Resolved(300_003, 1, False, 2))
        session.give(Recovered(300_004))
        session.command(Action.CANCEL, at=300_005)

    assert session.state.steps[1].state is StepState.RUNNING


def test_a_result_that_was_taken_is_recorded_as_such() -> None:
    """STEP_REUSED with the call that made it; the session goes on as after any other result."""
    session = Session(StepPlan("a"), StepPlan("b", (0,)))
    session.give(Started(1))
    assert session.give(Succeeded(2, 0, -1, 1, OUTPUT, "f/a#3")) == [Run(1, -1, 1, BUDGET)]
    assert session.kinds[-2:] == ["STEP_REUSED", "STEP_STARTED"]
    assert session.records[-2].reused_from == session.state.steps[0].reused_from == "f/a#3"
    assert session.state.in_flight == 1


def test_items_that_were_taken_are_counted() -> None:
    """So that it can be told whether a foreach made any call."""
    session = Session(StepPlan("a", foreach=True))
    session.give(Started(1))
    session.give(Resolved(2, 0, False, 2))
    session.give(Succeeded(3, 0, 1, 1, OUTPUT, "f/a[0]#1"))
    session.succeed(0, item=0)
    items = session.state.steps[0].items
    assert items is not None
    assert (items.reused, items.total) == (1, 2)
    assert session.kinds[-3:] == ["STEP_REUSED", "STEP_SUCCEEDED", "STEP_SUCCEEDED"]


def test_a_call_that_is_taken_back_before_it_left_lets_the_session_pause() -> None:
    """Its step waits again; nobody has seen the try, so it is none of the step's attempts, however often it happens."""
    session = Session(StepPlan("a", retry=RetryPlan(max_attempts=2)))
    session.give(Started(1))
    for attempt in range(1, 6):
        session.command(Action.PAUSE, at=10 * attempt)
        session.give(Withdrawn(10 * attempt + 1, 0, -1, attempt))
        assert session.state.state is SessionState.PAUSED
        assert session.state.steps[0].state is StepState.WAITING
        session.command(Action.RESUME, at=10 * attempt + 5)
        assert next(action for action in session.actions if type(action) is Run).attempt == attempt + 1

    session.give(Failed(70, 0, -1, 6, UNAVAILABLE))
    assert session.kinds[-1] == "STEP_RETRY_SCHEDULED"


def test_an_item_that_is_taken_back_goes_again_after_the_pause() -> None:
    """At the next wake-up, before items that have not started by then."""
    session = Session(StepPlan("a", foreach=True, max_parallel=1))
    session.give(Started(1))
    session.give(Resolved(2, 0, False, 3))
    session.command(Action.PAUSE, at=5)
    session.give(Withdrawn(6, 0, 0, 1))
    session.command(Action.RESUME, at=9)
    session.succeed(0, 1, 1, at=12)

    assert flights(session.state.steps[0]) == [(0, 2)]


def test_a_call_that_is_taken_back_from_a_session_that_was_cancelled_has_a_receipt() -> None:
    """And one of a session that has ended changes nothing."""
    session = Session(StepPlan("a"))
    session.give(Started(1))
    session.command(Action.CANCEL, at=5)
    session.give(Withdrawn(6, 0, -1, 1))
    assert session.state.state is SessionState.CANCELLED
    assert session.records[-3].outcome == Outcome.ACKNOWLEDGED
    count = len(session.records)
    session.give(Withdrawn(7, 0, -1, 1))
    assert len(session.records) == count
